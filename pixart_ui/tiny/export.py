"""Writing the checkpoint in the Hub's layout: fp16 safetensors, in shards that no file exceeds 14 MiB with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from pixart_ui.tiny import models

SHARD = "12MB"


def save(folder: Path, *, vae: Any = None, text_encoder: Any = None, transformer: Any = None) -> None:
    """Write the parts that are given, and the small files beside them."""
    parts = {"vae": vae, "text_encoder": text_encoder, "transformer": transformer}
    for name, module in parts.items():
        if module is not None:
            copy = _half_copy(module)
            copy.save_pretrained(folder / name, max_shard_size=SHARD)
    models.scheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "PixArtSigmaPipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _half_copy(module: Any) -> Any:
    """A copy in fp16 on the CPU, in the default memory layout; the module itself stays as it is."""
    import copy

    twin = copy.deepcopy(module).to("cpu", torch.float16)
    return twin.to(memory_format=torch.contiguous_format)


def latent_rgb(vae: Any, pictures: torch.Tensor) -> dict[str, Any]:
    """Least-squares factors from scaled latents to RGB, for previews (see `engine/previews.py`)."""
    pixels = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode().float() * vae.config.scaling_factor
    small = torch.nn.functional.avg_pool2d(pixels, 8)
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
    solution = torch.linalg.lstsq(rows.double().cpu(), small.permute(0, 2, 3, 1).reshape(-1, 3).double().cpu()).solution
    factors = [[round(float(value), 4) for value in row] for row in solution]
    return {"factors": factors[:-1], "bias": factors[-1]}
