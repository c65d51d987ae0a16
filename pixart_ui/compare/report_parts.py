"""What stands in `report.html`, as values: cards, tables, the timeline. No HTML, no files.

The template only places these; every word that comes from a person is escaped there. A cell of a table has its text
and what it is sorted by.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Comparison, PhaseFigures, Result
from pixart_ui.compare.scales import memory_scale, round_steps
from pixart_ui.compare.summary import FIGURES, Column, Figure, Floor, columns, floor
from pixart_ui.compare.timelines import TIMELINE_TITLES, Run, timeline_runs
from pixart_ui.compare.verdict import STATE_WORDS, failure_in_words

DASH = "–"
MAX_POINTS = 400


@dataclass(frozen=True)
class Head:
    text: str
    about: str = ""
    is_text: bool = False


@dataclass(frozen=True)
class Td:
    """`worth` is what a column is sorted by; the empty one comes last. `below` is a second, quiet line.

    `share` draws a bar of that part.
    """

    text: str
    worth: str
    below: str = ""
    share: float | None = None
    is_text: bool = False
    is_problem: bool = False


@dataclass(frozen=True)
class Table:
    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Td, ...], ...]


@dataclass(frozen=True)
class Tick:
    percent: float
    text: str


@dataclass(frozen=True)
class DrawnBand:
    name: str
    seconds: str
    left: float
    width: float
    colour: int


@dataclass(frozen=True)
class DrawnRun:
    """`points` are those of a polyline in a square of 1000 by 1000: the end of all runs, and the highest tick."""

    name: str
    points: str
    bands: tuple[DrawnBand, ...]


@dataclass(frozen=True)
class DrawnTimeline:
    title: str
    ticks: tuple[Tick, ...]
    seconds: tuple[Tick, ...]
    runs: tuple[DrawnRun, ...]
    budget: Tick | None
    end_seconds: float
    top_bytes: float

    @property
    def name_chars(self) -> int:
        """How many letters the names of runs need."""
        return max(len(run.name) for run in self.runs)


def runs_table(comparison: Comparison) -> Table:
    """A line for each run; quality only where the weights are not random."""
    noise, figures = floor(comparison), shown_figures(comparison)
    highest = _highest(result.memory.bytes for result in comparison.results if result.memory is not None)
    has_prompts, has_tokens = len(comparison.sweep.prompts) > 1, _has_tokens(comparison)
    has_states = any(result.reason or result.notes or not result.is_done for result in comparison.results)
    has_baseline = any(result.baseline is not None for result in comparison.results)
    heads = [Head("run")]
    heads += [Head("prompt", "its number in the list below")] if has_prompts else []
    heads += [
        Head("memory"),
        Head("seconds", "all phases together"),
        Head("of it loading", "the part of the seconds that reading weights took"),
    ]
    heads += [Head("left behind", "what the device held after the run and not before")] if has_baseline else []
    if comparison.has_quality:
        heads += [
            Head("×\u00a0another seed", "the difference as a part of what another seed makes"),
            *map(_head, figures),
        ]
    heads += [Head("worst token", "the token whose embedding is off the most")] if has_tokens else []
    heads += [Head("state", is_text=True)] if has_states else []
    flags = {
        "has_prompts": has_prompts,
        "has_tokens": has_tokens,
        "has_baseline": has_baseline,
        "has_states": has_states,
    }
    rows = tuple(tuple(_run_row(comparison, result, noise, figures, highest, **flags)) for result in comparison.results)
    return Table("Every run", tuple(heads), rows)


def summary_table(comparison: Comparison) -> Table:
    """A line for each column, over all rows: the mean, and from the lowest to the highest."""
    noise, figures = floor(comparison), shown_figures(comparison)
    found = columns(comparison)
    highest = _highest(column.memory.bytes for column in found if column.memory is not None)
    heads = [Head("column"), Head("memory"), Head("seconds")]
    if comparison.has_quality:
        heads += [
            Head("×\u00a0another seed"),
            *map(_head, figures),
            Head("worst prompt", "whose picture is furthest off"),
        ]
    heads += [Head("pictures")]
    rows = tuple(tuple(_summary_row(comparison, column, noise, figures, highest)) for column in found)
    return Table("Over all rows", tuple(heads), rows)


def phases_table(comparison: Comparison) -> Table:
    """A line for each phase of each run; what this device does not have is left out."""
    phases = [phase for result in comparison.results for phase in result.phases]
    has_gpu = any(phase.peak_reserved_bytes is not None for phase in phases)
    has_rss = any(phase.peak_rss_bytes is not None for phase in phases)
    heads = [
        Head("run"),
        Head("phase"),
        Head("seconds"),
        Head("of it loading"),
        Head("computing"),
        Head("moved", "bytes that were read, or copied to the device"),
    ]
    if has_gpu:
        heads += [Head("allocated", "torch's peak"), Head("reserved", "torch's peak"), Head("on the device", "NVML")]
    heads += [Head("weights", "of the phase's component")]
    heads += [Head("peak RSS", "of the worker, since it started")] if has_rss else []
    rows = tuple(
        tuple(_phase_row(result, phase, has_gpu=has_gpu, has_rss=has_rss))
        for result in comparison.results
        for phase in result.phases
    )
    return Table("Every phase", tuple(heads), rows)


def timeline(comparison: Comparison) -> DrawnTimeline | None:
    """The runs that were sampled, on one scale; None where there are none."""
    runs = timeline_runs(comparison)
    if not runs:
        return None
    kind = runs[0].timeline.kind
    budget = comparison.device.budget_bytes if kind in ("reserved", "allocated") else None
    highest = max([*(max(run.timeline.held_bytes, default=0) for run in runs), budget or 0, 1])
    ticks, names = memory_scale(highest)
    end = max([0.001, *(_end(run) for run in runs)])
    seconds = [tick for tick in round_steps(end) if tick <= end]
    phases = list(dict.fromkeys(band.name for run in runs for band in run.timeline.bands))
    return DrawnTimeline(
        title=TIMELINE_TITLES[kind],
        ticks=tuple(Tick(_percent(tick, ticks[-1]), name) for tick, name in zip(ticks, names, strict=True)),
        seconds=tuple(Tick(_percent(tick, end), f"{tick:g} s" if tick else "0") for tick in seconds),
        runs=tuple(_drawn(run, end, ticks[-1], phases) for run in runs),
        budget=Tick(_percent(budget, ticks[-1]), f"budget {show_bytes(budget)}") if budget is not None else None,
        end_seconds=end,
        top_bytes=ticks[-1],
    )


def shown_figures(comparison: Comparison) -> tuple[Figure, ...]:
    """The quality figures that at least one run has."""
    found = [result.quality for result in comparison.results if result.quality is not None]
    return tuple(figure for figure in FIGURES if any(figure.get(quality) is not None for quality in found))


def number(value: float | None, digits: int) -> Td:
    """A figure as a cell; an infinite one is that of identical pictures."""
    if value is None:
        return Td(DASH, "")
    if math.isinf(value):
        return Td("∞", "1e999" if value > 0 else "-1e999")
    return Td(f"{value:.{digits}f}", repr(value))


def size(count: int | None, highest: int | None = None) -> Td:
    if count is None:
        return Td(DASH, "")
    return Td(exact_bytes(count), str(count), share=count / highest if highest else None)


def exact_bytes(count: int) -> str:
    """With two digits in GiB and one in MiB: tables show small savings too."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _head(figure: Figure) -> Head:
    return Head(figure.title, "higher is nearer" if figure.is_higher_better else "lower is nearer")


