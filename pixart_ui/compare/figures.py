"""The figures of a comparison beside the guides' own: the memory timeline, and bars. As PNG, light or dark.

These functions know numbers, not comparisons; matplotlib is imported with this module, so the page does not import it
at its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import Rectangle

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Timeline
from pixart_ui.compare.figure_parts import DASHES, MARGIN, Words, budget_line, title_lines, write_title
from pixart_ui.compare.figure_style import LIGHT, Scheme, Sheet, label, set_ticks
from pixart_ui.compare.scales import memory_scale, round_steps
from pixart_ui.compare.timelines import Run


@dataclass(frozen=True)
class Bar:
    """A row of bars; `share` is its difference as a part of another seed's, None where there is none."""

    name: str
    memory_bytes: int | None
    load_seconds: float | None
    compute_seconds: float | None
    share: float | None


def timeline(
    runs: Sequence[Run], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT, width: float = 10.0
) -> bytes:
    """Memory over time, a line for each run, and its phases as bands beneath (behind it, if it is alone)."""
    title = title_lines(width, words, scheme)
    top, chart, strip = MARGIN + 0.27 * len(title) + 0.5, 3.0, 0.3
    height = top + chart + 0.42 + strip * len(runs) + MARGIN
    sheet = Sheet(width, height, scheme)
    write_title(sheet, title, f"{words.note} · {words.memory}")
    names = max(0.9, *(sheet.width_of(run.name, size=9, is_bold=True) + 0.25 for run in runs))
    left, span = MARGIN + names, width - 2 * MARGIN - names
    end = 1.02 * max(_end(run.timeline) for run in runs)
    axes = sheet.axes(left, top, span, chart)
    _memory_axis(axes, max([*(max(run.timeline.held_bytes, default=0) for run in runs), budget_bytes or 0, 1]), scheme)
    axes.set_xlim(0, end)
    if len(runs) == 1:
        for band, colour in _bands(runs, runs[0], scheme):
            axes.axvspan(band.start_seconds, band.end_seconds, color=colour, alpha=0.45, linewidth=0)
    for run, colour in zip(runs, _cycle(scheme.runs), strict=False):
        axes.plot(
            run.timeline.at_seconds, run.timeline.held_bytes, color=colour, linewidth=1.8, solid_joinstyle="round"
        )
    budget_line(axes, budget_bytes, scheme)
    seconds = [tick for tick in round_steps(end) if tick <= end]
    set_ticks(axes.xaxis, seconds, [f"{tick:g} s" if tick else "0" for tick in seconds])
    for place, (run, colour) in enumerate(zip(runs, _cycle(scheme.runs), strict=False)):
        _draw_strip(sheet, runs, run, colour, (left, top + chart + 0.42 + place * strip, span, strip), end)
    return sheet.png()


def bars(rows: Sequence[Bar], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT) -> bytes:
    """Memory, seconds (loading apart from computing), and difference from the reference on the scale of a seed's."""
    has_share = any(row.share is not None for row in rows)
    width, step = 10.0, 0.42
    title = title_lines(width, words, scheme)
    top = MARGIN + 0.27 * len(title) + 0.75
    sheet = Sheet(width, top + step * len(rows) + 0.25 + MARGIN, scheme)
    write_title(sheet, title, words.note)
    names = max(sheet.width_of(row.name, size=10, is_bold=True) for row in rows) + 0.25
    panels = 3 if has_share else 2
    span = (width - 2 * MARGIN - names - 0.35 * (panels - 1)) / panels
    for place, row in enumerate(rows):
        sheet.text(MARGIN, top + step * (place + 0.5), row.name, size=10, is_bold=True, va="center")
    places = [(MARGIN + names + panel * (span + 0.35), top, span, step * len(rows)) for panel in range(panels)]
    _memory_bars(sheet, places[0], rows, words, budget_bytes)
    _time_bars(sheet, places[1], rows)
    if has_share:
        _share_bars(sheet, places[2], rows)
    return sheet.png()


# The timeline


def _draw_strip(
    sheet: Sheet, runs: Sequence[Run], run: Run, colour: str, place: tuple[float, float, float, float], end: float
) -> None:
    """A run's phases, with its name before them in the colour of its line."""
    left, top, span, height = place
    sheet.text(left - 0.15, top + height / 2, run.name, size=9, is_bold=True, ha="right", va="center", color=colour)
    axes = sheet.axes(left, top + 0.04, span, height - 0.08)
    axes.set(xlim=(0, end), ylim=(0, 1), xticks=[], yticks=[])
    for band, shade in _bands(runs, run, sheet.scheme):
        length = band.end_seconds - band.start_seconds
        axes.add_patch(Rectangle((band.start_seconds, 0), length, 1, facecolor=shade, linewidth=0))
        name = band.name
        if sheet.width_of(name, size=8) + 0.1 < length / end * span:
            label(axes, band.start_seconds + length / 2, 0.5, name, sheet.scheme.ink, size=8)


