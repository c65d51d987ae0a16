"""The live regions of the Compare tab: the kept comparisons, and the one that is open: verdict, grid, figures.

Reads what is kept and the comparison's own jobs; draws nothing and measures nothing. While runs go on their steps
are news many times a second, so what is read and said of a report stays until its file changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.kept import Entry, stamp
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.services import Services
from pixart_ui.ui import compare_figures, compare_grid, compare_head
from pixart_ui.ui.look import CompareLook
from pixart_ui.ui.moment import Moment

# Comparisons whose reports stay in memory, those that were looked at last.
MAX_READ = 4


@dataclass(frozen=True)
class Read:
    """A comparison as it was read, and its figures; `stamp` changes with its files and with the runs that failed."""

    stamp: object
    comparison: Comparison
    figures: str


class CompareRegions:
    """Safe to use from several threads: at worst something is read twice."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._read: dict[str, Read] = {}

    def render(self, look: CompareLook, now: Moment) -> dict[str, str]:
        entries = self._services.comparisons()
        entry = _entry(entries, look.comparison)
        listed = compare_head.kept(entries, entry)
        if entry is None:
            return _only(listed, compare_head.empty())
        jobs = self._services.comparison_jobs(entry.id)
        try:
            read = self._open(entry.id, jobs)
        except InputError as error:
            return _only(listed, compare_head.unreadable(entry, error))
        is_open = any(job.state in (JobState.QUEUED, JobState.RUNNING) for job in jobs)
        last = {job.trial.cell: job for job in jobs if job.trial is not None}
        return {
            "compare-list": listed,
            "compare-head": compare_head.head(
                entry.id, read.comparison, is_open=is_open, workers=now.workers, room=look.room
            ),
            "compare-grid": compare_grid.grid(entry.id, read.comparison, last),
            "compare-figures": read.figures,
        }

    def _open(self, comparison_id: str, jobs: Sequence[Job]) -> Read:
        """Raises InputError where it is gone or damaged."""
        failed = tuple(job.id for job in jobs if job.state is JobState.FAILED)
        present = stamp(self._services.comparison_folder(comparison_id)), failed
        known = self._read.pop(comparison_id, None)
        if known is None or known.stamp != present:
            comparison = self._services.comparison(comparison_id)
            known = Read(present, comparison, compare_figures.figures(comparison))
        for oldest in list(self._read)[: 1 - MAX_READ]:
            self._read.pop(oldest, None)
        self._read[comparison_id] = known
        return known


def _only(listed: str, head: str) -> dict[str, str]:
    return {"compare-list": listed, "compare-head": head, "compare-grid": "", "compare-figures": ""}


def _entry(entries: Sequence[Entry], wanted: str) -> Entry | None:
    """The one that the page asks for; the newest where it asks for none, or for one that is gone."""
    return next((entry for entry in entries if entry.id == wanted), next(iter(entries), None))
