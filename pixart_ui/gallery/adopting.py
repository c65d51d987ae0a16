"""Settings that a picture names, made to fit what is here: the checkpoints, styles and sizes that can be asked for.

Whatever cannot be honoured is left at its default and named in words; nothing is changed in silence. The rules are the
request's own: a value is taken out when `request.py` refuses it, with that sentence. Knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui import bins
from pixart_ui.bins import Size
from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import InputError
from pixart_ui.gallery.taken import OURS, Taken
from pixart_ui.presets import Styles
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve

OTHER_MODEL = "The seed is set, but another model made that picture: PixArt draws another one from it"
# What a form asks for, as far as a picture can name it.
_FIELDS = tuple(name for name in GenerationRequest.model_fields if name != "num_images")


@dataclass(frozen=True)
class Adopted:
    """What the form is filled with, and what could not be honoured, a sentence each."""

    request: ResolvedRequest
    dropped: tuple[str, ...]


def adopt(taken: Taken, here: Sequence[Checkpoint], default: Checkpoint, styles: Styles) -> Adopted:
    """`here` are the checkpoints on this disk, `default` is for a picture of another one. Raises InputError."""
    dropped = list(taken.dropped)
    checkpoint = _checkpoint(taken, here, default, dropped)
    if taken.request is not None and checkpoint.name == taken.request.checkpoint:
        again = _again(taken.request, checkpoint, styles)
        if again == taken.request:
            return Adopted(again, tuple(dropped))
    settings = {name: value for name, value in taken.settings.items() if name in _FIELDS and value is not None}
    settings["checkpoint"] = checkpoint.name
    _fit_style(taken, settings, checkpoint, styles, dropped)
    _fit_size(settings, checkpoint, dropped)
    request = _resolved(settings, checkpoint, styles, dropped)
    if taken.source != OURS and "seed" in settings:
        dropped.append(OTHER_MODEL)
    return Adopted(request, tuple(dropped))


def _again(request: ResolvedRequest, checkpoint: Checkpoint, styles: Styles) -> ResolvedRequest | None:
    """What the same settings resolve to today; None where they cannot be asked for."""
    try:
        asked = GenerationRequest.parse(_asked(request))
        style = styles.get(request.style, checkpoint.name)
        return resolve(asked, checkpoint, style, random_seed=0)[0]
    except InputError:
        return None


def _asked(request: ResolvedRequest) -> Mapping[str, Any]:
    values = request.model_dump(mode="json")
    return {name: values[name] for name in _FIELDS}


def _checkpoint(taken: Taken, here: Sequence[Checkpoint], default: Checkpoint, dropped: list[str]) -> Checkpoint:
    """The one that made it, if it is here: by its name, its title, or its folder's name."""
    name = str(taken.settings.get("checkpoint") or "")
    if not name:
        return default
    for checkpoint in here:
        if name in (checkpoint.name, checkpoint.title, Path(checkpoint.name).name):
            return checkpoint
    dropped.append(f"Checkpoint {Path(name).name[:60]}: it is not on this disk, so {default.title} stays")
    return default


def _fit_style(
    taken: Taken, settings: dict[str, Any], checkpoint: Checkpoint, styles: Styles, dropped: list[str]
) -> None:
    """A style that is not here, or has other words here, leaves its words in the prompt."""
    name, request = settings.get("style"), taken.request
    if not name or request is None:
        return
    style = styles.get(name, checkpoint.name) if name in styles.names(checkpoint.name) else None
    if style is not None and style.apply(request.prompt) == request.full_prompt:
        return
    settings.update(prompt=request.full_prompt, negative_prompt=request.full_negative_prompt, style=None)
    why = "is worded in another way here" if style is not None else f"is not here for {checkpoint.title}"
    dropped.append(f"Style {name[:60]}: it {why}, so its words stand in the prompt")


def _fit_size(settings: dict[str, Any], checkpoint: Checkpoint, dropped: list[str]) -> None:
    """One that is too large, or too narrow, becomes the nearest shape that the checkpoint works at."""
    width, height = settings.get("width"), settings.get("height")
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) < 1:
        return
    size, longest = Size(width, height), bins.longest_side(checkpoint.sample_size)
    if max(size) <= longest and 1 / 4.2 <= height / width <= 4.2:
        return
    settings["width"], settings["height"] = nearest = bins.nearest(size, checkpoint.sample_size)
    dropped.append(f"Size {size}: {checkpoint.title} has {nearest} for that shape")


def _resolved(settings: dict[str, Any], checkpoint: Checkpoint, styles: Styles, dropped: list[str]) -> ResolvedRequest:
    """Without whatever is refused, one setting after the other."""
    while True:
        try:
            asked = GenerationRequest.parse(settings)
            style = styles.get(asked.style, checkpoint.name)
            return resolve(asked, checkpoint, style, random_seed=0)[0]
        except InputError as error:
            field = error.field
            if field in ("width", "height"):
                settings.pop("height", None)
                field = "width"
            if field is None or field == "prompt" or settings.pop(field, None) is None:
                raise
            dropped.append(error.message.rstrip("."))
