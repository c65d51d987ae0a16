"""A comparison as figures: which runs stand in them, and with which words.

Pictures are read from the folder that the comparison's names are relative to. Imports matplotlib: the page imports
this only when it draws.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pixart_ui.compare import figures
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.figure_parts import Words
from pixart_ui.compare.figure_style import LIGHT, Scheme
from pixart_ui.compare.figures import Bar
from pixart_ui.compare.guides import Shown, guides
from pixart_ui.compare.summary import Column, columns, floor
from pixart_ui.compare.timelines import TIMELINE_TITLES, Run, conditions, first_result, memory_kind, timeline_runs
from pixart_ui.compare.verdict import failure_in_words, headline, share_in_short


def guides_figure(comparison: Comparison, folder: Path, scheme: Scheme = LIGHT) -> bytes:
    """PNG: the pictures of the first prompt in the order of their memory, over the memory line."""
    shown = [_shown(comparison, column, folder) for column in columns(comparison)]
    return guides(shown, words(comparison), budget_bytes=comparison.device.budget_bytes, scheme=scheme)


def timeline_figure(comparison: Comparison, scheme: Scheme = LIGHT) -> bytes | None:
    """PNG: memory through each run of the first prompt; None where none was sampled."""
    runs = timeline_runs(comparison)
    if not runs:
        return None
    named = Words(headline(comparison), conditions(comparison), TIMELINE_TITLES[runs[0].timeline.kind])
    return figures.timeline(runs, named, budget_bytes=_shown_budget(comparison, runs[0]), scheme=scheme)


def bars_figure(comparison: Comparison, scheme: Scheme = LIGHT) -> bytes:
    """PNG: memory, seconds and distance of every column."""
    noise = floor(comparison)
    rows = [
        Bar(
            name=column.label,
            memory_bytes=column.memory.bytes if column.memory is not None else None,
            load_seconds=column.load_seconds,
            compute_seconds=_compute_seconds(column),
            share=noise.share(column.rms_levels),
        )
        for column in columns(comparison)
    ]
    return figures.bars(rows, words(comparison), budget_bytes=comparison.device.budget_bytes, scheme=scheme)


def words(comparison: Comparison) -> Words:
    return Words(headline(comparison), conditions(comparison), memory_kind(comparison))


def _shown(comparison: Comparison, column: Column, folder: Path) -> Shown:
    result = first_result(column)
    memory = column.memory.bytes if column.memory is not None else None
    if result is None:
        return Shown(column.label, None, None, problem="still to be run")
    if not result.is_done:
        return Shown(column.label, memory, None, problem=failure_in_words(result))
    picture = open_picture(folder, result.image)
    seconds = f"{column.seconds:.1f} s" if column.seconds is not None else ""
    lines = (seconds, _distance(comparison, column))
    return Shown(column.label, memory, picture, lines, problem="" if picture is not None else "its picture is gone")


def open_picture(folder: Path, name: str | None) -> Image.Image | None:
    """The picture of that name, loaded; None where it is not there or cannot be read."""
    if name is None:
        return None
    try:
        with Image.open(folder / name, formats=["PNG"]) as picture:
            return picture.convert("RGB")
    except OSError:
        return None


def _distance(comparison: Comparison, column: Column) -> str:
    if column.is_reference:
        return "the reference"
    return share_in_short(floor(comparison).share(column.rms_levels))


def _shown_budget(comparison: Comparison, run: Run) -> int | None:
    """A budget is kept by what torch reserves; beside other kinds of memory its line would say what is not so."""
    return comparison.device.budget_bytes if run.timeline.kind in ("reserved", "allocated") else None


def _compute_seconds(column: Column) -> float | None:
    if column.seconds is None:
        return None
    return max(0.0, column.seconds - (column.load_seconds or 0.0))
