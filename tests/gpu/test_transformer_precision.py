"""On a real GPU, at full size with random weights: each precision of the transformer beside diffusers' own.

    python -m pytest -m gpu -s tests/gpu/test_transformer_precision.py

`PIXART_UI_FULL_SIZE` may name a folder that has the checkpoint. Each precision prints its row.
"""

from __future__ import annotations

import gc
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.engine.engine import EngineFiles
from pixart_ui.request import Precision, ResolvedRequest, TransformerPrecision
from tests.engine.conftest import facts_of, latents_of, make_requests, run
from tests.gpu.test_full_size import STEPS, assert_kept_to_plan, open_engine

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]
TIMED_STEPS = 20


def stock_transformer(folder: Path, precision: TransformerPrecision, usual: torch.dtype) -> Any:
    """By diffusers' plain calls, as its documentation has them; below 16 bits it computes in `usual`."""
    from diffusers import BitsAndBytesConfig, PixArtTransformer2DModel

    dtype = {TransformerPrecision.FP16: torch.float16, TransformerPrecision.BF16: torch.bfloat16}.get(precision, usual)
    quantization: dict[str, Any] = {}
    if precision is TransformerPrecision.INT8:
        quantization = {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    elif precision is TransformerPrecision.NF4:
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
        quantization = {"quantization_config": config}
    transformer = PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=dtype, **quantization)
    if precision is TransformerPrecision.FP8:
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    return transformer if quantization else transformer.to("cuda")


def stock_latents(folder: Path, request: ResolvedRequest, embeddings: Any) -> Any:
    """The stock pipeline's, from embeddings that are known to be the stock ones."""
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline

    usual = torch.bfloat16 if request.precision is Precision.BF16 else torch.float16
    transformer = stock_transformer(folder, request.transformer_precision, usual)
    prompt, negative = embeddings
    pipeline = PixArtSigmaPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=None,
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
    )
    latents = pipeline(
        negative_prompt=None,
        prompt_embeds=prompt.states.to("cuda", transformer.dtype),
        prompt_attention_mask=prompt.mask.to("cuda"),
        negative_prompt_embeds=negative.states.to("cuda", transformer.dtype),
        negative_prompt_attention_mask=negative.mask.to("cuda"),
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        width=request.width,
        height=request.height,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="latent",
        use_resolution_binning=False,
    ).images
    result = latents.float().cpu().numpy()
    del pipeline, transformer, latents
    gc.collect()
    torch.cuda.empty_cache()
    return result


@pytest.mark.parametrize(
    ("precision", "transformer"),
    [*itertools.product([Precision.FP16], TransformerPrecision), (Precision.BF16, TransformerPrecision.FP8)],
)
def test_exact_equals_the_stock_pipeline_bit_for_bit(
    files: EngineFiles,
    folder: Path,
    precision: Precision,
    transformer: TransformerPrecision,
) -> None:
    values = {"precision": precision, "transformer_precision": transformer, "width": 1024, "height": 1024}
    (request,) = make_requests(folder, numerics="exact", steps=STEPS, **values)
    (timed,) = make_requests(folder, steps=TIMED_STEPS, **values)
    with open_engine(files) as engine:
        events = run(engine, (request,))
        (embeddings,) = engine.embed([request])
        warm = run(engine, (timed,))
        engine.close()
        assert engine.info()["weight_bytes"] == 0
    print_row(precision, transformer, facts_of(events)[0], facts_of(warm)[0])
    (latents,) = latents_of(events)
    np.testing.assert_array_equal(latents.astype(np.float32), stock_latents(folder, request, embeddings))
    assert_kept_to_plan(events, f"transformer {transformer}")


def print_row(precision: Precision, transformer: TransformerPrecision, first: Any, warm: Any) -> None:
    measured, later = first["measurements"]["denoise"], warm["measurements"]["denoise"]
    planned = {entry["phase"]: entry for entry in first["plan"]["phases"]}["denoise"]
    step = (later["seconds"] - later["load_seconds"]) / TIMED_STEPS
    print(
        f"ROW transformer {transformer} beside T5 {precision}: weights {measured['weight_bytes'] / 2**20:.0f} MiB, "
        f"load {measured['load_seconds']:.2f} s, peak reserved {measured['peak_reserved_bytes'] / 2**20:.0f} MiB "
        f"(allocated {measured['peak_allocated_bytes'] / 2**20:.0f}, "
        f"planned {planned['predicted_peak_bytes'] / 2**20:.0f}, {planned['residency']}), "
        f"step {1000 * step:.1f} ms in fast"
    )


@pytest.mark.parametrize("transformer", [TransformerPrecision.FP8, TransformerPrecision.INT8, TransformerPrecision.NF4])
def test_a_staged_one_draws_the_same_and_leaves_nothing_behind(
    files: EngineFiles,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    transformer: TransformerPrecision,
) -> None:
    (request,) = make_requests(folder, transformer_precision=transformer, steps=STEPS, width=1024, height=1024)
    with open_engine(files) as engine:
        (plenty,) = latents_of(run(engine, (request,)))
        engine._components.leave_only(())
        baseline = torch.cuda.memory_allocated()
        monkeypatch.setattr("pixart_ui.engine.planner._subsets", lambda components: iter([()]))
        events = run(engine, (request,))
        left = torch.cuda.memory_allocated() - baseline
    plan = facts_of(events)[0]["plan"]["phases"]
    assert {entry["phase"]: entry["residency"] for entry in plan}["denoise"] == "staged"
    np.testing.assert_array_equal(plenty, latents_of(events)[0])
    assert left < 16 * 2**20
    print(f"ROW transformer {transformer} leaves {left / 2**20:.1f} MiB behind")
