"""What every figure of a comparison has: a title, a note under it, and the line of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.figure_style import Scheme, Sheet, label

MARGIN = 0.35
TITLE_SIZE, NOTE_SIZE = 13, 9
DASHES = (0, (4, 3))


@dataclass(frozen=True)
class Words:
    """What stands over a figure, and what its memory is."""

    title: str
    note: str
    memory: str


def title_lines(width: float, words: Words, scheme: Scheme) -> list[str]:
    return Sheet(width, 1, scheme).wrapped(words.title, width - 2 * MARGIN, size=TITLE_SIZE, is_bold=True)


def write_title(sheet: Sheet, lines: Sequence[str], note: str) -> None:
    for number, line in enumerate(lines):
        sheet.text(MARGIN, MARGIN + 0.27 * number, line, size=TITLE_SIZE, is_bold=True)
    first = sheet.wrapped(note, sheet.width - 2 * MARGIN, size=NOTE_SIZE)[:1]
    sheet.text(MARGIN, MARGIN + 0.27 * len(lines) + 0.06, "".join(first), size=NOTE_SIZE, color=sheet.scheme.quiet)


def budget_line(axes: Any, budget_bytes: int | None, scheme: Scheme) -> None:
    if budget_bytes is None:
        return
    axes.axhline(budget_bytes, color=scheme.warn, linewidth=1.2, linestyle=DASHES)
    text = f"budget {show_bytes(budget_bytes)}"
    label(axes, axes.get_xlim()[1], budget_bytes, text, scheme.warn, size=9, ha="right", va="bottom", offset=(0, 3))
