"""A rough picture from latents without any network: one matrix product, good enough to watch.

The factors are least-squares fits of RGB on the latents of each VAE; a checkpoint folder may bring its own in
`vae/latent_rgb.json` (`factors`: 4 rows of 3, `bias`: 3). Sources: ComfyUI's published fits for the Stable Diffusion
and SDXL autoencoders, which α and Σ use.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pixart_ui.engine.denoise import Step

PREVIEW_SCALE = 4
PREVIEWS_A_PICTURE = 8
# More often than this nobody sees them, and on a fast GPU each takes a hundredth of the picture's time.
SECONDS_BETWEEN = 0.2


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
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ALPHA if family == "alpha" else SIGMA


class Previewer:
    """Makes previews beside the steps: on a GPU a preview comes a step late, so that no step waits for the host."""

    def __init__(self, rgb: LatentRgb, device: torch.device) -> None:
        """Before the first step is queued: copying to a GPU waits for what is."""
        self._factors = torch.tensor(rgb.factors, device=device)
        self._bias = torch.tensor(rgb.bias, device=device)
        self._begun: tuple[torch.Tensor, Any] | None = None
        self._last_begun = -math.inf

    def after(self, step: Step) -> Image.Image | None:
        """A preview that is ready; one of this step is begun if it is its turn."""
        if step.number % -(-step.total // PREVIEWS_A_PICTURE) == 0:
            self.begin(step.clean_latents if step.clean_latents is not None else step.latents)
        return self.take()

    @torch.no_grad()
    def begin(self, latents: torch.Tensor) -> None:
        """Queue a preview of `[1, 4, h, w]` latents, unless one was begun just now."""
        if time.monotonic() - self._last_begun < SECONDS_BETWEEN:
            return
        self._last_begun = time.monotonic()
        pixels = torch.einsum("chw,cr->hwr", latents[0].float(), self._factors) + self._bias
        pixels = ((pixels + 1) * 127.5).clamp(0, 255).to(torch.uint8)
        if pixels.is_cuda:
            host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            host.copy_(pixels, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
            self._begun = host, arrived
        else:
            self._begun = pixels, None

    def take(self) -> Image.Image | None:
        """The preview if it has arrived, once."""
        if self._begun is None:
            return None
        pixels, arrived = self._begun
        if arrived is not None and not arrived.query():
            return None
        self._begun = None
        image = Image.fromarray(pixels.numpy())
        return image.resize((image.width * PREVIEW_SCALE, image.height * PREVIEW_SCALE), Image.Resampling.BILINEAR)


def preview(latents: torch.Tensor, rgb: LatentRgb) -> Image.Image:
    """A small picture at once, `PREVIEW_SCALE` pixels for each latent one."""
    previewer = Previewer(rgb, torch.device("cpu"))
    previewer.begin(latents.cpu())
    image = previewer.take()
    assert image is not None
    return image
