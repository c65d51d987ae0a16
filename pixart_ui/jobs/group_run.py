"""One claimed group: turns the engine's events into rows of the journal and files.

It knows nothing of what comes before the group or after it. What must stay true:

- a picture is on the disk under its name before its job is `done`; pictures are written in a thread, in their order,
  while the next ones are made, and a group ends only when all of its are;
- latents are on the disk before their picture is, and leave when its job has ended;
- a job that was taken from us meanwhile changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from pixart_ui.access.viewer import LOCAL_OWNER
from pixart_ui.engine.coming import Foresee
from pixart_ui.errors import DiskFullError
from pixart_ui.events import (
    EncodedAhead,
    Event,
    ImageFailed,
    ImageReady,
    LatentArray,
    LatentsReady,
    Phase,
    PhaseFinished,
    PhaseMeasurement,
    PhaseStarted,
    StepDone,
    SteppedDown,
    WeightsPrepared,
)
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.latents import KeptLatents, LatentFiles
from pixart_ui.jobs.step_reports import StepReports
from pixart_ui.request import ResolvedRequest
from pixart_ui.settings import Settings

Tell = Callable[..., None]
See = Callable[[Event], None]
log = logging.getLogger(__name__)


class EngineLike(Protocol):
    """What the worker needs of an engine; `engine.engine.Engine` is the real one."""

    @property
    def device_id(self) -> str: ...

    def info(self) -> dict[str, Any]: ...

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]: ...

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: Callable[[int], bool],
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
    ) -> Iterator[Event]: ...


@runtime_checkable
class ForeseeingEngine(EngineLike, Protocol):
    """One that encodes what comes next beside the last picture at hand."""

    def foresee(self, foresee: Foresee) -> None: ...


class GroupRun:
    """Runs once. `shortage` says in words what the disk did not take; the jobs that are left then are still ours.

    `makes_way`: whether jobs that have not begun go back to the queue for a pause or for one that is more urgent. `see`
    is told every event before it is written down.

    `_open` holds the jobs that have not ended and are still ours, by their index; `_active` is the one being worked on.
    `_saves` are the pictures that are being written; their jobs are open until `_settle` has seen the end of it.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        engine: EngineLike,
        jobs: Sequence[Job],
        stop: threading.Event,
        tell: Tell,
        *,
        makes_way: bool = True,
        see: See = lambda _: None,
    ) -> None:
        self._makes_way = makes_way
        self._see = see
        self._settings = settings
        self._journal = journal
        self._engine = engine
        self._jobs = jobs
        self._worker = jobs[0].worker or ""
        self._stop = stop
        self._tell = tell
        self.shortage: str | None = None
        self._open = dict(enumerate(jobs))
        self._steps = [0] * len(jobs)
        self._begun: set[int] = set()
        self._active = 0
        self._notes: list[str] = []
        self._latents = LatentFiles(settings.latents_dir)
        self._reports = StepReports(journal, settings.previews_dir)
        self._keys: list[str] = []
        self._kept: dict[int, KeptLatents] = {}
        self._saves: dict[int, Future[None]] = {}
        self._saver = ThreadPoolExecutor(1, thread_name_prefix="save")

    def run(self) -> None:
        for _ in self._events():
            pass

    def follow(self) -> Iterator[None]:
        """The same, with a word to whoever follows it when the journal knows of an event."""
        for _ in self._events():
            self._reports.settle()
            yield

    def _events(self) -> Iterator[None]:
        try:
            # Before anything of them is touched: opening files, too, can be what a worker dies of.
            self._report_all(Phase.ENCODE)
            latents = self._find_latents()
            requests, scopes = [job.request for job in self._jobs], [scope_of(job) for job in self._jobs]
            with _left_here(self._engine.run(requests, self._is_cancelled, latents, scopes)) as events:
                for event in events:
                    self._see(event)
                    self._settle()
                    if not isinstance(event, StepDone):
                        self._reports.settle()
                    self._record(event)
                    yield
        finally:
            self._reports.close()
            self._saver.shutdown()  # whatever ended the group: pictures that are made are kept
            self._settle()
        if not self._is_stopping():
            self.fail_rest("The engine ended without making this picture: try again.")

    def fail_rest(self, message: str) -> None:
        for index in list(self._open):
            self._fail(index, message)

    def fail_active(self, message: str) -> None:
        """Fail the job that was being worked on; between two jobs, the one that would have come next."""
        index = self._active if self._active in self._open else next(iter(self._open), self._active)
        self._fail(index, message)

    def _find_latents(self) -> dict[int, LatentArray]:
        """What an earlier attempt drew and could not record."""
        self._keys = self._engine.latents_keys([job.request for job in self._jobs])
        for index, job in self._open.items():
            kept = self._latents.get(job.id, self._keys[index])
            if kept is not None:
                self._kept[index] = kept
        return {index: kept.latents for index, kept in self._kept.items()}

    def _is_stopping(self) -> bool:
        """Whether the group ends before all of its pictures are made; the others go back to the queue."""
        return self._stop.is_set() or self.shortage is not None

    def _is_cancelled(self, index: int) -> bool:
        return self._is_stopping() or index not in self._open or self._journal.should_stop(self._jobs[index])

    def _record(self, event: Event) -> None:
        self._tell(preparing=asdict(event) if isinstance(event, WeightsPrepared) else None)
        match event:
            case SteppedDown(phase=phase, reason=reason):
                self._step_down(phase, reason)
            case PhaseStarted(phase=phase, index=None):
                self._report_all(phase)
            case PhaseFinished(measurement=measurement, index=None):
                self._count_load(measurement)
                # Between their phases the jobs of a group only wait: nothing is held against them if the worker dies.
                self._report_all(None)
                self._make_way()
            case PhaseStarted(phase=phase, index=int(index)):
                self._report(index, phase)
            case EncodedAhead():
                self._journal.count_load()
            case LatentsReady(index=index, latents=latents, kernels=kernels):
                self._keep_latents(index, KeptLatents(latents, kernels))
            case StepDone(index=index, step=step, preview=preview):
                self._steps[index] = step
                if job := self._open.get(index):
                    self._reports.tell(job, step, preview)
            case ImageReady(index=index, image=image, facts=facts):
                self._keep(index, image, facts)
            case ImageFailed(index=index, is_cancelled=True):
                self._cancelled(index)
                self._make_way()
            case ImageFailed(index=index, message=message):
                self._fail(index, message)
                self._make_way()

    def _step_down(self, phase: Phase, reason: str) -> None:
        log.warning("memory ran out in %s, jobs %s go on: %s", phase, [job.id for job in self._open.values()], reason)
        self._notes.append(reason)
        self._tell(notes=list(self._notes))

    def _count_load(self, measurement: PhaseMeasurement) -> None:
        if measurement.phase is Phase.ENCODE and measurement.bytes_moved > 0:
            self._journal.count_load()

    def _report_all(self, phase: Phase | None) -> None:
        ours = self._journal.report_group([*self._open.values()], phase)
        self._open = {index: job for index, job in self._open.items() if job.id in ours}

    def _report(self, index: int, phase: Phase) -> None:
        """Before it begins: if the worker dies of it, the journal knows."""
        if index in self._open:
            self._active = index
            self._begun.add(index)
            self._write_progress(index, phase)

    def _write_progress(self, index: int, phase: Phase | None) -> None:
        is_ours = self._journal.progress(self._jobs[index], phase=phase, step=self._steps[index], preview=None)
        if not is_ours:
            del self._open[index]

    def _keep_latents(self, index: int, kept: KeptLatents) -> None:
        """Write them while the picture is decoded."""
        if job := self._open.get(index):
            self._saver.submit(self._latents.put, job.id, self._keys[index], kept)

    def _keep(self, index: int, image: Image.Image, facts: Mapping[str, Any]) -> None:
        """Write the picture while the next one is made. If the worker dies now, it did not die of this job."""
        self._begun.add(index)
        self._steps[index] = self._jobs[index].request.steps  # also where an earlier attempt made them
        if index in self._kept:
            facts = {**facts, "kernels": dict(self._kept[index].kernels)}
        if index in self._open:
            self._write_progress(index, None)
        self._cancelled(index)  # while it was decoded; from here on it is too late
        if job := self._open.get(index):
            facts = {**facts, "job": job.id, "attempt": job.attempt, "group_size": len(self._jobs)}
            self._saves[index] = self._saver.submit(self._save, job, image, facts)
        self._make_way()

    def _make_way(self) -> None:
        """Between two pictures: a pause or an urgent job need not wait for the rest of the group."""
        if not self._makes_way:
            return
        waiting = [job.id for index, job in self._open.items() if index not in self._begun]
        gone = self._journal.let_go(self._worker, waiting)
        self._open = {index: job for index, job in self._open.items() if job.id not in gone}

    def _save(self, job: Job, image: Image.Image, facts: Mapping[str, Any]) -> None:
        """Runs in the thread. First the file, then the row: a row that says `done` always has its picture."""
        name = image_name(job)
        try:
            images.save(image, self._settings.images_dir / name, job.request, facts)
        except DiskFullError:
            folder = self._settings.images_dir
            self.shortage = f"{name} does not fit on the disk of {folder}: free some space, then resume the queue"
        except OSError as error:
            folder = self._settings.images_dir
            self.shortage = f"{name} cannot be written to {folder} ({error.strerror}): mend that, then resume the queue"
        else:
            self._end(job, is_ours=self._journal.finish(job, image=name, facts=facts))

    def _settle(self) -> None:
        """Let go of the jobs whose pictures are written. Raises what a save did not foresee, as that job's fault."""
        errors = []
        for index in [index for index, save in self._saves.items() if save.done()]:
            error = self._saves.pop(index).exception()
            if error is None:
                self._open.pop(index, None)
            else:
                self._active = index
                errors.append(error)
        if errors:
            raise errors[0]

    def _cancelled(self, index: int) -> None:
        """End it where that was asked for; if it was the worker that is to stop, it goes back to the queue instead."""
        job = self._open.get(index)
        if job is not None and self._journal.should_stop(job):
            del self._open[index]
            self._end(job, is_ours=self._journal.fail(job, "Cancelled.", is_cancelled=True))

    def _fail(self, index: int, message: str) -> None:
        job = self._open.pop(index, None)
        if job is not None:
            self._end(job, is_ours=self._write_failure(job, message))

    def _write_failure(self, job: Job, message: str) -> bool:
        log.warning("job %d failed: %s", job.id, message)
        return self._journal.fail(job, message)

    def _end(self, job: Job, *, is_ours: bool) -> None:
        """Remove what was of use while it ran. Where it was taken from us its latents may be of use to another."""
        if is_ours:
            self._latents.discard(job.id)
        attempt = "*" if is_ours else job.attempt
        for path in self._settings.previews_dir.glob(f"{job.id}-{attempt}-*.jpg"):
            path.unlink(missing_ok=True)


@contextmanager
def _left_here(events: Iterator[Event]) -> Iterator[Iterator[Event]]:
    """Whatever ends the group ends the engine's run in the thread that drives it, not when somebody collects it."""
    try:
        yield events
    finally:
        if isinstance(events, Generator):
            events.close()


def scope_of(job: Job) -> str:
    """What people asked for who sign in stays apart, in the embedding cache as well."""
    return "" if job.owner == LOCAL_OWNER else job.owner


def image_name(job: Job) -> str:
    """`YYYYMMDD-<job>-<seed>.png` with the local date of the order, so that every attempt writes the same file."""
    day = datetime.fromtimestamp(job.created_at, UTC).astimezone()
    return f"{day:%Y%m%d}-{job.id:06d}-{job.request.seed}.png"
