"""Which runs of a comparison stand for it in a chart, and what is said beside one. No figures: pages use it as well.

Of several prompts the first is drawn, of several seeds the first; tables have all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.compare.comparison import Comparison, Memory, Result, Timeline, TimelineKind
from pixart_ui.compare.summary import Column, columns
from pixart_ui.compare.verdict import MEMORY_TITLES

TIMELINE_TITLES: Mapping[TimelineKind, str] = {
    "reserved": "GPU memory, reserved by torch",
    "allocated": "GPU memory, allocated by torch",
    "device": "memory in use on the whole device",
    "rss": "RAM of the worker's process",
}
MAX_LINES = 8
NOT_MEASURED = "memory was not measured"


@dataclass(frozen=True)
class Run:
    """A line of the timeline."""

    name: str
    timeline: Timeline


def timeline_runs(comparison: Comparison) -> list[Run]:
    """The runs of the first prompt that were sampled, of the kind of the first; at most eight."""
    found = [Run(column.label, line) for column in columns(comparison) for line in _timelines(first_result(column))]
    return [run for run in found if run.timeline.kind == found[0].timeline.kind][:MAX_LINES]


def first_result(column: Column) -> Result | None:
    """The column's run of the first row that gave a picture, else its first run."""
    return next(iter(column.done), next(iter(column.results), None))


def memory_kind(comparison: Comparison) -> str:
    """What the memory figure is, in words."""
    memory = next(iter(_memories(comparison)), None)
    return MEMORY_TITLES[memory.kind] if memory is not None else NOT_MEASURED


def conditions(comparison: Comparison) -> str:
    """Where it was measured and what was drawn, on one line."""
    request = next((result.request for result in comparison.results if result.request is not None), None)
    parts = [comparison.device.name]
    parts += [f"{name} {comparison.versions[name]}" for name in ("torch", "diffusers") if name in comparison.versions]
    if request is not None:
        parts += [Path(request.checkpoint).name, f"{request.width}×{request.height}", f"{request.steps} steps"]
    return " · ".join(parts)


def _timelines(result: Result | None) -> Iterator[Timeline]:
    if result is not None and result.timeline is not None:
        yield result.timeline


def _memories(comparison: Comparison) -> Iterator[Memory]:
    yield from (result.memory for result in comparison.results if result.memory is not None)
