"""Phase three: latents to a picture at its final size."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from diffusers.image_processor import PixArtImageProcessor
from PIL import Image

from pixart_ui.engine import fused
from pixart_ui.request import Numerics, ResolvedRequest

LATENT_PIXELS = 8


@torch.no_grad()
def decode(vae: Any, latents: torch.Tensor, request: ResolvedRequest, tile: int | None = None) -> Image.Image:
    """Decode `[1, 4, h / 8, w / 8]` latents, then scale and crop the bin to the size that was asked for.

    `tile` is the side in pixels of the overlapping pieces that are decoded one after the other; None is all at once.
    """
    return Image.fromarray(decoded_bytes(vae, latents, request, tile).cpu().numpy())


@torch.no_grad()
def decoded_bytes(vae: Any, latents: torch.Tensor, request: ResolvedRequest, tile: int | None = None) -> torch.Tensor:
    """The same as bytes `[height, width, 3]`, still where the VAE is."""
    _set_tile(vae, tile)
    with fused.spread_group_norms(vae) if request.numerics is Numerics.FAST else nullcontext():
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    pixels = PixArtImageProcessor.resize_and_crop_tensor(pixels, request.width, request.height)
    return _to_bytes(pixels)[0]


def _to_bytes(pixels: torch.Tensor) -> torch.Tensor:
    """`[n, 3, h, w]` from -1 to 1 as bytes `[n, h, w, 3]`, with the roundings of the stock image processor.

    Done where the pixels are: it takes a GPU no time, and the host a twentieth of a second.
    """
    values = (pixels * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float()
    return (values * 255).round().nan_to_num().to(torch.uint8).contiguous()


def _set_tile(vae: Any, tile: int | None) -> None:
    """The library's own defaults differ from one checkpoint to the next, so both sizes are always set."""
    vae.use_tiling = tile is not None
    if tile is not None:
        vae.tile_sample_min_size = tile
        vae.tile_latent_min_size = tile // LATENT_PIXELS
