"""A comparison in words: what each column saves and costs beside the reference.

Every figure here was measured; nothing is guessed. A difference is told on the scale of the noise floor, because a
PSNR says little by itself: another seed is another picture of the same prompt. Where something is missing (a
reference that failed, weights that are random, a run that is still to come) the sentence says so.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison, Memory, MemoryKind, Result, State
from pixart_ui.compare.summary import Column, Floor, columns, floor

MEMORY_TITLES: Mapping[MemoryKind, str] = {
    "reserved": "peak GPU memory, reserved by torch",
    "allocated": "peak GPU memory, allocated by torch",
    "weights": "weights of all components, in RAM",
}
STATE_WORDS: Mapping[State, str] = {
    State.DONE: "done",
    State.FAILED: "failed",
    State.UNAVAILABLE: "cannot run here",
    State.OUT_OF_MEMORY: "ran out of memory",
}
# Nothing is said of their memory where it is the same.
_LIGHT_AXES = frozenset({AxisName.SEED, AxisName.GUIDANCE, AxisName.SCHEDULER, AxisName.STEPS})
# Two peaks that are no further apart, as a part of the larger, are said to be the same.
SAME_MEMORY = 0.01
LEAST_SHARE, LARGEST_SHARE = 0.007, 1.2
MAX_PROMPT_CHARS = 60
_SHARES: Sequence[tuple[float, str]] = (
    (1 / 100, "a hundredth as much"),
    (1 / 50, "a fiftieth as much"),
    (1 / 20, "a twentieth as much"),
    (1 / 10, "a tenth as much"),
    (1 / 8, "an eighth as much"),
    (1 / 6, "a sixth as much"),
    (1 / 5, "a fifth as much"),
    (1 / 4, "a quarter as much"),
    (1 / 3, "a third as much"),
    (1 / 2, "half as much"),
    (2 / 3, "two thirds as much"),
    (3 / 4, "three quarters as much"),
    (1.0, "as much"),
)
_THAN_SEED = " as another seed does"


def headline(comparison: Comparison) -> str:
    """The comparison in one sentence: the column that saves the most, or what stands in the way of saying so."""
    found = columns(comparison)
    reference = reference_of(found)
    if reference is None or not reference.results:
        return "The reference is still to be run, so nothing can be measured against it yet."
    if not reference.done:
        return f"The reference has no picture to measure the others against: {_why_not(reference)}"
    others = [column for column in found if column.done and not column.is_reference]
    if not others:
        return _nothing_beside(found, reference)
    return _describe(comparison, min(others, key=_smallest_then_nearest), found)


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """A sentence for each column but the references, in the order of the sweep; what did not run says why."""
    found = columns(comparison)
    return tuple(_describe(comparison, column, found) for column in found if not column.is_reference)


def _describe(comparison: Comparison, column: Column, found: Sequence[Column]) -> str:
    """What a column saves and costs beside the reference that it shares its size and checkpoint with."""
    if not column.results:
        return f"{column.label} is still to be run."
    if not column.done:
        return _why_not(column)
    reference = reference_of(found, column)
    memory = _memory_clause(column, reference)
    picture = _picture_clause(comparison, column, reference, whose="its" if memory else f"{column.label}'s")
    said = "; ".join(clause for clause in (memory, picture) if clause)
    return f"{said or f'{column.label} is done'}.{_incomplete(column)}"


def reference_of(found: Iterable[Column], column: Column | None = None) -> Column | None:
    """The column that `column` is measured against; without one, the first reference."""
    references = [other for other in found if other.is_reference]
    if column is None or not column.results:
        return next(iter(references), None)
    keys = {result.reference for result in column.results}
    return next((other for other in references if keys & {result.key for result in other.results}), None)


def share_in_words(share: float) -> str:
    """A difference on the scale of another seed's: `about a fifth as much as another seed does`."""
    return _amount(share) + _THAN_SEED


def share_in_short(share: float | None) -> str:
    """The same beside a picture, where there is room for a few words."""
    if share is None:
        return ""
    if share == 0:
        return "identical to the reference"
    return f"differs {f'{share:.2f}' if share >= 0.01 else 'under 0.01'} × another seed"


