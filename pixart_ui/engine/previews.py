"""A rough picture from latents without any network: one matrix product, good enough to watch.

The factors are least-squares fits of RGB on the latents of each VAE; a checkpoint folder may bring its own in
`vae/latent_rgb.json` (`factors`: 4 rows of 3, `bias`: 3). Sources: ComfyUI's published fits for the Stable Diffusion
and SDXL autoencoders, which α and Σ use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

PREVIEW_SCALE = 4


@dataclass(frozen=True)
class LatentRgb:
    """RGB in -1 … 1 is `latents · factors + bias`."""

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


ALPHA = LatentRgb(
    ((0.3512, 0.2297, 0.3227), (0.3250, 0.4974, 0.2350), (-0.2829, 0.1762, 0.2721), (-0.2120, -0.2616, -0.7177))
)
SIGMA = LatentRgb(
    ((0.3651, 0.4232, 0.4341), (-0.2533, -0.0042, 0.1068), (0.1076, 0.1111, -0.0362), (-0.3165, -0.2492, -0.2188)),
    (0.1084, -0.0175, -0.0011),
)


def latent_rgb(vae_folder: Path, family: str) -> LatentRgb:
    """The checkpoint's own factors if it brings any, else its family's."""
    try:
        values = json.loads((vae_folder / "latent_rgb.json").read_text(encoding="utf-8"))
        return LatentRgb(tuple(tuple(row) for row in values["factors"]), tuple(values["bias"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ALPHA if family == "alpha" else SIGMA


@torch.no_grad()
def preview(latents: torch.Tensor, rgb: LatentRgb) -> Image.Image:
    """A small picture, `PREVIEW_SCALE` pixels for each latent one."""
    values = latents[0].float().cpu()
    factors = torch.tensor(rgb.factors)
    pixels = torch.einsum("chw,cr->hwr", values, factors) + torch.tensor(rgb.bias)
    pixels = ((pixels + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    image = Image.fromarray(pixels.numpy())
    return image.resize((image.width * PREVIEW_SCALE, image.height * PREVIEW_SCALE), Image.Resampling.BILINEAR)
