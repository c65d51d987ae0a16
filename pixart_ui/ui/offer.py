"""What the form offers for a checkpoint: its choices, ranges and defaults. Pure values, no Gradio.

Sizes travel through the form as text, `1216x832`, as `request.parse_size` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixart_ui import bins
from pixart_ui.bins import Size
from pixart_ui.catalog import Checkpoint
from pixart_ui.quality import qualities
from pixart_ui.request import Precision
from pixart_ui.services import Services, presets_dir
from pixart_ui.ui import words
from pixart_ui.ui.words import single as single_words

Choices = tuple[tuple[str, str], ...]
MAX_OFFERED_STEPS = 60
MAX_OFFERED_STEPS_DISTILLED = 8


@dataclass(frozen=True)
class Offer:
    """`choices` are pairs of what is shown and what is sent."""

    checkpoint: str
    styles: Choices
    shapes: Choices
    sizes: Choices
    schedulers: Choices
    qualities: Choices
    precisions: Choices
    transformer_precisions: Choices
    size: str
    scheduler: str
    steps: int
    max_steps: int
    has_steps: bool
    guidance_scale: float
    has_guidance: bool
    is_small: bool
    examples: Sequence[str]


def offer(services: Services, checkpoint: Checkpoint) -> Offer:
    is_small = checkpoint.name == "tiny"
    return Offer(
        checkpoint=checkpoint.name,
        styles=((words.NO_STYLE, ""), *((name, name) for name in own_styles(services, checkpoint))),
        shapes=shapes(checkpoint),
        sizes=tuple((words.size_label(*size), size_value(size)) for size in bins.sizes(checkpoint.sample_size)),
        schedulers=tuple((str(name), str(name)) for name in checkpoint.schedulers),
        qualities=quality_choices(checkpoint),
        precisions=precisions(is_small=is_small),
        transformer_precisions=transformer_precisions(is_small=is_small),
        size=size_value(checkpoint.default_size),
        scheduler=str(checkpoint.default_scheduler),
        steps=checkpoint.default_steps,
        max_steps=MAX_OFFERED_STEPS if checkpoint.has_guidance else MAX_OFFERED_STEPS_DISTILLED,
        has_steps=checkpoint.timesteps is None,
        guidance_scale=checkpoint.default_guidance,
        has_guidance=checkpoint.has_guidance,
        is_small=is_small,
        examples=words.EXAMPLES_TINY if is_small else words.EXAMPLES_LARGE,
    )


def own_styles(services: Services, checkpoint: Checkpoint) -> tuple[str, ...]:
    """The styles made for this checkpoint, where there are any; otherwise those for all. Then a person's own."""
    personal = services.styles.personal()
    general = tuple(name for name in services.styles.names("") if name not in personal)
    own = tuple(name for name in services.styles.names(checkpoint.name) if name not in (*general, *personal))
    return (*(own if own else general), *personal)


def shapes(checkpoint: Checkpoint) -> Choices:
    """The short list: for each ratio the bin that the checkpoint would work at, each bin once."""
    found: dict[str, str] = {}
    for label, ratio in words.SHAPES:
        size = bins.nearest(Size(1000, round(1000 * ratio)), checkpoint.sample_size)
        found.setdefault(size_value(size), f"{label}\n{words.size_label(*size)}")
    return tuple((label, value) for value, label in found.items())


def quality_choices(checkpoint: Checkpoint) -> Choices:
    """What each sets, visibly; it travels as that: `20 dpm++`."""
    return tuple(
        (
            single_words.QUALITY_CHOICE.format(name=each.name, steps=each.steps, scheduler=each.scheduler),
            quality_value(each.steps, str(each.scheduler)),
        )
        for each in qualities(presets_dir(), checkpoint)
    )


def quality_value(steps: int, scheduler: str) -> str:
    return f"{steps} {scheduler}"


def precisions(*, is_small: bool) -> Choices:
    return tuple(
        (label if is_small else f"{label}\n{words.PRECISION_COSTS[precision]}", str(precision))
        for precision, label in words.PRECISION_LABELS.items()
    )


def transformer_precisions(*, is_small: bool) -> Choices:
    """The rule first, as the empty value."""
    return (
        (words.TRANSFORMER_PRECISION_USUAL, ""),
        *(
            (f"{precision}: {effect}" if is_small else f"{precision}: {cost}, {effect}", str(precision))
            for precision, effect in words.TRANSFORMER_PRECISION_EFFECTS.items()
            for cost in (words.TRANSFORMER_PRECISION_COSTS[precision],)
        ),
    )


def precision_effect(precision: object, *, is_small: bool) -> str:
    """One line on what a precision costs; nothing for a name that is none."""
    if is_small:
        return words.PRECISION_TINY
    return words.PRECISION_EFFECTS[Precision(precision)] if precision in list(Precision) else ""


def size_value(size: Size) -> str:
    return f"{size.width}x{size.height}"
