"""Every worker as people are shown it: where it is, what it has, what it does, and whether it takes jobs. No torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pixart_ui.events import Phase
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.jobs.journal import ALIVE_SECONDS, Journal
from pixart_ui.jobs.open_work import RunningJob

# One that stopped reporting is shown for so long, as what it is.
SHOWN_SECONDS = 60.0


class WorkerState(StrEnum):
    """`draining` ends the picture that it is at, `drained` is idle and stays so, `refused` may not join."""

    READY = "ready"
    WORKING = "working"
    DRAINING = "draining"
    DRAINED = "drained"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True)
class WorkerRow:
    """`device` is the id by which it is drained and resumed, `place` what people call it (`cuda:0`).

    Bytes are of the GPU, of RAM on a processor; None where they are not known. `job` is what it draws, `num_claimed`
    counts that one and those that wait in its group, `num_done` since its process began. `trouble` is a sentence.
    """

    id: str
    host: str
    device: str
    place: str
    name: str
    state: WorkerState
    free_bytes: int | None
    total_bytes: int | None
    job: int | None
    phase: Phase | None
    step: int
    num_claimed: int
    num_done: int
    silent_seconds: float
    trouble: str | None


def worker_rows(journal: Journal) -> tuple[WorkerRow, ...]:
    """All that reported lately, in the order in which they began."""
    workers, running, now = journal.workers(alive_within=SHOWN_SECONDS), journal.open_work().running, time.time()
    return tuple(_row(worker, [job for job in running if job.worker == worker.id], now) for worker in workers)


def _row(worker: WorkerStatus, jobs: Sequence[RunningJob], now: float) -> WorkerRow:
    info, silent = worker.info, max(0.0, now - worker.heartbeat_at)
    active = max(jobs, key=lambda job: (job.phase is not None, job.step), default=None)
    place = str(info.get("place", info.get("device", worker.device)))
    return WorkerRow(
        id=worker.id,
        host=str(info.get("host", "")),
        device=worker.device,
        place=place if place != "cpu" else worker.device,
        name=str(info.get("name", worker.device)),
        state=_state(worker, is_busy=bool(jobs), is_silent=silent > ALIVE_SECONDS),
        free_bytes=info.get("memory_free_bytes"),
        total_bytes=info.get("memory_total_bytes"),
        job=active.id if active is not None else None,
        phase=active.phase if active is not None else None,
        step=active.step if active is not None else 0,
        num_claimed=len(jobs),
        num_done=info.get("watch", {}).get("jobs_done", 0),
        silent_seconds=silent,
        trouble=info.get("trouble"),
    )


def _state(worker: WorkerStatus, *, is_busy: bool, is_silent: bool) -> WorkerState:
    if is_silent:
        return WorkerState.SILENT
    if "trouble" in worker.info:
        return WorkerState.REFUSED
    if worker.is_drained:
        return WorkerState.DRAINING if is_busy else WorkerState.DRAINED
    return WorkerState.WORKING if is_busy else WorkerState.READY
