"""Strategies in stages: encode with T5 alone, delete it, then draw from the embeddings; and quantized components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from diffusers import PixArtTransformer2DModel
from transformers import T5EncoderModel

from bench.job import CellJob
from bench.peers.parts import (
    Embeddings,
    Function,
    Strategy,
    draw,
    dtype,
    embedded,
    encode,
    load,
    on_device,
    release,
    settings,
)
from bench.recorder import Recorder

# What is left under the cap for T5's activations.
HEADROOM_BYTES = 2**29
DEFAULT_CAP_BYTES = 8 * 2**30
BITSANDBYTES = ("bitsandbytes",)
Encoder = Callable[[CellJob], Any]


def t5(**arguments: Any) -> Encoder:
    def make(job: CellJob) -> Any:
        return T5EncoderModel.from_pretrained(
            job.checkpoint / "text_encoder", dtype=dtype(job), **({"device_map": "auto"} | arguments)
        )

    return make


def _t5_under_cap(job: CellJob) -> Any:
    """What does not fit under the cap runs from the CPU's memory."""
    limits: dict[int | str, int] = {"cpu": 2**40}
    if job.device != "cpu":
        limits[0] = (job.cap_bytes or DEFAULT_CAP_BYTES) - HEADROOM_BYTES
    return t5(max_memory=limits)(job)


def t5_quantized(**bits: Any) -> Encoder:
    def make(job: CellJob) -> Any:
        config = transformers.BitsAndBytesConfig(**_bits(bits, job))
        return t5(quantization_config=config, device_map={"": job.device})(job)

    return make


def _bits(bits: dict[str, Any], job: CellJob) -> dict[str, Any]:
    return bits | ({"bnb_4bit_compute_dtype": dtype(job)} if "load_in_4bit" in bits else {})


def _encoded(job: CellJob, recorder: Recorder, text_encoder: Encoder) -> list[Embeddings]:
    """The first stage: T5 and the tokenizer alone. T5 is gone afterwards."""
    with recorder.phase("load"):
        pipeline = load(job, text_encoder=text_encoder(job), transformer=None, vae=None)
    with recorder.phase("encode"):
        embeddings = encode(pipeline, job)
    del pipeline
    release()
    return embeddings


def _staged(text_encoder: Encoder) -> Function:
    def function(job: CellJob, recorder: Recorder) -> None:
        embeddings = _encoded(job, recorder, text_encoder)
        with recorder.phase("load"):
            pipeline = load(job, text_encoder=None)
            on_device(pipeline, job)
        for index, prompt in enumerate(embeddings):
            callback = recorder.on_step("denoise")
            image = pipeline(**embedded(prompt), callback=callback, **settings(job, index)).images[0]
            recorder.save(image)

    return function


def _staged_latents(*, is_tiled: bool) -> Function:
    """Three stages, never two components at once: T5, then the transformer, then the VAE."""

    def function(job: CellJob, recorder: Recorder) -> None:
        embeddings = _encoded(job, recorder, t5())
        with recorder.phase("load"):
            pipeline = load(job, text_encoder=None)
            pipeline.transformer.to(job.device)
        latents = []
        for index, prompt in enumerate(embeddings):
            callback = recorder.on_step("denoise")
            arguments = embedded(prompt) | settings(job, index)
            latents.append(pipeline(**arguments, callback=callback, output_type="latent").images)
        pipeline.transformer = None
        release()
        with recorder.phase("load"):
            pipeline.vae.to(job.device)
        if is_tiled:
            pipeline.vae.enable_tiling()
        for picture in latents:
            recorder.save(_decoded(pipeline, picture))

    return function


@torch.no_grad()
def _decoded(pipeline: Any, latents: torch.Tensor) -> Any:
    image = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(image, output_type="pil")[0]


def _quantized(**bits: Any) -> Function:
    """T5 and the transformer quantized, everything on the GPU."""

    def function(job: CellJob, recorder: Recorder) -> None:
        config = diffusers.BitsAndBytesConfig(**_bits(bits, job))
        with recorder.phase("load"):
            transformer = PixArtTransformer2DModel.from_pretrained(
                job.checkpoint / "transformer", dtype=dtype(job), quantization_config=config
            )
            pipeline = load(job, text_encoder=t5_quantized(**bits)(job), transformer=transformer)
            pipeline.vae.to(job.device)  # the others are there: they are quantized on the GPU
        draw(pipeline, job, recorder)

    return function


INT8 = {"load_in_8bit": True}
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
FP4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}

STRATEGIES = (
    Strategy("staged", _staged(t5())),
    Strategy("staged-latents", _staged_latents(is_tiled=False)),
    Strategy("staged-tiling", _staged_latents(is_tiled=True)),
    Strategy("staged-max-memory", _staged(_t5_under_cap)),
    Strategy("staged-int8", _staged(t5_quantized(**INT8)), BITSANDBYTES),
    Strategy("staged-nf4", _staged(t5_quantized(**NF4)), BITSANDBYTES),
    Strategy("staged-fp4", _staged(t5_quantized(**FP4)), BITSANDBYTES),
    Strategy("staged-load-in-8bit", _staged(t5(**INT8)), BITSANDBYTES),
    Strategy("quantized-int8", _quantized(**INT8), BITSANDBYTES),
    Strategy("quantized-nf4", _quantized(**NF4), BITSANDBYTES),
    Strategy("quantized-fp4", _quantized(**FP4), BITSANDBYTES),
)
