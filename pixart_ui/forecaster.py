"""Makes the forecast of the journal's present state, and makes again only the parts of it that changed.

Groups are formed when what waits has changed, seconds are asked for when a device has learned something; the rest, a
walk over the groups, is done once for each revision however many pages ask. Safe to use from several threads.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui.catalog import Catalog
from pixart_ui.forecast import Forecast, GroupSeconds, PictureSeconds, WorkerPace, forecast, group_seconds
from pixart_ui.jobs.group_size import fair_share
from pixart_ui.jobs.grouping import Groups, form_groups
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.open_work import OpenWork, RunningJob, Waiting
from pixart_ui.paces import Paces

# How many jobs a worker claims at once that does not say so.
USUAL_GROUP_SIZE = 8
# While nothing changes a forecast is kept so long; then the time that has passed counts.
FRESH_SECONDS = 0.5


@dataclass(frozen=True)
class _Made:
    """A forecast, and what it was made of."""

    at: float
    revision: int
    workers: tuple[str, ...]
    value: Forecast


@dataclass(frozen=True)
class _Formed:
    """The groups of what waits, for workers that claim so many jobs at once."""

    waiting: Waiting
    group_size: int
    groups: Groups


class Forecaster:
    """One for each journal and process."""

    def __init__(self, journal: Journal, catalog: Catalog, calibration_path: Path) -> None:
        self._journal = journal
        self._paces = Paces(catalog, calibration_path)
        self._lock = threading.Lock()
        self._made: _Made | None = None
        self._formed = _Formed(Waiting(0), 0, Groups())
        self._seconds: dict[str, tuple[Groups, Mapping[str, PictureSeconds], Sequence[GroupSeconds]]] = {}
        self._seen: dict[str, tuple[Sequence[RunningJob], float]] = {}

    def now(self) -> Forecast:
        """Raises JournalError."""
        with self._lock:
            at, work, workers = time.monotonic(), self._journal.open_work(), self._journal.workers()
            names, made = tuple(worker.id for worker in workers), self._made
            is_same = made is not None and (made.revision, made.workers) == (work.revision, names)
            if made is None or not is_same or at - made.at > FRESH_SECONDS:
                made = self._made = _Made(at, work.revision, names, self._forecast(work, workers, at))
            return made.value

    def _forecast(self, work: OpenWork, workers: Sequence[WorkerStatus], at: float) -> Forecast:
        if not workers or not (work.running or work.waiting.by_owner):
            return Forecast()
        num_waiting, num_taking = sum(map(len, work.waiting.by_owner)), sum(worker.is_taking for worker in workers)
        group_size = min(_group_size(worker) for worker in workers)
        groups = self._groups(work.waiting, min(group_size, fair_share(num_waiting + len(work.running), num_taking)))
        keys = work.waiting.cost_keys | {job.cost_key for job in work.running}
        return forecast(work, groups, [self._pace(worker, work, keys, groups, at) for worker in workers])

    def _groups(self, waiting: Waiting, group_size: int) -> Groups:
        formed = self._formed
        if formed.waiting is not waiting or formed.group_size != group_size:
            groups = form_groups(waiting.by_owner, group_size)
            formed = self._formed = _Formed(waiting, group_size, groups)
        return formed.groups

    def _pace(
        self, worker: WorkerStatus, work: OpenWork, keys: frozenset[str], groups: Groups, at: float
    ) -> WorkerPace:
        running = [job for job in work.running if job.worker == worker.id]
        kinds = self._paces.of(worker.device, worker.info, keys, _group_size(worker))
        loaded = running[-1].group_key if running else _loaded(worker, groups)
        elapsed = self._elapsed(worker, running, at)
        seconds = self._group_seconds(worker, groups, kinds)
        return WorkerPace(worker.id, kinds, seconds, loaded, elapsed, is_taking=worker.is_taking)

    def _group_seconds(
        self, worker: WorkerStatus, groups: Groups, kinds: Mapping[str, PictureSeconds]
    ) -> Sequence[GroupSeconds]:
        known = self._seconds.get(worker.device)
        if known is None or known[0] is not groups or known[1] is not kinds:
            known = self._seconds[worker.device] = groups, kinds, group_seconds(groups, kinds)
        return known[2]

    def _elapsed(self, worker: WorkerStatus, running: Sequence[RunningJob], at: float) -> float:
        """For how long its jobs have been seen where they are."""
        known = self._seen.get(worker.device)
        if known is None or known[0] != running:
            known = self._seen[worker.device] = running, at
        return at - known[1]


def _loaded(worker: WorkerStatus, groups: Groups) -> str | None:
    """The group key of the next group, if an idle worker has its transformer on the device."""
    if not groups.groups:
        return None
    key = groups.groups[0][0][2]
    checkpoint, _, transformer_precision, *_ = json.loads(key)
    there = worker.info.get("on_device", {}).get("transformer")
    return key if there == [checkpoint, transformer_precision] else None


def _group_size(worker: WorkerStatus) -> int:
    """As the worker says it."""
    size: Any = worker.info.get("group_size")
    return size if isinstance(size, int) and size > 0 else USUAL_GROUP_SIZE
