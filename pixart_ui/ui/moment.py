"""What both tabs need to know of one moment: the running jobs, the workers, how many wait, and whether it is paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixart_ui.access import viewer
from pixart_ui.jobs.job import Job, JobState, WorkerStatus
from pixart_ui.jobs.journal import Journal
from pixart_ui.ui import result


@dataclass(frozen=True)
class Moment:
    """`active` are the running jobs that the engine works on; the others of a claimed group only wait.

    `trouble` says why no worker can run, `paused` why no job starts; None where neither is so. What is open is
    everybody's; what has ended is counted as far as whoever asks may see it.
    """

    running: Sequence[Job]
    active: Sequence[Job]
    counts: Mapping[JobState, int]
    workers: Sequence[WorkerStatus]
    trouble: str | None
    paused: str | None

    @property
    def num_waiting(self) -> int:
        return self.counts[JobState.QUEUED] + len(self.running) - len(self.active)

    @property
    def has_engine(self) -> bool:
        return bool(self.workers)

    @property
    def is_busy(self) -> bool:
        return bool(self.running) or (self.num_waiting > 0 and self.paused is None)


def moment(journal: Journal, workers: Sequence[WorkerStatus], trouble: str | None) -> Moment:
    running = journal.jobs(states=[JobState.RUNNING], newest_first=False)
    # One whose file is being written stands behind the one that is being drawn.
    active = sorted((job for job in running if result.is_at_work(job)), key=result.is_being_saved)
    return Moment(running, active, _counts(journal), workers, trouble, journal.pause_reason())


def _counts(journal: Journal) -> Mapping[JobState, int]:
    counts, only = journal.counts(), viewer.current().only
    if only is None:
        return counts
    own = journal.counts(owner=only)
    return {state: own[state] if state.is_end else count for state, count in counts.items()}
