"""Phase three: latents to a picture at its final size."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.image_processor import PixArtImageProcessor
from PIL import Image

from pixart_ui.request import ResolvedRequest


@torch.no_grad()
def decode(vae: Any, latents: torch.Tensor, request: ResolvedRequest) -> Image.Image:
    """Decode `[1, 4, h / 8, w / 8]` latents, then scale and crop the bin to the size that was asked for."""
    pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    pixels = PixArtImageProcessor.resize_and_crop_tensor(pixels, request.width, request.height)
    return cast(Image.Image, PixArtImageProcessor().postprocess(pixels, output_type="pil")[0])
