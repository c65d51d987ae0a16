"""In what pictures differ, as the axes of a comparison that makes them again side by side, measured.

A comparison has two axes at most, and prompts. What differs beyond that is taken from the first picture and named.
Seeds differ by chance as a rule: they are an axis only where nothing else is. Pure values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pixart_ui.compare.axes import Axis, AxisName, canonical
from pixart_ui.compare.sweep import MAX_AXES
from pixart_ui.request import ResolvedRequest

Read = Callable[[ResolvedRequest], object]
# What says most of a picture's look and cost first.
_READ: Mapping[AxisName, Read] = {
    AxisName.CHECKPOINT: lambda request: request.checkpoint,
    AxisName.PRECISION: lambda request: request.precision,
    AxisName.SCHEDULER: lambda request: request.scheduler,
    AxisName.STEPS: lambda request: request.steps,
    AxisName.GUIDANCE: lambda request: request.guidance_scale,
    AxisName.SIZE: lambda request: f"{request.width}x{request.height}",
    AxisName.TRANSFORMER_PRECISION: lambda request: request.transformer_precision,
    AxisName.NUMERICS: lambda request: request.numerics,
}
_OTHERS: Mapping[str, Read] = {
    "style": lambda request: request.style,
    "negative prompt": lambda request: request.negative_prompt,
}


@dataclass(frozen=True)
class Differences:
    """`prompts` are empty where all are the same; `left` names what differs and is the first picture's for all."""

    axes: tuple[Axis, ...]
    prompts: tuple[str, ...]
    left: tuple[str, ...]


def differences(requests: Sequence[ResolvedRequest]) -> Differences:
    """Of one picture or more; the first one's values come first."""
    found = [axis for name in _READ if (axis := _axis(name, _READ[name], requests)) is not None]
    if any(axis.name is AxisName.PRECISION for axis in found):
        found = [axis for axis in found if not _follows(axis, requests)]
    prompts = tuple(dict.fromkeys(request.prompt for request in requests))
    left = [str(axis.name) for axis in found[MAX_AXES:]]
    left += [name for name, read in _OTHERS.items() if len({read(request) for request in requests}) > 1]
    seeds = _axis(AxisName.SEED, lambda request: request.seed, requests)
    if seeds is not None:
        if found or len(prompts) > 1:
            left.append(str(AxisName.SEED))
        else:
            found = [seeds]
    return Differences(tuple(found[:MAX_AXES]), prompts if len(prompts) > 1 else (), tuple(left))


def _axis(name: AxisName, read: Read, requests: Sequence[ResolvedRequest]) -> Axis | None:
    values = tuple(dict.fromkeys(canonical(name, str(read(request))) for request in requests))
    return Axis(name, values) if len(values) > 1 else None


def _follows(axis: Axis, requests: Sequence[ResolvedRequest]) -> bool:
    """The transformer's precision where nobody chose it: it goes with the text encoder's."""
    return axis.name is AxisName.TRANSFORMER_PRECISION and all(request.is_transformer_usual for request in requests)
