"""A job: one picture in the queue, as the journal holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pixart_ui.events import Phase
from pixart_ui.request import ResolvedRequest


class JobState(StrEnum):
    """Where a job is. The last three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Trial:
    """A run of a comparison: which one, which cell of its sweep, under which memory strategy."""

    comparison: str
    cell: str
    strategy: str


@dataclass(frozen=True)
class Job:
    """One row. Times are seconds since 1970; `image` and `preview` are file names, not paths.

    `batch` is shared by the pictures of one request. `attempt` counts claims and fences every write of a worker: a
    worker that lost its lease writes with an old attempt and changes nothing. `facts` is what the picture's PNG holds.
    `image_removed_at` says when the picture was deleted because the settings keep only so many; a starred one never is.
    A job with a `trial` is a run of a comparison: its picture is there and not in the gallery.
    """

    id: int
    batch: str
    owner: str
    state: JobState
    request: ResolvedRequest
    created_at: float
    attempt: int = 0
    worker: str | None = None
    phase: Phase | None = None
    step: int = 0
    preview: str | None = None
    image: str | None = None
    error: str | None = None
    facts: Mapping[str, Any] | None = None
    is_cancel_requested: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    is_starred: bool = False
    image_removed_at: float | None = None
    trial: Trial | None = None


@dataclass(frozen=True)
class LoadCount:
    """How often T5 was brought to a device, and how often that was saved, were each picture to bring it for itself."""

    loads: int
    saved: int


@dataclass(frozen=True)
class QueuePage:
    """Some of the jobs that match a filter. `total` is how many match; `places` is where those that wait stand.

    The places are counted in the whole queue, from 1, in the order in which owners take turns.
    """

    jobs: tuple[Job, ...]
    places: Mapping[int, int]
    total: int


@dataclass(frozen=True)
class Caps:
    """How many jobs may wait or run at a time, for one owner and in all; None is without end."""

    of_owner: int | None = None
    in_total: int | None = None


@dataclass(frozen=True)
class Allowance:
    """How much one owner may add: unfinished jobs at a time, and pixels × steps within an hour; None is without end."""

    open_jobs: int | None = None
    work_an_hour: float | None = None


NO_ALLOWANCE = Allowance()


class Move(StrEnum):
    """Where a waiting job goes among the waiting jobs of its owner."""

    FIRST = "first"
    UP = "up"
    DOWN = "down"
    LAST = "last"


@dataclass(frozen=True)
class WorkerStatus:
    """A worker as it last reported. `info` is what the System line shows: device name, memory, state in words.

    `is_drained`: somebody wants its device to take no new jobs.
    """

    id: str
    device: str
    pid: int
    started_at: float
    heartbeat_at: float
    info: Mapping[str, Any]
    is_drained: bool = False

    @property
    def is_taking(self) -> bool:
        """Whether it takes jobs; one that may not join says why in its `info`, as `trouble`."""
        return not self.is_drained and "trouble" not in self.info
