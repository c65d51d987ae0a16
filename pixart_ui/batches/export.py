"""Jobs and their results as CSV and JSON, for people, for other programs, and for `read_draft`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pixart_ui.jobs.job import Job


def queue_rows(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    """One row a job: its settings, then what became of it (`image` is a file name, seconds, bytes)."""
    raise NotImplementedError


def write_csv(jobs: Iterable[Job]) -> Iterator[str]:
    """The rows as a table, a chunk of text at a time."""
    raise NotImplementedError


def write_json(jobs: Iterable[Job]) -> Iterator[str]:
    """The rows as a list of objects, a chunk of text at a time."""
    raise NotImplementedError