def failure_in_words(result: Result) -> str:
    """Why a run has no picture: `ran out of memory: needs more than 6.0 GiB`."""
    reason = f": {result.reason.rstrip('.')}" if result.reason else ""
    return f"{STATE_WORDS[result.state]}{reason}"


def _amount(share: float) -> str:
    if share < LEAST_SHARE:
        return "less than a hundredth as much"
    if share > LARGEST_SHARE:
        return f"about {share:.1f} times as much"
    return f"about {min(_SHARES, key=lambda pair: abs(math.log(share / pair[0])))[1]}"


def _memory_clause(column: Column, reference: Column | None) -> str:
    mine, other = column.memory, reference.memory if reference is not None else None
    if reference is None or mine is None or other is None or mine.kind != other.kind:
        return ""
    subject, owner = _owner(column.label, mine), _owner(reference.label, mine, is_object=True)
    less = other.bytes - mine.bytes
    if abs(less) <= SAME_MEMORY * max(other.bytes, mine.bytes):
        return "" if set(column.values) <= _LIGHT_AXES else f"{subject} as much memory as {owner}"
    return f"{subject} {show_bytes(abs(less))} {'less' if less > 0 else 'more'} than {owner}"


def _owner(label: str, memory: Memory, *, is_object: bool = False) -> str:
    """Peaks are held by a run, weights are its own."""
    if memory.kind == "weights":
        return f"{label}'s" if is_object else f"{label}'s weights take"
    return label if is_object else f"{label} holds"


def _picture_clause(comparison: Comparison, column: Column, reference: Column | None, *, whose: str) -> str:
    distance = column.rms_levels
    if not comparison.has_quality or reference is None or distance is None:
        return ""
    is_one = len(column.done) == 1
    picture = f"{whose} picture{'' if is_one else 's'}"
    differs, equals = ("differs", "is") if is_one else ("differ", "are")
    if distance == 0:
        return f"{picture} {equals} identical to {reference.label}'s"
    noise = floor(comparison)
    start = f"{picture} {differs} from {reference.label}"
    if noise.repeated is not None and distance <= noise.repeated:
        return f"{start} no more than {reference.label} repeated does"
    share = noise.share(distance)
    if share is None:
        return f"{start} by {distance:.1f} levels of 255"
    worst = _at_worst(comparison, column, noise)
    return f"{start} {share_in_words(share)}" if not worst else f"{start} {share_in_words(share)} on average, {worst}"


def _at_worst(comparison: Comparison, column: Column, noise: Floor) -> str:
    """Of several rows the worst, where its difference has another word than the mean's."""
    spread, distance = column.figures.get("rms_levels"), column.rms_levels
    if spread is None or spread.count < 2 or distance is None:
        return ""
    mean, worst = noise.share(distance), noise.share(spread.high)
    if mean is None or worst is None or _amount(mean) == _amount(worst):
        return ""
    prompt = comparison.prompt(spread.worst)
    shown = textwrap.shorten(prompt, MAX_PROMPT_CHARS, placeholder="…")
    return f"and at worst {_amount(worst)} (“{shown}”)"


def _why_not(column: Column) -> str:
    return f"{column.label} {failure_in_words(column.failures[0])}."


def _nothing_beside(found: Sequence[Column], reference: Column) -> str:
    failed = next((column for column in found if column.failures and not column.done), None)
    if failed is None:
        return f"Only {reference.label} has been run so far, there is nothing to compare it with."
    return f"Only {reference.label} has a picture, there is nothing to compare it with: {_why_not(failed)}"


def _incomplete(column: Column) -> str:
    if not column.failures:
        return ""
    why = failure_in_words(column.failures[0])
    return f" {len(column.failures)} of its {column.num_rows} runs gave no picture ({why})."


def _smallest_then_nearest(column: Column) -> tuple[float, float]:
    return (
        column.memory.bytes if column.memory is not None else math.inf,
        column.rms_levels if column.rms_levels is not None else math.inf,
    )
