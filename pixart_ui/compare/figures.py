"""The figures of a comparison as PNG: the guides' figure, the memory timeline, and bars. Light or dark.

The guides' figure is the one that ends diffusers' guide to quantization: pictures in order of memory, with the
figure on each, over the memory line. Here each point of the line stands under its picture, the line begins at 0, and
what gave no picture is there with its reason. These functions know pictures and numbers, not comparisons; matplotlib
is imported with this module, so the page does not import it at its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Timeline
from pixart_ui.compare.figure_style import DPI, LIGHT, Scheme, Sheet, label, set_ticks
from pixart_ui.compare.scales import memory_scale, round_steps
from pixart_ui.compare.timelines import Run

MARGIN = 0.35
MAX_COLUMNS = 5
PICTURE, GAP, LINE = 2.3, 0.2, 1.7
TITLE_SIZE, NOTE_SIZE = 13, 9
PILL, PILL_INK = "#0b1020", "#ffffff"
DASHES = (0, (4, 3))


@dataclass(frozen=True)
class Shown:
    """A column of the guides' figure. Without a picture, `problem` says why in a few words."""

    name: str
    memory_bytes: int | None
    picture: Image.Image | None
    lines: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Bar:
    """A row of bars; `share` is its difference as a part of another seed's, None where there is none."""

    name: str
    memory_bytes: int | None
    load_seconds: float | None
    compute_seconds: float | None
    share: float | None


@dataclass(frozen=True)
class Words:
    """What stands over a figure, and what its memory is."""

    title: str
    note: str
    memory: str


def guides(shown: Sequence[Shown], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT) -> bytes:
    """Pictures from the most memory to the least over the memory line; those without a picture come last."""
    ordered = sorted(shown, key=lambda one: (one.picture is None, -(one.memory_bytes or 0)))
    rows = [ordered[start : start + MAX_COLUMNS] for start in range(0, len(ordered), MAX_COLUMNS)]
    columns = max(2, *(len(row) for row in rows))
    width = 2 * MARGIN + columns * PICTURE + (columns - 1) * GAP
    heights = [_picture_height(row) for row in rows]
    below = [0.16 + 0.19 * max(len(one.lines) for one in row) for row in rows]
    lines = [LINE if any(_has_point(one) for one in row) else 0.1 for row in rows]
    title = _title_lines(width, words, scheme)
    top = MARGIN + 0.27 * len(title) + 0.42
    sheet = Sheet(width, top + sum(heights) + sum(lines) + sum(below) + MARGIN, scheme)
    _write_title(sheet, title, f"{words.note} · the line: {words.memory}")
    highest = max([one.memory_bytes or 0 for one in ordered] + [budget_bytes or 0])
    for row, height, under, line in zip(rows, heights, below, lines, strict=True):
        for place, one in enumerate(row):
            _draw_picture(sheet, MARGIN + place * (PICTURE + GAP), top, height, one)
        if any(_has_point(one) for one in row):
            _draw_line(sheet, top + height + under, line, row, columns, max(1, highest), budget_bytes)
        top += height + under + line
    return sheet.png()


def timeline(
    runs: Sequence[Run], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT, width: float = 10.0
) -> bytes:
    """Memory over time, a line for each run, and its phases as bands beneath (behind it, if it is alone)."""
    title = _title_lines(width, words, scheme)
    top, chart, strip = MARGIN + 0.27 * len(title) + 0.5, 3.0, 0.3
    height = top + chart + 0.42 + strip * len(runs) + MARGIN
    sheet = Sheet(width, height, scheme)
    _write_title(sheet, title, f"{words.note} · {words.memory}")
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
    _budget_line(axes, budget_bytes, scheme)
    seconds = [tick for tick in round_steps(end) if tick <= end]
    set_ticks(axes.xaxis, seconds, [f"{tick:g} s" if tick else "0" for tick in seconds])
    for place, (run, colour) in enumerate(zip(runs, _cycle(scheme.runs), strict=False)):
        _draw_strip(sheet, runs, run, colour, (left, top + chart + 0.42 + place * strip, span, strip), end)
    return sheet.png()


def bars(rows: Sequence[Bar], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT) -> bytes:
    """Memory, seconds (loading apart from computing), and difference from the reference on the scale of a seed's."""
    has_share = any(row.share is not None for row in rows)
    width, step = 10.0, 0.42
    title = _title_lines(width, words, scheme)
    top = MARGIN + 0.27 * len(title) + 0.75
    sheet = Sheet(width, top + step * len(rows) + 0.25 + MARGIN, scheme)
    _write_title(sheet, title, words.note)
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


# The title


def _title_lines(width: float, words: Words, scheme: Scheme) -> list[str]:
    return Sheet(width, 1, scheme).wrapped(words.title, width - 2 * MARGIN, size=TITLE_SIZE, is_bold=True)


def _write_title(sheet: Sheet, lines: Sequence[str], note: str) -> None:
    for number, line in enumerate(lines):
        sheet.text(MARGIN, MARGIN + 0.27 * number, line, size=TITLE_SIZE, is_bold=True)
    first = sheet.wrapped(note, sheet.width - 2 * MARGIN, size=NOTE_SIZE)[:1]
    sheet.text(MARGIN, MARGIN + 0.27 * len(lines) + 0.06, "".join(first), size=NOTE_SIZE, color=sheet.scheme.quiet)


# The guides' figure


def _picture_height(row: Sequence[Shown]) -> float:
    """In inches; the tallest picture of the row decides."""
    sizes = [one.picture.size for one in row if one.picture is not None]
    return PICTURE * min(2.0, max((height / width for width, height in sizes), default=1.0))


