"""Jobs and their results as CSV and JSON: for people, for other programs, and for `read_draft`.

What must stay true: reading an export gives requests that resolve to the same pictures. So prompts are written with
plain braces and underscores escaped, and cells of a table that look like formulas begin with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pixart_ui.batches.columns import RESULTS, SETTINGS
from pixart_ui.batches.matrix import escape
from pixart_ui.batches.tables import guard
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job

COLUMNS = (*SETTINGS, *RESULTS)


def queue_rows(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    """One row a job: its settings as JSON values, then what became of it.

    `image` is a file name, times are UTC in ISO 8601. `seconds` is what its phases took, with its share of the encoding
    that its group had in common; `peak_bytes` the most memory of any phase: torch's on a GPU, the worker's on a CPU.
    """
    for job in jobs:
        settings = job.request.model_dump(mode="json", include=set(SETTINGS))
        yield {name: settings[name] for name in SETTINGS} | _result(job)


def write_csv(jobs: Iterable[Job]) -> Iterator[str]:
    """The rows as a table with a header, one chunk of text each."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in _templates(jobs):
        yield _take(buffer)
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    yield _take(buffer)


def write_json(jobs: Iterable[Job]) -> Iterator[str]:
    """The rows as a list of objects, one chunk of text each."""
    opening = "[\n"
    for row in _templates(jobs):
        yield f"{opening}{json.dumps(row, ensure_ascii=False)}"
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _templates(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    """The rows with prompts that stand for themselves alone when they are read again."""
    return (row | {"prompt": escape(row["prompt"])} for row in queue_rows(jobs))


def _result(job: Job) -> dict[str, Any]:
    facts = {} if job.facts is None else job.facts
    measurements: Mapping[str, Mapping[str, Any]] = facts.get("measurements", {})
    return {
        "id": job.id,
        "state": job.state.value,
        "owner": job.owner,
        "created_at": _moment(job.created_at),
        "finished_at": _moment(job.finished_at),
        "image": job.image,
        "seconds": _seconds(measurements, facts.get("group_size", 1)),
        "peak_bytes": max(
            (peak for phase in measurements.values() if (peak := _peak(phase)) is not None), default=None
        ),
        "error": job.error,
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _seconds(measurements: Mapping[str, Mapping[str, Any]], group_size: int) -> float | None:
    if not measurements:
        return None
    seconds = {phase: float(measured["seconds"]) for phase, measured in measurements.items()}
    if Phase.ENCODE in seconds:
        seconds[Phase.ENCODE] /= group_size
    return round(sum(seconds.values()), 3)


def _peak(measured: Mapping[str, Any]) -> int | None:
    """On a processor torch knows no peak, only the process does."""
    reserved: int | None = measured.get("peak_reserved_bytes")
    return reserved if reserved is not None else measured.get("peak_rss_bytes")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return guard(value)
    return json.dumps(value)


def _take(buffer: io.StringIO) -> str:
    """What was written since the last time."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