def _run_row(
    comparison: Comparison,
    result: Result,
    noise: Floor,
    figures: Sequence[Figure],
    highest: int,
    *,
    has_prompts: bool,
    has_tokens: bool,
    has_baseline: bool,
    has_states: bool,
) -> Iterator[Td]:
    quality = result.quality
    yield Td(result.label, result.label, is_text=True)
    if has_prompts:
        yield Td(str(result.prompt_index + 1), str(result.prompt_index + 1))
    yield size(result.memory.bytes if result.memory is not None else None, highest)
    yield number(result.seconds, 2)
    yield number(result.load_seconds, 2)
    if has_baseline:
        yield _left_behind(result)
    if comparison.has_quality:
        yield number(0.0 if result.is_reference and result.is_done else _share(noise, result), 3)
        yield from (number(figure.get(quality) if quality is not None else None, figure.digits) for figure in figures)
    if has_tokens:
        yield _worst_token(result)
    if has_states:
        yield _state(result)


def _worst_token(result: Result) -> Td:
    embedding = result.quality.embedding if result.quality is not None else None
    if embedding is None or embedding.relative_l2 == 0:
        return Td(DASH, "")
    return Td(f"{embedding.worst_token} ({embedding.worst_cosine:.4f})", repr(embedding.worst_cosine))


