"""The guides' figure: pictures in the order of their memory, with the figure on each, over the memory line.

It is the one that ends diffusers' guide to quantization. Here each point of the line stands under its picture, the
line begins at 0, and what gave no picture is there with its reason. Many runs have smaller pictures, with the names
under them, so that the figure stays one page. It knows pictures and numbers, not comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.figure_parts import MARGIN, Words, budget_line, title_lines, write_title
from pixart_ui.compare.figure_style import DPI, LIGHT, Scheme, Sheet, label

PILL, PILL_INK = "#0b1020", "#ffffff"
MANY = 15
TEXT_LINE, NAME_LINE, ROW_GAP = 0.19, 0.18, 0.12


@dataclass(frozen=True)
class Layout:
    """Inches. With `has_names_below` a picture is too small for its name, which stands under it then."""

    columns: int
    picture: float
    gap: float
    line: float
    has_names_below: bool
    problem_size: float
    problem_lines: int


LARGE = Layout(5, picture=2.3, gap=0.2, line=1.7, has_names_below=False, problem_size=9, problem_lines=6)
SMALL = Layout(8, picture=1.4, gap=0.16, line=1.25, has_names_below=True, problem_size=7.5, problem_lines=7)


@dataclass(frozen=True)
class Shown:
    """A column of the guides' figure. Without a picture, `problem` says why in a few words."""

    name: str
    memory_bytes: int | None
    picture: Image.Image | None
    lines: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Row:
    """What stands beside each other. `names` are the lines under each picture that say its name."""

    shown: Sequence[Shown]
    names: Sequence[Sequence[str]]
    height: float
    below: float
    line: float


def guides(shown: Sequence[Shown], words: Words, *, budget_bytes: int | None = None, scheme: Scheme = LIGHT) -> bytes:
    """Pictures from the most memory to the least over the memory line; those without a picture come last."""
    ordered = sorted(shown, key=lambda one: (one.picture is None, -(one.memory_bytes or 0)))
    layout = SMALL if len(ordered) > MANY else LARGE
    columns = max(2, _columns(len(ordered), layout.columns))
    width = 2 * MARGIN + columns * layout.picture + (columns - 1) * layout.gap
    rows = [_row(ordered[start : start + columns], layout, scheme) for start in range(0, len(ordered), columns)]
    title = title_lines(width, words, scheme)
    top = MARGIN + 0.27 * len(title) + 0.42
    sheet = Sheet(width, top + sum(row.height + row.below + row.line for row in rows) + MARGIN, scheme)
    write_title(sheet, title, f"{words.note} · the line: {words.memory}")
    highest = max([1] + [one.memory_bytes or 0 for one in ordered] + [budget_bytes or 0])
    for row in rows:
        _draw_row(sheet, top, row, layout)
        if any(_has_point(one) for one in row.shown):
            span = columns * layout.picture + (columns - 1) * layout.gap
            place = (top + row.height + row.below, row.line, span)
            _draw_line(sheet, place, row.shown, layout, (highest, _first(ordered)), budget_bytes)
        top += row.height + row.below + row.line
    return sheet.png()


def _columns(count: int, most: int) -> int:
    """As many a row as make the rows most alike."""
    return math.ceil(count / math.ceil(count / most)) if count else most


def _row(shown: Sequence[Shown], layout: Layout, scheme: Scheme) -> _Row:
    """How much room it takes; the tallest picture and the longest text decide."""
    names: list[list[str]] = [[] for _ in shown]
    if layout.has_names_below:
        sheet = Sheet(layout.picture, 1, scheme)
        names = [sheet.wrapped(one.name, layout.picture, size=9, is_bold=True) for one in shown]
    sizes = [one.picture.size for one in shown if one.picture is not None]
    tall = min(2.0, max((height / width for width, height in sizes), default=1.0))
    text = [NAME_LINE * len(name) + TEXT_LINE * len(one.lines) for name, one in zip(names, shown, strict=True)]
    return _Row(
        shown,
        names,
        height=layout.picture * tall,
        below=0.16 + max(text),
        line=layout.line + ROW_GAP if any(_has_point(one) for one in shown) else ROW_GAP,
    )


def _draw_row(sheet: Sheet, top: float, row: _Row, layout: Layout) -> None:
    for place, (one, names) in enumerate(zip(row.shown, row.names, strict=True)):
        left, under = MARGIN + place * (layout.picture + layout.gap), top + row.height + 0.09
        _draw_picture(sheet, (left, top, row.height), one, layout)
        for name in names:
            sheet.text(left, under, name, size=9, is_bold=True)
            under += NAME_LINE
        for number, line in enumerate(one.lines):
            colour = sheet.scheme.ink if number == 0 else sheet.scheme.quiet
            sheet.text(left, under + TEXT_LINE * number, line, size=9, color=colour)


def _draw_picture(sheet: Sheet, place: tuple[float, float, float], one: Shown, layout: Layout) -> None:
    left, top, height = place
    axes = sheet.axes(left, top, layout.picture, height)
    axes.set(xlim=(0, layout.picture), ylim=(height, 0), xticks=[], yticks=[])
    if one.picture is None:
        _draw_problem(sheet, axes, height, one, layout)
    else:
        _fit(axes, one.picture, layout.picture, height)
        _draw_pill(sheet, axes, height, one, layout)


