"""Which should I use? An answer for a device's free memory or budget, from what was measured, with its reason.

Of the columns that fit, the one whose pictures are nearest to the reference's; of several as near, the quickest; of
several as quick, the smallest. Only where memory, time and distance can decide: another seed or size is a matter of
taste. With random weights nothing is said about quality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.summary import Column, columns, floor

# The others change what is drawn, or are a matter of taste. Seeds beside one of these are rows.
DECIDABLE = frozenset({AxisName.PRECISION, AxisName.TRANSFORMER_PRECISION, AxisName.STRATEGY, AxisName.NUMERICS})
# Two columns no further apart than this are alike: in time as a part of the quicker, in difference as one of a seed's.
SAME_SECONDS, SAME_SHARE = 0.1, 0.01


@dataclass(frozen=True)
class Advice:
    """Which column to use and why; `column` is None where the figures do not choose."""

    column: Column | None
    sentence: str


def advise(comparison: Comparison, free_bytes: int | None) -> Advice:
    """The column to use where so many bytes are free; None for as many as it takes."""
    if taste := _taste(comparison):
        return Advice(None, f"Memory and time do not choose a {taste}: look at the pictures.")
    usable = [column for column in columns(comparison) if column.done and column.memory is not None]
    if not usable:
        return Advice(None, "No run has been measured yet, so there is nothing to recommend.")
    fitting = [column for column in usable if free_bytes is None or _bytes(column) <= free_bytes]
    if not fitting:
        least = min(usable, key=_bytes)
        return Advice(
            None,
            f"Nothing here fits in {_room(free_bytes)}: {least.label} takes the least, {_size(least)}.",
        )
    return _Choice(comparison, fitting).advice(usable, free_bytes)


class _Choice:
    """What is left after each question: who fits, who of them is nearest, who of those is quickest."""

    def __init__(self, comparison: Comparison, fitting: Sequence[Column]) -> None:
        self._is_random = not comparison.has_quality
        self._fitting = fitting
        self._has_distance = not self._is_random and all(column.rms_levels is not None for column in fitting)
        self._near = self._nearest(comparison) if self._has_distance else list(fitting)
        self._quick = self._quickest()
        self.column = min(self._quick, key=_bytes)

    def advice(self, usable: Sequence[Column], free_bytes: int | None) -> Advice:
        sentence = f"Use {self.column.label}: {self._reason()}, with {_size(self.column)}{_and_time(self.column)}."
        return Advice(self.column, " ".join(filter(None, (sentence, self._nearer(usable, free_bytes), self._unsaid()))))

    def _nearest(self, comparison: Comparison) -> list[Column]:
        noise = floor(comparison)
        tolerance = max(noise.repeated or 0.0, SAME_SHARE * (noise.other_seed or 0.0))
        nearest = min(_distance(column) for column in self._fitting)
        return [column for column in self._fitting if _distance(column) <= nearest + tolerance]

    def _quickest(self) -> list[Column]:
        quickest = min(_seconds(column) for column in self._near)
        return [column for column in self._near if _seconds(column) <= quickest * (1 + SAME_SECONDS)]

    def _reason(self) -> str:
        if len(self._fitting) == 1:
            return "it is the only one that fits"
        if self._has_distance and len(self._near) == 1:
            return (
                "it fits, and the others are measured against it"
                if self.column.is_reference
                else "of those that fit its pictures are nearest to the reference's"
            )
        return f"of the {len(self._near)} {self._alike()} it is {self._best()}"

    def _alike(self) -> str:
        if not self._has_distance:
            return "that fit"
        return "whose pictures hardly differ" if any(map(_distance, self._near)) else "that draw the same picture"

    def _best(self) -> str:
        return "the quickest" if len(self._quick) == 1 else "the smallest of the quickest"

    def _nearer(self, usable: Sequence[Column], free_bytes: int | None) -> str:
        """What would be better if it fitted."""
        left_out = [column for column in usable if column not in self._fitting]
        better = [column for column in left_out if _distance(column) < min(map(_distance, self._near))]
        if not better or not self._has_distance:
            return ""
        nearest = min(better, key=_distance)
        return f"{nearest.label} would be nearer, but takes {_size(nearest)} where {_room(free_bytes)} are free."

    def _unsaid(self) -> str:
        if self._is_random:
            return "The weights are random, so nothing is said about quality."
        return "" if self._has_distance else "Quality was not measured for all of them, so it has no say here."


def _taste(comparison: Comparison) -> str | None:
    """The axis that figures cannot choose along, in a word."""
    names = [axis.name for axis in comparison.sweep.axes]
    if AxisName.SEED in names and comparison.sweep.subject is AxisName.SEED:
        names.remove(AxisName.SEED)
    return next((f"{name}" for name in names if name not in DECIDABLE), None)


def _bytes(column: Column) -> float:
    return column.memory.bytes if column.memory is not None else math.inf


def _seconds(column: Column) -> float:
    return column.seconds if column.seconds is not None else math.inf


def _distance(column: Column) -> float:
    return column.rms_levels if column.rms_levels is not None else math.inf


def _size(column: Column) -> str:
    return show_bytes(column.memory.bytes) if column.memory is not None else "an unknown amount of memory"


def _room(free_bytes: int | None) -> str:
    return show_bytes(free_bytes) if free_bytes is not None else "what is free"


def _and_time(column: Column) -> str:
    return f" and {column.seconds:.1f} s a picture" if column.seconds is not None else ""