def _bands(runs: Sequence[Run], run: Run, scheme: Scheme) -> Iterator[tuple[Any, str]]:
    """Each phase has one colour in all runs."""
    names = list(dict.fromkeys(band.name for one in runs for band in one.timeline.bands))
    for band in run.timeline.bands:
        yield band, scheme.phases[names.index(band.name) % len(scheme.phases)]


def _end(line: Timeline) -> float:
    return max([*line.at_seconds[-1:], *(band.end_seconds for band in line.bands), 0.001])


def _memory_axis(axes: Any, highest: float, scheme: Scheme) -> None:
    ticks, names = memory_scale(highest)
    axes.set_ylim(0, max(ticks[-1], highest * 1.05))
    set_ticks(axes.yaxis, ticks, names)
    axes.grid(axis="y", color=scheme.line, linewidth=0.8)


# Bars


def _panel(sheet: Sheet, place: tuple[float, float, float, float], title: str, rows: int, highest: float) -> Any:
    left, top, span, height = place
    sheet.text(left, top - 0.14, title, size=9, color=sheet.scheme.quiet, va="bottom")
    axes = sheet.axes(left, top, span, height)
    axes.set(xlim=(0, highest * 1.3), ylim=(rows, 0), xticks=[], yticks=[])
    axes.axvline(0, color=sheet.scheme.line, linewidth=1.4)
    return axes


def _memory_bars(
    sheet: Sheet, place: tuple[float, float, float, float], rows: Sequence[Bar], words: Words, budget_bytes: int | None
) -> None:
    scheme = sheet.scheme
    highest = max([row.memory_bytes or 0 for row in rows] + [budget_bytes or 0, 1])
    axes = _panel(sheet, place, words.memory, len(rows), highest)
    for number, row in enumerate(rows):
        if row.memory_bytes is None:
            label(axes, 0, number + 0.5, "not measured", scheme.quiet, ha="left", size=9, offset=(6, 0))
            continue
        axes.barh(number + 0.5, row.memory_bytes, height=0.5, color=scheme.accent)
        _at_end(axes, row.memory_bytes, number, show_bytes(row.memory_bytes), scheme)
    if budget_bytes is not None:
        axes.axvline(budget_bytes, color=scheme.warn, linewidth=1.2, linestyle=DASHES)
        label(axes, budget_bytes, len(rows), f"budget {show_bytes(budget_bytes)}", scheme.warn, size=8, offset=(0, -8))


def _time_bars(sheet: Sheet, place: tuple[float, float, float, float], rows: Sequence[Bar]) -> None:
    scheme = sheet.scheme
    totals = [(row.load_seconds or 0) + (row.compute_seconds or 0) for row in rows]
    axes = _panel(sheet, place, "seconds: loading, then computing", len(rows), max([*totals, 0.001]))
    for number, (row, total) in enumerate(zip(rows, totals, strict=True)):
        if row.compute_seconds is None:
            continue
        load = row.load_seconds or 0
        axes.barh(number + 0.5, load, height=0.5, color=scheme.accent, alpha=0.4)
        axes.barh(number + 0.5, row.compute_seconds, left=load, height=0.5, color=scheme.accent)
        _at_end(axes, total, number, f"{total:.1f} s", scheme)


def _share_bars(sheet: Sheet, place: tuple[float, float, float, float], rows: Sequence[Bar]) -> None:
    scheme = sheet.scheme
    highest = max([row.share or 0 for row in rows] + [1])
    axes = _panel(sheet, place, "difference, as a part of another seed's", len(rows), highest)
    axes.axvline(1, color=scheme.quiet, linewidth=1.2, linestyle=DASHES)
    label(axes, 1, len(rows), "another seed", scheme.quiet, size=8, offset=(0, -8))
    for number, row in enumerate(rows):
        if row.share is None:
            continue
        axes.barh(number + 0.5, row.share, height=0.5, color=scheme.accent)
        text = "none" if row.share == 0 else f"{row.share:.2f}" if row.share >= 0.01 else "under 0.01"
        _at_end(axes, row.share, number, text, scheme)


def _at_end(axes: Any, x: float, number: int, text: str, scheme: Scheme) -> None:
    label(axes, x, number + 0.5, text, scheme.ink, size=9, ha="left", offset=(5, 0), halo=scheme.paper)


# Shared


def _cycle(colours: Sequence[str]) -> Iterator[str]:
    while True:
        yield from colours