def _fit(axes: Any, picture: Image.Image, side: float, height: float) -> None:
    """The whole picture, as large as its place allows, drawn pixel for pixel."""
    scale = min(side / picture.width, height / picture.height)
    width, tall = picture.width * scale, picture.height * scale
    pixels = picture.convert("RGB").resize((round(width * DPI), round(tall * DPI)), Image.Resampling.LANCZOS)
    left, top = (side - width) / 2, (height - tall) / 2
    axes.imshow(np.asarray(pixels), extent=(left, left + width, top + tall, top), aspect="auto", interpolation="none")
    axes.set(xlim=(0, side), ylim=(height, 0))


def _draw_pill(sheet: Sheet, axes: Any, height: float, one: Shown, layout: Layout) -> None:
    """Name and memory on the picture: beside each other, or below where that is too wide."""
    name = "" if layout.has_names_below else one.name
    memory = show_bytes(one.memory_bytes) if one.memory_bytes is not None else ""
    if not (name or memory):
        return
    name_width = sheet.width_of(name, size=10, is_bold=True) if name else 0.0
    memory_width = sheet.width_of(memory, size=10) if memory else 0.0
    space = 0.13 if name and memory else 0.0
    width = name_width + memory_width + space
    is_low = width > layout.picture - 0.4 and bool(name)
    tall, wide = (0.47, max(name_width, memory_width)) if is_low else (0.29, width)
    top = height - 0.08 - tall
    corners = "round,pad=0,rounding_size=0.07"
    axes.add_patch(
        FancyBboxPatch((0.08, top), wide + 0.2, tall, boxstyle=corners, fc=PILL, alpha=0.74, linewidth=0, zorder=2)
    )
    label(axes, 0.18, top + 0.145, name, PILL_INK, ha="left", size=10, is_bold=True)
    place = (0.18, top + 0.325) if is_low else (0.18 + name_width + space, top + 0.145)
    label(axes, *place, memory, PILL_INK, ha="left", size=10)


def _draw_problem(sheet: Sheet, axes: Any, height: float, one: Shown, layout: Layout) -> None:
    """In the middle of an empty place, with the name over it where that is not under the picture."""
    scheme, side = sheet.scheme, layout.picture
    axes.add_patch(Rectangle((0, 0), side, height, facecolor=scheme.panel, linewidth=0))
    if not layout.has_names_below:
        label(axes, side / 2, height * 0.36, one.name, scheme.ink, size=10, is_bold=True)
    lines = sheet.wrapped(one.problem, side - 0.2, size=layout.problem_size)[: layout.problem_lines]
    place = (height * 0.5, "center") if layout.has_names_below else (height * 0.44, "top")
    words = "\n".join(lines)
    label(axes, side / 2, place[0], words, scheme.warn, size=layout.problem_size, va=place[1], linespacing=1.4)


def _draw_line(
    sheet: Sheet,
    place: tuple[float, float, float],
    row: Sequence[Shown],
    layout: Layout,
    scale: tuple[int, int],
    budget_bytes: int | None,
) -> None:
    """The memory line, each point under the middle of its picture; shares are of the figure's first point."""
    scheme, (top, height, span), (highest, first) = sheet.scheme, place, scale
    axes = sheet.axes(MARGIN, top + 0.4, span, height - 0.5 - ROW_GAP)
    axes.set(xlim=(0, span), ylim=(0, highest * 1.08), xticks=[], yticks=[])
    axes.axhline(0, color=scheme.line, linewidth=1)
    points = [
        (number * (layout.picture + layout.gap) + layout.picture / 2, one.memory_bytes)
        for number, one in enumerate(row)
        if one.memory_bytes is not None and _has_point(one)
    ]
    budget_line(axes, budget_bytes, scheme)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.fill_between(xs, ys, color=scheme.accent, alpha=0.12, linewidth=0)
    axes.plot(xs, ys, color=scheme.accent, linewidth=2, solid_joinstyle="round")
    axes.scatter(xs, ys, s=46, color=scheme.accent, edgecolor=scheme.paper, linewidth=1.5, zorder=3, clip_on=False)
    for x, y in points:
        above = {"va": "bottom", "halo": scheme.paper}
        has_share = y != first
        label(axes, x, y, show_bytes(y), scheme.ink, size=10, is_bold=True, offset=(0, 21 if has_share else 9), **above)
        if has_share:
            label(axes, x, y, _signed(y / first - 1), scheme.quiet, size=9, offset=(0, 8), **above)


def _first(ordered: Sequence[Shown]) -> int:
    return next((one.memory_bytes for one in ordered if _has_point(one) and one.memory_bytes), 1)


def _has_point(one: Shown) -> bool:
    return one.memory_bytes is not None and one.picture is not None


def _signed(share: float) -> str:
    return f"{'−' if share < 0 else '+'}{abs(share) * 100:.0f} %"
