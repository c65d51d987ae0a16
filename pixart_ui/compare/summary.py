"""The runs of a comparison, drawn together: a column for each way to draw, with its figures over all rows.

A row is a prompt, or a prompt with one seed of a second axis. Memory is the largest of a column, time the mean, and
each quality figure has its mean, its spread and its worst row. The noise floor is on the same scale: how far the
reference repeated, and the reference with another seed, are from the reference. Arithmetic on results, no words.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison, Memory, Quality, Result, State
from pixart_ui.compare.metrics import psnr_db
from pixart_ui.compare.sweep import Role, Sweep, label_of

Row = tuple[int, str | None]


@dataclass(frozen=True)
class Figure:
    """A quality figure: how it is called in JSON and on a page, and which end of it is good."""

    name: str
    title: str
    get: Callable[[Quality], float | None]
    is_higher_better: bool
    digits: int


FIGURES: Sequence[Figure] = (
    Figure("rms_levels", "difference, levels", lambda quality: quality.rms_levels, False, 1),
    Figure("psnr_db", "PSNR, dB", lambda quality: quality.psnr_db, True, 1),
    Figure("ssim", "SSIM", lambda quality: quality.ssim, True, 3),
    Figure("latent_relative_l2", "latents, relative L2", lambda quality: quality.latent_relative_l2, False, 3),
    Figure(
        "embedding_cosine",
        "embedding, cosine",
        lambda quality: quality.embedding.cosine if quality.embedding is not None else None,
        True,
        4,
    ),
    Figure(
        "embedding_relative_l2",
        "embedding, relative L2",
        lambda quality: quality.embedding.relative_l2 if quality.embedding is not None else None,
        False,
        3,
    ),
)


@dataclass(frozen=True)
class Spread:
    """A figure over the rows that have it. `deviation` is None with one row, or where a figure is infinite.

    The mean of a PSNR is that of the mean squared difference, so that one identical pair does not make it infinite.
    """

    mean: float
    low: float
    high: float
    deviation: float | None
    worst: Result
    count: int


@dataclass(frozen=True)
class Column:
    """One way to draw, over all rows. `results` are those that are there, whatever came of them."""

    values: Mapping[AxisName, str]
    is_reference: bool
    strategy: str
    results: tuple[Result, ...]
    num_rows: int
    memory: Memory | None = None
    seconds: float | None = None
    load_seconds: float | None = None
    figures: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return label_of(self.values)

    @property
    def done(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.is_done)

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.is_done)

    @property
    def is_complete(self) -> bool:
        return len(self.done) == self.num_rows

    @property
    def rms_levels(self) -> float | None:
        """How far its pictures are from the reference's, over all rows; 0 for the reference."""
        if self.is_reference and self.done:
            return 0.0
        return root_mean_square(_rms(self.done))


@dataclass(frozen=True)
class Floor:
    """The noise floor, in levels of 255: the reference repeated, and drawn with another seed. None: not known."""

    repeated: float | None
    other_seed: float | None

    def share(self, rms_levels: float | None) -> float | None:
        """A difference as part of what another seed makes."""
        return rms_levels / self.other_seed if rms_levels is not None and self.other_seed else None


def columns(comparison: Comparison) -> tuple[Column, ...]:
    """Every way to draw, in the order of the sweep; one whose runs are all to come has no results."""
    sweep = comparison.sweep
    groups: dict[tuple[str, ...], list[Result]] = {}
    known = comparison.by_key
    first: dict[tuple[str, ...], Mapping[AxisName, str]] = {}
    num_rows: dict[tuple[str, ...], int] = {}
    for cell in sweep.cells():
        if cell.role is not Role.CELL:
            continue
        values = column_values(sweep, cell.values)
        name = tuple(values.values())
        first.setdefault(name, values)
        num_rows[name] = num_rows.get(name, 0) + 1
        groups.setdefault(name, [])
        if cell.key in known:
            groups[name].append(known[cell.key])
    return tuple(_column(comparison, first[name], tuple(results), num_rows[name]) for name, results in groups.items())


def column_values(sweep: Sweep, values: Mapping[AxisName, str]) -> dict[AxisName, str]:
    """The values that make a column: all, but for the seeds that a second axis draws with."""
    is_row = sweep.subject is AxisName.SEED
    return {name: value for name, value in values.items() if not (is_row and name is AxisName.SEED)}


def floor(comparison: Comparison) -> Floor:
    """The noise floor over every row that has it."""
    return Floor(*(_floor(comparison, role) for role in (Role.REPEATED, Role.OTHER_SEED)))


def root_mean_square(levels: Iterable[float]) -> float | None:
    found = list(levels)
    return math.sqrt(statistics.fmean(level**2 for level in found)) if found else None


def spread(figure: Figure, results: Iterable[Result]) -> Spread | None:
    """A figure over the results that have it; None where none does."""
    found = [
        (value, result)
        for result in results
        if result.quality is not None and (value := figure.get(result.quality)) is not None
    ]
    if not found:
        return None
    values = [value for value, _ in found]
    sort = min if figure.is_higher_better else max
    is_finite = all(math.isfinite(value) for value in values)
    return Spread(
        mean=_mean(figure, [result for _, result in found], values),
        low=min(values),
        high=max(values),
        deviation=statistics.stdev(values) if len(values) > 1 and is_finite else None,
        worst=sort(found, key=lambda pair: pair[0])[1],
        count=len(values),
    )


def _mean(figure: Figure, results: Sequence[Result], values: Sequence[float]) -> float:
    if figure.name != "psnr_db":
        return statistics.fmean(values)
    rms = root_mean_square(_rms(results))
    return psnr_db(rms if rms is not None else 0.0)


def _column(
    comparison: Comparison, values: Mapping[AxisName, str], results: tuple[Result, ...], num_rows: int
) -> Column:
    sweep = comparison.sweep
    full = {axis.name: values.get(axis.name, axis.values[0]) for axis in sweep.axes}
    done = [result for result in results if result.is_done]
    memories = [result.memory for result in done if result.memory is not None]
    figures = {figure.name: spread(figure, done) for figure in FIGURES} if comparison.has_quality else {}
    return Column(
        values=values,
        is_reference=full == sweep.reference_values(full),
        strategy=full.get(AxisName.STRATEGY, sweep.strategy),
        results=results,
        num_rows=num_rows,
        memory=max(memories, key=lambda memory: memory.bytes, default=None),
        seconds=_average(result.seconds for result in done),
        load_seconds=_average(result.load_seconds for result in done),
        figures={name: found for name, found in figures.items() if found is not None},
    )


def _floor(comparison: Comparison, role: Role) -> float | None:
    if not comparison.has_quality:
        return None
    return root_mean_square(_rms(result for result in comparison.results if result.role is role))


def _rms(results: Iterable[Result]) -> list[float]:
    return [
        result.quality.rms_levels
        for result in results
        if result.state is State.DONE and result.quality is not None
    ]  # fmt: skip


def _average(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None
