"""The live regions of the Compare tab: the kept comparisons, and the one that is open: verdict, grid, figures.

Reads what is kept and the comparison's own jobs; draws nothing and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.kept import Entry
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.services import Services
from pixart_ui.ui import compare_figures, compare_grid, compare_head
from pixart_ui.ui.look import CompareLook
from pixart_ui.ui.moment import Moment


@dataclass(frozen=True)
class Opened:
    """A comparison with its runs in the queue: the last job of each cell by its key."""

    id: str
    comparison: Comparison
    jobs: dict[str, Job]

    @property
    def is_open(self) -> bool:
        """Whether there is still a run to come."""
        return any(job.state in (JobState.QUEUED, JobState.RUNNING) for job in self.jobs.values())


def compare_regions(services: Services, look: CompareLook, now: Moment) -> dict[str, str]:
    entries = services.comparisons()
    entry = _entry(entries, look.comparison)
    listed = compare_head.kept(entries, entry)
    if entry is None:
        return {"compare-list": listed, "compare-head": compare_head.empty(), "compare-grid": "", "compare-figures": ""}
    try:
        opened = _open(services, entry.id)
    except InputError as error:
        broken = compare_head.unreadable(entry, error)
        return {"compare-list": listed, "compare-head": broken, "compare-grid": "", "compare-figures": ""}
    return {
        "compare-list": listed,
        "compare-head": compare_head.head(
            entry.id, opened.comparison, is_open=opened.is_open, workers=now.workers, room=look.room
        ),
        "compare-grid": compare_grid.grid(entry.id, opened.comparison, opened.jobs),
        "compare-figures": compare_figures.figures(opened.comparison),
    }


def _entry(entries: Sequence[Entry], wanted: str) -> Entry | None:
    """The one that the page asks for; the newest where it asks for none, or for one that is gone."""
    return next((entry for entry in entries if entry.id == wanted), next(iter(entries), None))


def _open(services: Services, comparison_id: str) -> Opened:
    jobs = {job.trial.cell: job for job in services.comparison_jobs(comparison_id) if job.trial is not None}
    return Opened(comparison_id, services.comparison(comparison_id), jobs)
