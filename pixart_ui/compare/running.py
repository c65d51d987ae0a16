"""Comparisons as runs in the queue: started, looked at, resumed, cancelled, named and deleted; nothing is drawn here.

A comparison is kept in its folder and each of its cells is a job of the journal, which a worker measures alone
(`jobs/trial_run.py`). What must stay true: a cell that has a result is never queued again, one that has an open job is
not queued twice, and what cannot be resolved is a result with its reason, unless it is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixart_ui.compare.comparison import Comparison, Device, Result, State
from pixart_ui.compare.folder import updating
from pixart_ui.compare.kept import Entry, Kept
from pixart_ui.compare.sweep import Cell, Sweep
from pixart_ui.errors import CheckpointError, InputError
from pixart_ui.jobs.job import Job, JobState, Trial, WorkerStatus
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest, ResolvedRequest

Resolve = Callable[[GenerationRequest], tuple[ResolvedRequest, ...]]
DEFAULT_NAME_CHARS = 60
_OPEN = (JobState.QUEUED, JobState.RUNNING)


class Comparisons:
    """The comparisons of one data folder. Safe to use from several threads and processes."""

    def __init__(self, kept: Kept, journal: Journal) -> None:
        self._kept = kept
        self._journal = journal

    def start(self, sweep: Sweep, resolve: Resolve, owner: str, name: str | None = None) -> str:
        """Keep it and queue all of its cells; returns its id at once. Raises InputError, CheckpointError."""
        requests, refused = _resolved(sweep.cells(), resolve)
        comparison_id = self._kept.create(
            Comparison(
                name=_default_name(sweep),
                created=datetime.now(UTC),
                sweep=sweep,
                device=_device(self._journal.workers()),
                versions={},
                results=refused,
            ),
            owner,
        )
        try:
            if name is not None:
                self._kept.rename(comparison_id, name)
            self._submit(comparison_id, requests, owner)
        except InputError:
            self._kept.delete(comparison_id)
            raise
        return comparison_id

    def resume(self, comparison_id: str, resolve: Resolve, owner: str) -> int:
        """Queue what has neither a result nor an open job; returns how many. Raises as `start`."""
        comparison = self._kept.open(comparison_id)
        is_open = {job.trial.cell for job in self.jobs(comparison_id) if job.trial is not None and job.state in _OPEN}
        requests, refused = _resolved([cell for cell in comparison.missing if cell.key not in is_open], resolve)
        with updating(self._kept, comparison_id) as update:
            update(*refused)
        self._submit(comparison_id, requests, owner)
        return len(requests)

    def open(self, comparison_id: str) -> Comparison:
        """What is known of it now; a run whose workers died over it is a failed one. Raises InputError."""
        comparison = self._kept.open(comparison_id)
        missing = {cell.key: cell for cell in comparison.missing}
        failed = [
            Result.of(missing[job.trial.cell], State.FAILED, reason=job.error, request=job.request)
            for job in self.jobs(comparison_id)
            if job.trial is not None and job.trial.cell in missing and job.state is JobState.FAILED
        ]
        unique = {result.key: result for result in failed}
        return comparison.model_copy(update={"results": (*comparison.results, *unique.values())})

    def folder(self, comparison_id: str) -> Path:
        """Its folder. Raises InputError."""
        return self._kept.path(comparison_id)

    def owner(self, comparison_id: str) -> str:
        """Whose it is. Raises InputError."""
        return self._kept.owner(comparison_id)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, the newest first."""
        return self._kept.entries()

    def jobs(self, comparison_id: str) -> tuple[Job, ...]:
        """Its runs in the queue, in their order, those of every attempt to finish it."""
        return self._journal.jobs(comparison=comparison_id, newest_first=False)

    def cancel(self, comparison_id: str) -> int:
        """End its runs; what is measured stays. Returns how many were open."""
        return len(self._journal.cancel([job.id for job in self.jobs(comparison_id) if job.state in _OPEN]))

    def rename(self, comparison_id: str, name: str) -> None:
        self._kept.rename(comparison_id, name)

    def delete(self, comparison_id: str) -> None:
        """End its runs and take it away with its pictures. Raises InputError."""
        self._kept.path(comparison_id)
        self.cancel(comparison_id)
        self._kept.delete(comparison_id)

    def _submit(self, comparison_id: str, requests: Sequence[tuple[Cell, ResolvedRequest]], owner: str) -> None:
        trials = [(request, Trial(comparison_id, cell.key, cell.strategy)) for cell, request in requests]
        if trials:
            self._journal.submit_trials(trials, owner)


def _resolved(cells: Sequence[Cell], resolve: Resolve) -> tuple[list[tuple[Cell, ResolvedRequest]], tuple[Result, ...]]:
    """The requests of cells, and what cannot be asked for as results. Raises what refuses a reference."""
    requests, refused = [], []
    for cell in cells:
        try:
            (request,) = resolve(cell.request)
        except (InputError, CheckpointError) as error:
            if cell.is_reference:
                raise
            refused.append(Result.of(cell, State.UNAVAILABLE, reason=error.message))
        else:
            requests.append((cell, request))
    return requests, tuple(refused)


def _default_name(sweep: Sweep) -> str:
    prompt = sweep.prompts[0] if len(sweep.prompts) == 1 else f"{len(sweep.prompts)} prompts"
    shown = prompt if len(prompt) <= DEFAULT_NAME_CHARS else prompt[: DEFAULT_NAME_CHARS - 1].rstrip() + "…"
    name = f"{' × '.join(axis.name for axis in sweep.axes)}: {shown}"
    return "".join(char if char.isprintable() else " " for char in name)


def _device(workers: Sequence[WorkerStatus]) -> Device:
    """What the first worker says of itself; the one that runs the first cell says all of it."""
    if not workers:
        return Device(name="not run yet", type="unknown")
    info: Mapping[str, Any] = workers[0].info
    return Device(name=str(info.get("name", workers[0].device)), type=str(info.get("device", "cpu")).partition(":")[0])
