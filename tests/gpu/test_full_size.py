"""On a real GPU, at full size with random weights: parity with the stock pipeline, and VRAM back to the baseline.

    python -m pytest -m gpu tests/gpu

Builds a checkpoint of about 14 GB once; `PIXART_UI_FULL_SIZE` may name a folder that has one. Each test prints its row.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from pixart_ui.byte_size import MIB, parse_bytes
from pixart_ui.catalog import COMPONENTS, from_folder
from pixart_ui.engine.components import load_tokenizer
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import Event, ImageReady, LatentsReady, StepDone, SteppedDown
from pixart_ui.hub import Located
from pixart_ui.request import Numerics, Precision, ResolvedRequest
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]
STEPS = 4


def locate(name: str) -> Located:
    return Located(from_folder(Path(name)), {component: Path(name) / component for component in COMPONENTS}, {})


@contextmanager
def open_engine(files: EngineFiles, budget: str | None = None) -> Iterator[Engine]:
    engine = Engine.open(
        "cuda",
        locate,
        lambda located: dict.fromkeys(COMPONENTS, "0" * 64),
        files,
        budget_bytes=parse_bytes(budget) if budget is not None else None,
    )
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(files: EngineFiles) -> Iterator[Engine]:
    with open_engine(files) as engine:
        yield engine


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
def test_exact_equals_the_stock_pipeline_bit_for_bit(files: EngineFiles, folder: Path, precision: Precision) -> None:
    """Streamed through two slots, as a 1 GiB card does it, against everything resident in the stock pipeline."""
    (request,) = make_requests(folder, precision=precision, numerics="exact", steps=STEPS, width=1024, height=1024)
    with open_engine(files, "1GiB") as engine:
        events = run(engine, (request,))
        ((prompt, _),) = engine.embed([request])
    states, stock_latents = stock(folder, request)
    assert np.isfinite(stock_latents).all()
    np.testing.assert_array_equal(prompt.states.float().numpy(), states)
    np.testing.assert_array_equal(latents_of(events)[0], stock_latents)
    assert_kept_to_plan(events, f"{precision} in 1 GiB")


def assert_kept_to_plan(events: list[Event], name: str) -> None:
    """Measured ≤ predicted ≤ budget in every phase."""
    facts = facts_of(events)[-1]
    rows = []
    for entry in facts["plan"]["phases"]:
        measured = facts["measurements"][entry["phase"]]
        predicted, reserved = entry["predicted_peak_bytes"], measured["peak_reserved_bytes"]
        rows.append(
            f"{entry['phase']} {entry['residency']}"
            f"{entry['kept_units']}/{entry['slots']}/{entry['tile']} {reserved / MIB:.0f} of {predicted / MIB:.0f} MiB"
            f" {measured['seconds']:.2f} s (waited {measured['load_seconds']:.2f})"
        )
        assert predicted <= facts["plan"]["budget_bytes"]
        assert reserved <= (facts["plan"]["budget_bytes"] if facts["plan"]["is_estimate"] else predicted)
    print(f"ROW {name}: {'; '.join(rows)}; notes {facts['notes']}")


@pytest.mark.parametrize("numerics", Numerics)
def test_every_budget_gives_the_same_latents(files: EngineFiles, folder: Path, numerics: Numerics) -> None:
    requests = make_requests(folder, numerics=numerics, steps=STEPS, width=1024, height=1024, num_images=2)
    found = {}
    for budget in ("60GiB", "8GiB", "3GiB", "2GiB", "1.5GiB", "1GiB", "0.9GiB", "0.7GiB"):
        torch.cuda.empty_cache()
        baseline = torch.cuda.memory_reserved()
        with open_engine(files, budget) as engine:
            started = time.perf_counter()
            events = run(engine, requests)
            seconds = time.perf_counter() - started
            found[budget] = latents_of(events)
        assert_kept_to_plan(events, f"{numerics} {budget} {seconds:.2f} s")
        torch.cuda.empty_cache()
        assert torch.cuda.memory_reserved() - baseline <= 16 * MIB
    for latents in found.values():
        np.testing.assert_array_equal(latents, found["60GiB"])


def test_a_small_card_goes_on_after_the_step_that_another_process_spoils(files: EngineFiles, folder: Path) -> None:
    """Memory that is gone between planning and decoding costs a smaller tile, not the picture."""
    (request,) = make_requests(folder, steps=STEPS, width=1024, height=1024)
    with open_engine(files, "4GiB") as engine:
        events = []
        for event in engine.run((request,), lambda _: False):
            events.append(event)
            if isinstance(event, LatentsReady):
                left = 4 * 2**30 - torch.cuda.memory_allocated()
                taken = torch.empty(left - 400 * MIB, dtype=torch.uint8, device="cuda")
        del taken
        steps = [event for event in events if isinstance(event, SteppedDown)]
        assert steps
        assert len(images_of(events)) == 1
        print(f"ROW stepped down: {[step.reason for step in steps]}")


def test_many_mixed_runs_leave_nothing_behind(files: EngineFiles, folder: Path) -> None:
    """50 runs of several shapes and precisions, with cancels, under a budget; nobody cleans up for the engine.

    The last is of the first one's kind, so that the plan keeps the same weights on the card after both.
    """
    kinds = (("fp16", 1024), ("nf4", 512), ("int8", 1024), ("fp16", 512), ("nf4", 1024), ("fp16", 768), ("int8", 512))
    process = psutil.Process()
    reserved, resident, kept = [], [], []
    with open_engine(files, "2GiB") as engine:
        for precision in ("fp16", "nf4", "int8"):
            engine.prepare(make_requests(folder, precision=precision))
        for number in range(50):
            precision, height = kinds[number % len(kinds)]
            requests = make_requests(
                folder, prompt=f"prompt {number}", precision=precision, steps=2, width=1024, height=height
            )
            cancelled: set[int] = set()
            for event in engine.run(requests, cancelled.__contains__):
                if isinstance(event, StepDone) and number % 5 == 3:
                    cancelled.add(0)
            reserved.append(torch.cuda.memory_reserved())
            kept.append(engine.info()["weight_bytes"])
            resident.append(process.memory_info().rss)
    growth = (resident[-1] - resident[9]) / MIB
    for name, number in (("first", 0), ("last", -1)):
        print(f"ROW 50 runs: reserved after the {name} {reserved[number] / MIB:.0f} MiB, {kept[number] / MIB:.0f} kept")
    print(f"ROW 50 runs: RSS grew {growth:.0f} MiB since the tenth, {(resident[-1] - resident[0]) / MIB:.0f} in all")
    assert abs((reserved[-1] - kept[-1]) - (reserved[0] - kept[0])) <= 16 * MIB
    assert growth < 50


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
    assert_kept_to_plan(events, "queue of four")
    assert len(images_of(events)) == 4
    last = [event.facts for event in events if isinstance(event, ImageReady)][-1]["measurements"]
    total = last["denoise"]["seconds"] + last["decode"]["seconds"]
    print(f"ROW warm picture of 20 steps: denoise {last['denoise']['seconds']:.2f} s + decode = {total:.2f} s")
