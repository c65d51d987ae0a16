"""Pictures from the checkpoint by the stock pipeline: contact sheets, and what the checker says of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pixart_ui.tiny.captions import describe
from pixart_ui.tiny.models import IMAGE_SIZE
from pixart_ui.tiny.world import sample_scene


def load_pipeline(folder: Path, device: str) -> Any:
    """The stock pipeline on the device, computing in fp32."""
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel
    from transformers import T5EncoderModel, T5Tokenizer

    pipeline = PixArtSigmaPipeline(
        tokenizer=T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        transformer=PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler"),
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pictures(
    pipeline: Any, captions: Sequence[str], *, guidance: float = 4.5, steps: int = 20, batch: int = 50
) -> list[Image.Image]:
    """One 256² picture a caption; the seed is the caption's place in the list."""
    found: list[Image.Image] = []
    for start in range(0, len(captions), batch):
        part = list(captions[start : start + batch])
        generators = [torch.Generator("cpu").manual_seed(start + index) for index in range(len(part))]
        found += pipeline(
            part,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            height=IMAGE_SIZE,
            width=IMAGE_SIZE,
        ).images
    return found


def sheet(images: Sequence[Image.Image], columns: int = 8, side: int = IMAGE_SIZE) -> Image.Image:
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * side, rows * side), "white")
    for index, image in enumerate(images):
        canvas.paste(image.resize((side, side)), (index % columns * side, index // columns * side))
    return canvas


def varied_captions(count: int = 64, seed: int = 64) -> list[str]:
    """Freshly worded captions of random scenes."""
    rng = random.Random(seed)
    return [describe(sample_scene(rng), rng).text for _ in range(count)]
