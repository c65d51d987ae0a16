"""Making a picture again in a larger size: at the full size that its checkpoint worked at, or with a larger sibling.

PixArt draws at the sizes that it was trained at, its bins; there is no larger one within a checkpoint. So a larger
picture is the full one that was shrunk before it was saved, the same to the pixel, or one that a checkpoint with larger
bins draws from the same words and seed, which is another picture. Pure values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixart_ui import bins
from pixart_ui.bins import Size
from pixart_ui.catalog import Checkpoint
from pixart_ui.presets import Styles
from pixart_ui.request import ResolvedRequest


@dataclass(frozen=True)
class Larger:
    """A size that can be had, and by which checkpoint. `is_same_picture`: only the shrinking is left out."""

    checkpoint: str
    title: str
    size: Size
    is_same_picture: bool


def offered(request: ResolvedRequest, here: Sequence[Checkpoint]) -> tuple[Larger, ...]:
    """The larger sizes for a picture, smallest first; `here` are the checkpoints on this disk."""
    own = next((checkpoint for checkpoint in here if checkpoint.name == request.checkpoint), None)
    found: list[Larger] = []
    if own is not None and _is_larger(request.bin, request.size):
        found.append(Larger(own.name, own.title, request.bin, is_same_picture=True))
    found += [_by(checkpoint, request) for checkpoint in siblings(request, here, own)]
    return tuple(sorted(found, key=lambda entry: entry.size.width * entry.size.height))


def siblings(
    request: ResolvedRequest, checkpoints: Iterable[Checkpoint], own: Checkpoint | None
) -> tuple[Checkpoint, ...]:
    """Those of the same family and kind with larger bins; a local folder is nobody's sibling."""
    if own is None or own.folder is not None or not own.has_guidance:
        return ()
    return tuple(
        checkpoint
        for checkpoint in checkpoints
        if checkpoint.family == own.family
        and checkpoint.has_guidance
        and checkpoint.folder is None
        and checkpoint.sample_size > own.sample_size
        and _is_larger(bins.nearest(request.size, checkpoint.sample_size), request.size)
    )


def asked(request: ResolvedRequest, larger: Larger, checkpoint: Checkpoint, styles: Styles) -> Mapping[str, Any]:
    """The fields of the request that makes it: everything as it was, but for size and checkpoint."""
    has_style = request.style is not None and request.style in styles.names(checkpoint.name)
    plain = has_style or request.style is None
    return {
        "prompt": request.prompt if plain else request.full_prompt,
        "negative_prompt": request.negative_prompt if plain else request.full_negative_prompt,
        "style": request.style if has_style else None,
        "checkpoint": checkpoint.name,
        "precision": request.precision,
        "transformer_precision": None if request.is_transformer_usual else request.transformer_precision,
        "numerics": request.numerics,
        "compile_blocks": request.compile_blocks,
        "width": larger.size.width,
        "height": larger.size.height,
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "scheduler": request.scheduler if request.scheduler in checkpoint.schedulers else None,
        "seed": request.seed,
    }


def _by(checkpoint: Checkpoint, request: ResolvedRequest) -> Larger:
    size = bins.nearest(request.size, checkpoint.sample_size)
    return Larger(checkpoint.name, checkpoint.title, size, is_same_picture=False)


def _is_larger(size: Size, than: Size) -> bool:
    return size.width * size.height > than.width * than.height * 1.05