def _draw_picture(sheet: Sheet, left: float, top: float, height: float, one: Shown) -> None:
    axes = sheet.axes(left, top, PICTURE, height)
    axes.set(xlim=(0, PICTURE), ylim=(height, 0), xticks=[], yticks=[])
    if one.picture is None:
        _draw_problem(sheet, axes, height, one)
    else:
        _fit(axes, one.picture, height)
        _draw_pill(sheet, axes, height, one)
    for number, line in enumerate(one.lines):
        colour = sheet.scheme.ink if number == 0 else sheet.scheme.quiet
        sheet.text(left, top + height + 0.09 + 0.19 * number, line, size=9, color=colour)


def _fit(axes: Any, picture: Image.Image, height: float) -> None:
    """The whole picture, as large as its place allows, drawn pixel for pixel."""
    scale = min(PICTURE / picture.width, height / picture.height)
    width, tall = picture.width * scale, picture.height * scale
    pixels = picture.convert("RGB").resize((round(width * DPI), round(tall * DPI)), Image.Resampling.LANCZOS)
    left, top = (PICTURE - width) / 2, (height - tall) / 2
    axes.imshow(np.asarray(pixels), extent=(left, left + width, top + tall, top), aspect="auto", interpolation="none")
    axes.set(xlim=(0, PICTURE), ylim=(height, 0))


def _draw_pill(sheet: Sheet, axes: Any, height: float, one: Shown) -> None:
    """Name and memory on the picture: beside each other, or below where that is too wide."""
    memory = show_bytes(one.memory_bytes) if one.memory_bytes is not None else ""
    name_width = sheet.width_of(one.name, size=10, is_bold=True)
    memory_width = sheet.width_of(memory, size=10) if memory else 0.0
    width = name_width + memory_width + (0.13 if memory else 0)
    is_low = width > PICTURE - 0.4
    tall, wide = (0.47, max(name_width, memory_width)) if is_low else (0.29, width)
    top = height - 0.08 - tall
    corners = "round,pad=0,rounding_size=0.07"
    axes.add_patch(
        FancyBboxPatch((0.08, top), wide + 0.2, tall, boxstyle=corners, fc=PILL, alpha=0.74, linewidth=0, zorder=2)
    )
    label(axes, 0.18, top + 0.145, one.name, PILL_INK, ha="left", size=10, is_bold=True)
    place = (0.18, top + 0.325) if is_low else (0.31 + name_width, top + 0.145)
    label(axes, *place, memory, PILL_INK, ha="left", size=10)


def _draw_problem(sheet: Sheet, axes: Any, height: float, one: Shown) -> None:
    scheme = sheet.scheme
    axes.add_patch(Rectangle((0, 0), PICTURE, height, facecolor=scheme.panel, linewidth=0))
    label(axes, PICTURE / 2, height * 0.36, one.name, scheme.ink, size=10, is_bold=True)
    lines = sheet.wrapped(one.problem, PICTURE - 0.3, size=9)[:6]
    label(axes, PICTURE / 2, height * 0.44, "\n".join(lines), scheme.warn, size=9, va="top", linespacing=1.4)


def _draw_line(
    sheet: Sheet, top: float, height: float, row: Sequence[Shown], columns: int, highest: int, budget_bytes: int | None
) -> None:
    """The memory line, each point under the middle of its picture."""
    scheme = sheet.scheme
    span = columns * PICTURE + (columns - 1) * GAP
    axes = sheet.axes(MARGIN, top + 0.25, span, height - 0.45)
    axes.set(xlim=(0, span), ylim=(0, highest * 1.08), xticks=[], yticks=[])
    axes.axhline(0, color=scheme.line, linewidth=1)
    points = [
        (place * (PICTURE + GAP) + PICTURE / 2, one.memory_bytes)
        for place, one in enumerate(row)
        if one.memory_bytes is not None and _has_point(one)
    ]
    _budget_line(axes, budget_bytes, scheme)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.fill_between(xs, ys, color=scheme.accent, alpha=0.12, linewidth=0)
    axes.plot(xs, ys, color=scheme.accent, linewidth=2, solid_joinstyle="round")
    axes.scatter(xs, ys, s=46, color=scheme.accent, edgecolor=scheme.paper, linewidth=1.5, zorder=3, clip_on=False)
    for x, y in points:
        above = {"va": "bottom", "offset": (0, 9), "halo": scheme.paper}
        label(axes, x, y, show_bytes(y), scheme.ink, size=10, is_bold=True, **above)
        if y != ys[0]:
            label(axes, x, y, _signed(y / ys[0] - 1), scheme.quiet, size=9, va="top", offset=(0, -9))


def _has_point(one: Shown) -> bool:
    return one.memory_bytes is not None and one.picture is not None


def _signed(share: float) -> str:
    return f"{'−' if share < 0 else '+'}{abs(share) * 100:.0f} %"


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


def _budget_line(axes: Any, budget_bytes: int | None, scheme: Scheme) -> None:
    if budget_bytes is None:
        return
    axes.axhline(budget_bytes, color=scheme.warn, linewidth=1.2, linestyle=DASHES)
    text = f"budget {show_bytes(budget_bytes)}"
    label(axes, axes.get_xlim()[1], budget_bytes, text, scheme.warn, size=9, ha="right", va="bottom", offset=(0, 3))


def _cycle(colours: Sequence[str]) -> Iterator[str]:
    while True:
        yield from colours