def _summary_row(
    comparison: Comparison, column: Column, noise: Floor, figures: Sequence[Figure], highest: int
) -> Iterator[Td]:
    yield Td(column.label, column.label, is_text=True)
    yield size(column.memory.bytes if column.memory is not None else None, highest)
    yield number(column.seconds, 2)
    if comparison.has_quality:
        yield number(noise.share(column.rms_levels), 3)
        yield from (_spread(column, figure) for figure in figures)
        worst = column.figures.get("rms_levels")
        number_of = str(worst.worst.prompt_index + 1) if worst is not None else ""
        yield Td(number_of or DASH, number_of)
    yield Td(f"{len(column.done)} of {column.num_rows}", str(len(column.done)))


def _spread(column: Column, figure: Figure) -> Td:
    spread = column.figures.get(figure.name)
    if spread is None:
        return Td(DASH, "")
    mean, low, high = (number(value, figure.digits).text for value in (spread.mean, spread.low, spread.high))
    deviation = f" ± {spread.deviation:.{figure.digits}f}" if spread.deviation is not None else ""
    return Td(f"{mean}{deviation}", number(spread.mean, 6).worth, below=f"{low} to {high}")


def _phase_row(result: Result, phase: PhaseFigures, *, has_gpu: bool, has_rss: bool) -> Iterator[Td]:
    yield Td(result.label, result.label, is_text=True)
    yield Td(f"{phase.name} (known already)" if phase.is_cached else phase.name, phase.name)
    for seconds in (phase.seconds, phase.load_seconds, phase.compute_seconds):
        yield number(seconds, 2)
    yield size(phase.bytes_moved)
    if has_gpu:
        yield from map(size, (phase.peak_allocated_bytes, phase.peak_reserved_bytes, phase.device_used_bytes))
    yield size(phase.weight_bytes)
    if has_rss:
        yield size(phase.peak_rss_bytes)


def _left_behind(result: Result) -> Td:
    if result.baseline is None:
        return Td(DASH, "")
    left = result.baseline.after_bytes - result.baseline.before_bytes
    return Td("nothing" if result.baseline.is_kept else exact_bytes(max(0, left)), str(left))


def _state(result: Result) -> Td:
    text = STATE_WORDS[result.state] if result.is_done else failure_in_words(result)
    said = [text, result.reason if result.is_done else None, *result.notes]
    text = "; ".join(part.rstrip(".") for part in said if part)
    return Td(text, text, is_text=True, is_problem=not result.is_done)


def _share(noise: Floor, result: Result) -> float | None:
    return noise.share(result.quality.rms_levels) if result.quality is not None else None


def _has_tokens(comparison: Comparison) -> bool:
    return comparison.has_quality and any(
        result.quality is not None and result.quality.embedding is not None for result in comparison.results
    )


def _drawn(run: Run, end: float, top: float, phases: Sequence[str]) -> DrawnRun:
    line = run.timeline
    step = max(1, len(line.at_seconds) // MAX_POINTS)
    pairs = list(zip(line.at_seconds, line.held_bytes, strict=True))
    # The highest of each few samples, so that no peak is lost.
    kept = [max(pairs[start : start + step], key=lambda pair: pair[1]) for start in range(0, len(pairs), step)]
    points = " ".join(f"{1000 * at / end:.1f},{1000 - 1000 * held / top:.1f}" for at, held in kept)
    bands = tuple(
        DrawnBand(
            band.name,
            f"{band.end_seconds - band.start_seconds:.2f} s",
            _percent(band.start_seconds, end),
            _percent(band.end_seconds - band.start_seconds, end),
            phases.index(band.name) % 5,
        )
        for band in line.bands
    )
    return DrawnRun(run.name, points, bands)


def _end(run: Run) -> float:
    return max([*run.timeline.at_seconds[-1:], *(band.end_seconds for band in run.timeline.bands)], default=0.0)


def _percent(value: float, whole: float) -> float:
    return round(100 * value / whole, 3)


def _highest(values: Iterator[int]) -> int:
    return max(values, default=0)
