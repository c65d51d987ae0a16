"""A comparison as CSV: a line for each run, every figure in its plain unit, so that a spreadsheet can go on with it.

Text that a spreadsheet would take for a formula has an apostrophe before it. An infinite figure is `inf`, one that was
not measured is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from pixart_ui.compare.comparison import Comparison, PhaseFigures, Result
from pixart_ui.compare.summary import FIGURES

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
PHASE_FIELDS = (
    "seconds", "load_seconds", "bytes_moved", "weight_bytes", "peak_allocated_bytes", "peak_reserved_bytes",
    "device_used_bytes", "peak_rss_bytes", "is_cached",
)  # fmt: skip
Value = str | int | float | bool | None


def as_csv(comparison: Comparison) -> str:
    """The whole table with its heading; lines end as RFC 4180 wants it."""
    rows = [_row(comparison, result) for result in comparison.results]
    phases = list(dict.fromkeys(phase.name for result in comparison.results for phase in result.phases))
    names = [*_row_names(comparison), *(f"{phase}_{field}" for phase in phases for field in PHASE_FIELDS)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    for row, result in zip(rows, comparison.results, strict=True):
        measured = {name: value for phase in result.phases for name, value in _phase(phase).items()}
        writer.writerow({name: _cell(value) for name, value in {**row, **measured}.items()})
    return text.getvalue()


def _row_names(comparison: Comparison) -> list[str]:
    axes = [f"{axis.name}" for axis in comparison.sweep.axes]
    before = ["run", *axes, "prompt", "seed", "key", "role", "strategy", "state", "reason"]
    measured = ["memory_bytes", "memory_kind", "seconds", "load_seconds", "bytes_moved", "peak_rss_bytes"]
    predicted = ["predicted_peak_bytes", "predicted_seconds", "notes"]
    around = ["baseline_kept", "was_warm", "has_random_weights", "image"]
    quality = [figure.name for figure in FIGURES]
    return list(
        dict.fromkeys(
            [*before, *measured, *predicted, *around, *quality, "embedding_worst_token", "embedding_worst_cosine"]
        )
    )


def _row(comparison: Comparison, result: Result) -> dict[str, Value]:
    memory, quality = result.memory, result.quality
    embedding = quality.embedding if quality is not None else None
    return {
        "run": result.label,
        **{f"{name}": value for name, value in result.values.items()},
        "prompt": comparison.prompt(result),
        "seed": result.request.seed if result.request is not None else None,
        "key": result.key,
        "role": result.role.value,
        "strategy": result.strategy,
        "state": result.state.value,
        "reason": result.reason,
        "memory_bytes": memory.bytes if memory is not None else None,
        "memory_kind": memory.kind if memory is not None else None,
        "seconds": result.seconds,
        "load_seconds": result.load_seconds,
        "bytes_moved": result.bytes_moved,
        "peak_rss_bytes": result.peak_rss_bytes,
        "predicted_peak_bytes": result.predicted_peak_bytes,
        "predicted_seconds": result.predicted_seconds,
        "notes": " ".join(result.notes),
        "baseline_kept": result.baseline.is_kept if result.baseline is not None else None,
        "was_warm": result.was_warm,
        "has_random_weights": result.has_random_weights,
        "image": result.image,
        **{figure.name: figure.get(quality) if quality is not None else None for figure in FIGURES},
        "embedding_worst_token": embedding.worst_token if embedding is not None else None,
        "embedding_worst_cosine": embedding.worst_cosine if embedding is not None else None,
    }


def _phase(phase: PhaseFigures) -> Mapping[str, Value]:
    return {f"{phase.name}_{field}": getattr(phase, field) for field in PHASE_FIELDS}


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return repr(value)
