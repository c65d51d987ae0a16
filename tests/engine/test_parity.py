"""In `exact` the engine's embeddings and latents equal the stock pipelines', bit for bit, at every precision.

The stock side loads its own components from the same folder with the libraries' plain calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import BitsAndBytesConfig, T5EncoderModel, T5Tokenizer

from pixart_ui.catalog import from_folder
from pixart_ui.engine import schedulers
from pixart_ui.engine.engine import Engine
from pixart_ui.request import Numerics, Precision, ResolvedRequest, Scheduler
from tests.engine.conftest import latents_of, make_requests, run
from tests.toy import make_toy_checkpoint

QUANTIZATION = {
    Precision.INT8: BitsAndBytesConfig(load_in_8bit=True),
    Precision.NF4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    Precision.FP4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
}
DTYPES = {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}


def stock_pipeline(folder: Path, precision: Precision, scheduler: Scheduler) -> Any:
    """The stock pipeline with weights rounded as the precision says and computing in fp32, as a CPU does here."""
    dtype = DTYPES.get(precision, torch.float16)
    if precision in QUANTIZATION:
        text_encoder = T5EncoderModel.from_pretrained(
            folder / "text_encoder", dtype=torch.float32, quantization_config=QUANTIZATION[precision]
        )
    else:
        text_encoder = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype).float()
    family = "Alpha" if "alpha" in folder.name else "Sigma"
    cls = getattr(diffusers, f"PixArt{family}Pipeline")
    pipeline = cls(
        tokenizer=T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=text_encoder,
        transformer=PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=dtype).float(),
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).float(),
        scheduler=_stock_scheduler(scheduler, folder / "scheduler"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _stock_scheduler(scheduler: Scheduler, folder: Path) -> Any:
    """The checkpoint's own as the libraries load it; another one with our config, since the stock default clips."""
    if scheduler is Scheduler.DPM_SOLVER:
        return diffusers.DPMSolverMultistepScheduler.from_pretrained(folder)
    return schedulers.build(scheduler, folder)


def stock_latents(folder: Path, request: ResolvedRequest) -> Any:
    pipeline = stock_pipeline(folder, request.precision, request.scheduler)
    return pipeline(
        request.full_prompt,
        negative_prompt=request.full_negative_prompt,
        num_inference_steps=request.steps,
        timesteps=list(request.timesteps) if request.timesteps is not None else None,
        guidance_scale=request.guidance_scale,
        width=request.width,
        height=request.height,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="latent",
    ).images.numpy()


@pytest.mark.parametrize("toy", ["sigma", "alpha"])
@pytest.mark.parametrize("precision", Precision)
def test_latents_equal_the_stock_pipeline_bit_for_bit(
    engine: Engine, toys: dict[str, Path], toy: str, precision: Precision
) -> None:
    (request,) = make_requests(toys[toy], precision=precision, numerics="exact", steps=2)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(toys[toy], request))


@pytest.mark.parametrize("precision", [Precision.FP16, pytest.param(Precision.BF16, marks=pytest.mark.long)])
def test_micro_conditions_equal_the_stock_pipeline_bit_for_bit(
    engine: Engine, toys: dict[str, Path], precision: Precision
) -> None:
    """They belong to the transformer, which the other precisions leave in fp16, and to pictures of 1024 × 1024."""
    folder, size = toys["alpha-conditions"], {"width": 1024, "height": 1024}
    (request,) = make_requests(folder, precision=precision, numerics="exact", scheduler="ddim", steps=1, **size)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(folder, request))


