"""On a real GPU, at full size with random weights: parity with the stock pipeline, and VRAM back to the baseline.

    python -m pytest -m gpu tests/gpu

Builds a checkpoint of about 14 GB once; `PIXART_UI_FULL_SIZE` may name a folder that has one. Each test prints its row.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.full_size import build
from pixart_ui.catalog import COMPONENTS, from_folder
from pixart_ui.engine.components import load_tokenizer
from pixart_ui.engine.engine import Engine
from pixart_ui.events import ImageReady, Residency
from pixart_ui.hub import Located
from pixart_ui.request import Precision, ResolvedRequest
from tests.engine.conftest import images_of, latents_of, make_requests, run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]
STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepared = os.environ.get("PIXART_UI_FULL_SIZE")
    return Path(prepared) if prepared else build(tmp_path_factory.mktemp("full") / "sigma", "cuda")


@pytest.fixture
def engine() -> Iterator[Engine]:
    def locate(name: str) -> Located:
        return Located(from_folder(Path(name)), {component: Path(name) / component for component in COMPONENTS}, {})

    engine = Engine.open("cuda", locate, lambda located: dict.fromkeys(COMPONENTS, "random"))
    yield engine
    engine.close()


def stock(folder: Path, request: ResolvedRequest) -> tuple[Any, Any]:
    """Embeddings and latents of the stock pipeline, loaded by the libraries' plain calls onto the GPU."""
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )
    from transformers import BitsAndBytesConfig, T5EncoderModel

    dtype = torch.bfloat16 if request.precision is Precision.BF16 else torch.float16
    quantization = {
        Precision.INT8: {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)},
        Precision.NF4: {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        },
        Precision.FP4: {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_compute_dtype=dtype
            )
        },
    }.get(request.precision, {})
    pipeline = PixArtSigmaPipeline(
        tokenizer=load_tokenizer(folder / "tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(
            folder / "text_encoder", dtype=dtype, device_map={"": 0}, **quantization
        ),
        transformer=PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=dtype).to("cuda"),
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).to("cuda"),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
    )
    with torch.no_grad():
        states = pipeline.encode_prompt(request.full_prompt, negative_prompt="", clean_caption=True)[0]
    latents = pipeline(
        request.full_prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        width=request.width,
        height=request.height,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="latent",
    ).images
    result = states.float().cpu().numpy(), latents.float().cpu().numpy()
    del pipeline, states, latents
    gc.collect()
    torch.cuda.empty_cache()
    return result


@pytest.mark.parametrize("precision", Precision)
def test_exact_equals_the_stock_pipeline_bit_for_bit(engine: Engine, folder: Path, precision: Precision) -> None:
    (request,) = make_requests(folder, precision=precision, numerics="exact", steps=STEPS, width=1024, height=1024)
    events = run(engine, (request,))
    ((prompt, _),) = engine.embed([request])
    (facts,) = [event.facts for event in events if isinstance(event, ImageReady)]
    (latents,) = latents_of(events)
    engine.close()
    states, stock_latents = stock(folder, request)
    assert np.isfinite(stock_latents).all()
    np.testing.assert_array_equal(prompt.states.float().numpy(), states)
    np.testing.assert_array_equal(latents.astype(np.float32), stock_latents)
    for phase, measured in facts["measurements"].items():
        print(
            f"ROW {precision} {phase}: {measured['seconds']:.2f} s (load {measured['load_seconds']:.2f}), "
            f"allocated {measured['peak_allocated_bytes'] / 2**30:.2f} GiB, "
            f"reserved {measured['peak_reserved_bytes'] / 2**30:.2f} GiB, "
            f"device {(measured['device_used_bytes'] or 0) / 2**30:.2f} GiB"
        )


def test_staged_equals_resident_and_leaves_nothing_behind(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = make_requests(folder, steps=STEPS, width=1024, height=1024)
    resident = run(engine, (request,))
    engine.close()
    engine._embeddings._entries.clear()
    baseline = torch.cuda.memory_allocated()
    monkeypatch.setattr("pixart_ui.engine.device.Device.memory", lambda self: (2 * 2**30, 4 * 2**30))
    staged = run(engine, (request,))
    (facts,) = [event.facts for event in staged if isinstance(event, ImageReady)]
    assert {phase["residency"] for phase in facts["plan"]["phases"]} == {Residency.STAGED.value}
    np.testing.assert_array_equal(latents_of(resident)[0], latents_of(staged)[0])
    assert torch.cuda.memory_allocated() - baseline < 16 * 2**20
    print(f"ROW staged leaves {(torch.cuda.memory_allocated() - baseline) / 2**20:.1f} MiB behind")


def test_fast_is_near_exact(engine: Engine, folder: Path) -> None:
    (exact,) = make_requests(folder, numerics="exact", steps=STEPS, width=1024, height=1024)
    (fast,) = make_requests(folder, numerics="fast", steps=STEPS, width=1024, height=1024)
    reference = latents_of(run(engine, (exact,)))[0].astype(np.float32)
    latents = latents_of(run(engine, (fast,)))[0].astype(np.float32)
    distance = float(np.linalg.norm(latents - reference) / np.linalg.norm(reference))
    print(f"ROW fast: relative L2 of the latents from exact {distance:.2e}")
    assert distance < 0.05


def test_a_queue_of_four_and_a_second_picture(engine: Engine, folder: Path) -> None:
    """The article's way on this engine: encode all, then draw; the picture after that finds everything in place."""
    requests = make_requests(folder, steps=20, width=1024, height=1024, num_images=4)
    events = run(engine, requests)
    assert len(images_of(events)) == 4
    last = [event.facts for event in events if isinstance(event, ImageReady)][-1]["measurements"]
    total = last["denoise"]["seconds"] + last["decode"]["seconds"]
    print(f"ROW warm picture of 20 steps: denoise {last['denoise']['seconds']:.2f} s + decode = {total:.2f} s")
