"""What the Compare tab offers for each axis: values to tick, and which are ticked first. Pure values, no Gradio.

Only what makes sense for the checkpoint in the form; any other value can be written beside them. What stands first
among those ticked is the reference, so the best or the usual value comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pixart_ui.compare.axes import AxisName, canonical, label
from pixart_ui.compare.strategies import OURS_DESCRIPTIONS, THEIRS
from pixart_ui.compare.sweep import DEFAULT_PRECISIONS
from pixart_ui.request import Numerics, Precision, TransformerPrecision
from pixart_ui.ui.offer import Choices, Offer

STEPS = (50, 40, 30, 20, 14, 10, 8, 6, 4, 2, 1)
GUIDANCE = (1.0, 2.0, 3.0, 4.5, 6.0, 8.0)
BUDGETS_GIB = (1, 2, 4, 6, 8, 12)
# Those of diffusers that its guides to less memory lead to; the others can be written.
GUIDES = (
    "model-offload", "sequential-offload", "group-leaf-stream", "layerwise-fp8", "staged-int8", "staged-nf4",
    "vae-tiling",
)  # fmt: skip
NUM_SEEDS = 6


@dataclass(frozen=True)
class AxisChoices:
    """`choices` are pairs of what is shown and what is sent, `ticked` some of what is sent."""

    choices: Choices
    ticked: tuple[str, ...]


def axis_choices(name: AxisName, offer: Offer, checkpoints: Iterable[tuple[str, str]]) -> AxisChoices:
    """`checkpoints` are title and name of those on this disk."""
    match name:
        case AxisName.PRECISION:
            return _of(name, Precision, DEFAULT_PRECISIONS)
        case AxisName.TRANSFORMER_PRECISION:
            return _of(name, TransformerPrecision, ("fp16", "int8", "nf4"))
        case AxisName.STRATEGY:
            budgets = (f"ours@{size}GiB" for size in BUDGETS_GIB)
            return _of(
                name, ("staged", *OURS_DESCRIPTIONS, *budgets, *(THEIRS + peer for peer in GUIDES)), OURS_DESCRIPTIONS
            )
        case AxisName.NUMERICS:
            return _of(name, (Numerics.EXACT, Numerics.FAST), (Numerics.EXACT, Numerics.FAST))
        case AxisName.SCHEDULER:
            schedulers = [sent for _, sent in offer.schedulers]
            return _of(name, (offer.scheduler, *schedulers), schedulers)
        case AxisName.STEPS:
            return _of(name, _steps(offer), (offer.steps, max(1, offer.steps // 2)))
        case AxisName.GUIDANCE:
            return _of(name, (offer.guidance_scale, *GUIDANCE), (offer.guidance_scale, 2.0))
        case AxisName.SIZE:
            sizes = [sent for _, sent in offer.shapes]
            return _of(name, (offer.size, *sizes), sizes[:2])
        case AxisName.CHECKPOINT:
            found = tuple(checkpoints)
            return AxisChoices(found, tuple(sent for _, sent in found)[:2])
        case AxisName.SEED:
            return _of(name, range(NUM_SEEDS), range(3))


def in_order(chosen: Iterable[str], choices: Choices) -> list[str]:
    """What is ticked, in the order in which it is offered, whichever was pressed first; what is not offered last."""
    places = {sent: place for place, (_, sent) in enumerate(choices)}
    return sorted(chosen, key=lambda value: places.get(value, len(places)))


def _steps(offer: Offer) -> list[int]:
    steps = {offer.steps, max(1, offer.steps // 2), *(count for count in STEPS if count <= offer.max_steps)}
    return sorted(steps, reverse=True)


def _of(name: AxisName, values: Iterable[object], ticked: Iterable[object]) -> AxisChoices:
    """Each value once, in the one spelling of it."""
    sent = list(dict.fromkeys(canonical(name, str(value)) for value in values))
    first = {canonical(name, str(value)) for value in ticked}
    return AxisChoices(
        tuple((label(name, value), value) for value in sent), tuple(value for value in sent if value in first)
    )