@pytest.mark.parametrize("precision", Precision)
def test_embeddings_equal_the_stock_pipeline_bit_for_bit(
    engine: Engine, toys: dict[str, Path], precision: Precision
) -> None:
    (request,) = make_requests(toys["sigma"], precision=precision, numerics="exact", negative_prompt="blurry night")
    ((prompt, negative),) = engine.embed([request])
    pipeline = stock_pipeline(toys["sigma"], precision, request.scheduler)
    with torch.no_grad():
        states, mask, negative_states, negative_mask = pipeline.encode_prompt(
            request.full_prompt, negative_prompt=request.full_negative_prompt, clean_caption=True
        )
    assert negative is not None
    for ours, theirs in [
        (prompt.states, states),
        (prompt.mask, mask),
        (negative.states, negative_states),
        (negative.mask, negative_mask),
    ]:
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scheduler", [s for s in Scheduler if s is not Scheduler.LCM])
def test_every_scheduler_equals_the_stock_pipeline(engine: Engine, toys: dict[str, Path], scheduler: Scheduler) -> None:
    (request,) = make_requests(toys["sigma"], numerics="exact", scheduler=scheduler, steps=4)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(toys["sigma"], request))


def test_one_distilled_step_equals_the_stock_pipeline(engine: Engine, toys: dict[str, Path]) -> None:
    """DMD: one step at timestep 400 without guidance; α takes the prediction of the clean latents."""
    dmd = replace(
        from_folder(toys["alpha"]),
        schedulers=(Scheduler.DDPM,),
        default_scheduler=Scheduler.DDPM,
        default_guidance=0.0,
        timesteps=(400,),
    )
    (request,) = make_requests(dmd, numerics="exact", steps=1)
    assert request.timesteps == (400,)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(toys["alpha"], request))


def test_lcm_equals_the_stock_pipeline(engine: Engine, toys: dict[str, Path]) -> None:
    lcm = replace(from_folder(toys["alpha"]), schedulers=(Scheduler.LCM,), default_guidance=0.0)
    (request,) = make_requests(lcm, numerics="exact", scheduler="lcm", steps=4)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(toys["alpha"], request))


def test_guidance_off_equals_the_stock_pipeline(engine: Engine, toys: dict[str, Path]) -> None:
    (request,) = make_requests(toys["sigma"], numerics="exact", guidance_scale=1.0)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(toys["sigma"], request))


def test_a_bin_that_is_not_square_equals_the_stock_pipeline(engine: Engine, toys: dict[str, Path]) -> None:
    (request,) = make_requests(toys["sigma"], numerics="exact", width=304, height=208)
    (latents,) = latents_of(run(engine, (request,)))
    assert latents.shape == (1, 4, 208 // 8, 304 // 8)
    np.testing.assert_array_equal(latents, stock_latents(toys["sigma"], request))


@pytest.mark.parametrize("component", ["text_encoder", "transformer"])
def test_one_changed_weight_of_the_last_block_is_noticed(engine: Engine, tmp_path: Path, component: str) -> None:
    """The comparison above would be worthless if it could not fail."""
    folder = make_toy_checkpoint(tmp_path / "sigma")
    (request,) = make_requests(folder, numerics="exact")
    before = stock_latents(folder, request)
    (path,) = (folder / component).glob("*.safetensors")
    weights = load_file(path)
    name = {"text_encoder": "encoder.block.1.layer.1.DenseReluDense.wo.weight"}.get(
        component, "transformer_blocks.3.ff.net.2.weight"
    )
    weights[name][0, 0] += 0.5
    save_file(weights, path, metadata={"format": "pt"})
    (latents,) = latents_of(run(engine, (request,)))
    assert not np.array_equal(latents, before)
    np.testing.assert_array_equal(latents, stock_latents(folder, request))


def test_fast_is_near_exact_and_its_distance_is_reported(
    engine: Engine, toys: dict[str, Path], record_property: Callable[[str, object], None]
) -> None:
    (exact,) = make_requests(toys["sigma"], numerics="exact")
    fast = exact.model_copy(update={"numerics": Numerics.FAST})
    (reference,) = latents_of(run(engine, (exact,)))
    (latents,) = latents_of(run(engine, (fast,)))
    distance = float(np.linalg.norm(latents - reference) / np.linalg.norm(reference))
    record_property("fast_relative_l2", distance)
    assert 0 < distance < 1e-4
