"""The worker: owns one device, claims groups of jobs, runs the engine on them and records what it says.

It knows the journal, the engine's events and where pictures go; nothing of pages or people. What must stay true:

- it holds the device's lock for as long as it may claim;
- a picture is on the disk under its name before its job is `done`; pictures are written in a thread, in their order,
  while the next ones are made, and a group ends only when all of its are;
- whatever one job does to the engine, the jobs beside it go on;
- a pause or an urgent job waits for one picture at most, not for a group;
- when it leaves, its unfinished jobs are back in the queue.

torch is imported when a device is opened, not before: the command line uses this module without it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

from PIL import Image

from pixart_ui.errors import DiskFullError, JournalError, PixArtError, WorkerError
from pixart_ui.events import (
    Event,
    ImageFailed,
    ImageReady,
    Phase,
    PhaseFinished,
    PhaseStarted,
    StepDone,
    SteppedDown,
    WeightsPrepared,
)
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.lock import CPU_ID, device_lock
from pixart_ui.prediction import usable_bytes
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings

LEASE_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0
GROUP_SIZE = 8
# An idle worker asks for the revision this often; leases lapse without a revision, so it looks again now and then.
IDLE_SECONDS = 0.1
LOOK_AGAIN_SECONDS = 2.0
# Free memory is shown, not computed with: smaller changes are not worth waking every browser for.
MEMORY_GRAIN_BYTES = 256 * 2**20
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Tell = Callable[..., None]
log = logging.getLogger(__name__)


class EngineLike(Protocol):
    """What the worker needs of an engine; `engine.engine.Engine` is the real one."""

    @property
    def device_id(self) -> str: ...

    def info(self) -> dict[str, Any]: ...

    def run(self, requests: Sequence[ResolvedRequest], is_cancelled: Callable[[int], bool]) -> Iterator[Event]: ...


class Worker:
    """Serves one engine. The caller holds the device's lock while `serve` runs; see `open_worker`."""

    def __init__(
        self, settings: Settings, journal: Journal, engine: EngineLike, *, name: str, group_size: int = GROUP_SIZE
    ) -> None:
        self.name = name
        self._settings = settings
        self._journal = journal
        self._engine = engine
        self._group_size = group_size
        self._info: dict[str, Any] = {}

    def serve(self, stop: threading.Event, *, only: Sequence[int] | None = None, is_draining: bool = False) -> None:
        """Run jobs until `stop` is set; with `only`, until those jobs have ended; draining, until none is left.

        A queue that is paused is waited for, except by one that drains it.

        Raises JournalError or DiskFullError where nothing can be recorded, WorkerError where the device needs a new
        process.
        """
        self._bury_predecessors()
        self._refresh_info("ready")
        self._journal.register_worker(self.name, device=self._engine.device_id, pid=os.getpid(), info=self._info)
        try:
            with self._heartbeat():
                self._loop(stop, only, is_draining)
        finally:
            self._journal.give_back(self.name, is_fault=False)
            self._journal.forget_worker(self.name)

    def _loop(self, stop: threading.Event, only: Sequence[int] | None, is_draining: bool) -> None:
        seen_revision, looked_at = -1, 0.0
        while not stop.is_set():
            revision = self._journal.revision()
            if revision == seen_revision and time.monotonic() - looked_at < LOOK_AGAIN_SECONDS:
                stop.wait(IDLE_SECONDS)
                continue
            seen_revision, looked_at = revision, time.monotonic()
            jobs = self._journal.claim(self.name, lease_seconds=LEASE_SECONDS, limit=self._group_size, only=only)
            if jobs:
                self._refresh_info("working")
                self._run_group(jobs, stop)
            elif self._is_over(only, is_draining):
                return
            self._refresh_info("ready")

    def _is_over(self, only: Sequence[int] | None, is_draining: bool) -> bool:
        if is_draining and self._journal.pause_reason() is not None:
            return True
        return (is_draining or only is not None) and not self._journal.has_open(only)

    def _run_group(self, jobs: Sequence[Job], stop: threading.Event) -> None:
        """One claim. The only place in the project that outlives any exception: it is another's job that comes next."""
        run = _GroupRun(self._settings, self._journal, self._engine, jobs, stop, self._tell)
        try:
            run.run()
        except JournalError:
            raise
        except PixArtError as error:
            run.fail_rest(error.message)
        except Exception as error:
            log.exception("a job failed unexpectedly")
            run.fail_active(
                f"Making this picture ended with an unexpected {type(error).__name__}: "
                f"try again; the details are in {self._settings.logs_dir / 'worker.log'}."
            )
            self._journal.give_back(self.name, is_fault=False)
            if self._engine.device_id != CPU_ID:
                # After a fault a GPU's context may answer every later call with the same error.
                raise WorkerError(
                    f"The device ended with an unexpected {type(error).__name__}: the worker starts anew."
                ) from error

    def _bury_predecessors(self) -> None:
        """Whoever holds the device's lock knows that its earlier workers are dead: no need to wait for their leases."""
        for worker in self._journal.workers(alive_within=float("inf")):
            if worker.device == self._engine.device_id:
                self._journal.give_back(worker.id)
                self._journal.forget_worker(worker.id)

    def _refresh_info(self, state: str) -> None:
        info = self._engine.info() | {"state": state}
        change = usable_bytes(info) - usable_bytes(self._info)
        if self._info and abs(change) < MEMORY_GRAIN_BYTES:
            info["memory_free_bytes"] -= change
        self._info = info

    def _tell(self, **news: Any) -> None:
        """What the page shows of the group at work, from the next heartbeat on; None takes it away again."""
        self._info = {name: value for name, value in {**self._info, **news}.items() if value is not None}

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Reports and renews the leases from a thread, since a step or a load can take longer than a lease."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                try:
                    self._journal.renew(self.name, LEASE_SECONDS, self._info)
                except PixArtError as error:
                    log.warning("%s", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class _GroupRun:
    """One claimed group: turns the engine's events into rows and files.

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
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._engine = engine
        self._jobs = jobs
        self._worker = jobs[0].worker or ""
        self._stop = stop
        self._tell = tell
        self._open = dict(enumerate(jobs))
        self._steps = [0] * len(jobs)
        self._begun: set[int] = set()
        self._active = 0
        self._notes: list[str] = []
        self._saves: dict[int, Future[None]] = {}
        self._saver = ThreadPoolExecutor(1, thread_name_prefix="save")

    def run(self) -> None:
        try:
            for event in self._engine.run([job.request for job in self._jobs], self._is_cancelled):
                self._settle()
                self._record(event)
        finally:
            self._saver.shutdown()  # whatever ended the group: pictures that are made are kept
            self._settle()
        if not self._stop.is_set():
            self.fail_rest("The engine ended without making this picture: try again.")

    def fail_rest(self, message: str) -> None:
        for index in list(self._open):
            self._fail(index, message)

    def fail_active(self, message: str) -> None:
        """Fail the job that was being worked on; between two jobs, the one that would have come next."""
        index = self._active if self._active in self._open else next(iter(self._open), self._active)
        self._fail(index, message)

    def _is_cancelled(self, index: int) -> bool:
        return self._stop.is_set() or index not in self._open or self._journal.should_stop(self._jobs[index])

    def _record(self, event: Event) -> None:
        self._tell(preparing=asdict(event) if isinstance(event, WeightsPrepared) else None)
        match event:
            case SteppedDown(phase=phase, reason=reason):
                self._step_down(phase, reason)
            case PhaseStarted(phase=phase, index=None):
                self._report_all(phase)
            case PhaseFinished(index=None):
                # Between their phases the jobs of a group only wait: nothing is held against them if the worker dies.
                self._report_all(None)
                self._make_way()
            case PhaseStarted(phase=phase, index=int(index)):
                self._report(index, phase)
            case StepDone(index=index, step=step, preview=preview):
                self._steps[index] = step
                self._report(index, Phase.DENOISE, preview)
            case ImageReady(index=index, image=image, facts=facts):
                self._keep(index, image, facts)
            case ImageFailed(index=index, is_cancelled=True):
                self._cancelled(index)
            case ImageFailed(index=index, message=message):
                self._fail(index, message)

    def _step_down(self, phase: Phase, reason: str) -> None:
        log.warning("memory ran out in %s, jobs %s go on: %s", phase, [job.id for job in self._open.values()], reason)
        self._notes.append(reason)
        self._tell(notes=list(self._notes))

    def _report_all(self, phase: Phase | None) -> None:
        for index in list(self._open):
            self._write_progress(index, phase, None)

    def _report(self, index: int, phase: Phase, preview: Image.Image | None = None) -> None:
        if index in self._open:
            self._active = index
            self._begun.add(index)
            name = self._write_preview(self._jobs[index], preview) if preview is not None else None
            self._write_progress(index, phase, name)

    def _write_progress(self, index: int, phase: Phase | None, preview: str | None) -> None:
        is_ours = self._journal.progress(self._jobs[index], phase=phase, step=self._steps[index], preview=preview)
        if not is_ours:
            del self._open[index]

    def _keep(self, index: int, image: Image.Image, facts: Mapping[str, Any]) -> None:
        """Write the picture while the next one is made. If the worker dies now, it did not die of this job."""
        self._begun.add(index)
        if index in self._open:
            self._write_progress(index, None, None)
        if job := self._open.get(index):
            facts = {**facts, "job": job.id, "attempt": job.attempt, "group_size": len(self._jobs)}
            self._saves[index] = self._saver.submit(self._save, job, image, facts)
        self._make_way()

    def _make_way(self) -> None:
        """Between two pictures: a pause or an urgent job need not wait for the rest of the group."""
        waiting = [job.id for index, job in self._open.items() if index not in self._begun]
        gone = self._journal.let_go(self._worker, waiting)
        self._open = {index: job for index, job in self._open.items() if job.id not in gone}

    def _save(self, job: Job, image: Image.Image, facts: Mapping[str, Any]) -> None:
        """Runs in the thread. First the file, then the row: a row that says `done` always has its picture."""
        name = image_name(job)
        try:
            images.save(image, self._settings.images_dir / name, job.request, facts)
        except DiskFullError as error:
            self._write_failure(job, error.message)
        except OSError as error:
            self._write_failure(job, f"The picture {name} cannot be written ({error.strerror}): check the data folder.")
        else:
            self._journal.finish(job, image=name, facts=facts)
        self._remove_previews(job)

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
        """The engine obeyed; when it was the worker that is to stop, the job goes back to the queue instead."""
        job = self._open.get(index)
        if job is not None and self._journal.should_stop(job):
            self._journal.fail(job, "Cancelled.", is_cancelled=True)
            self._end(index)

    def _fail(self, index: int, message: str) -> None:
        job = self._open.get(index)
        if job is not None:
            self._write_failure(job, message)
            self._end(index)

    def _write_failure(self, job: Job, message: str) -> None:
        log.warning("job %d failed: %s", job.id, message)
        self._journal.fail(job, message)

    def _end(self, index: int) -> None:
        self._remove_previews(self._open.pop(index))

    def _remove_previews(self, job: Job) -> None:
        for path in self._settings.previews_dir.glob(f"{job.id}-*.jpg"):
            path.unlink(missing_ok=True)

    def _write_preview(self, job: Job, preview: Image.Image) -> str | None:
        """A preview that cannot be written is no reason to stop."""
        name = f"{job.id}-{job.attempt}.jpg"
        path = self._settings.previews_dir / name
        aside = path.with_suffix(".part")
        try:
            preview.convert("RGB").save(aside, "JPEG", quality=80)
            aside.replace(path)
        except OSError as error:
            log.warning("preview of job %d: %s", job.id, error)
            return None
        return name


def image_name(job: Job) -> str:
    """`YYYYMMDD-<job>-<seed>.png` with the local date of the order, so that every attempt writes the same file."""
    day = datetime.fromtimestamp(job.created_at, UTC).astimezone()
    return f"{day:%Y%m%d}-{job.id:06d}-{job.request.seed}.png"


def new_name() -> str:
    """A name for a worker that no other has."""
    return f"worker-{secrets.token_hex(6)}"


@contextmanager
def open_worker(services: Services, *, name: str) -> Iterator[Worker]:
    """Open the device of the settings and own it for the length of the block. Raises DeviceError, DeviceTaken."""
    from pixart_ui.engine.engine import Engine, EngineFiles

    settings = services.settings
    engine = Engine.open(
        settings.device,
        locate=lambda checkpoint: services.hub.locate(services.catalog.get(checkpoint)),
        hashes=services.hub.hashes,
        files=EngineFiles(
            settings.weights_dir, settings.embeddings_dir, settings.calibration_path, settings.compile_dir
        ),
        budget_bytes=settings.vram_budget,
    )
    if settings.vram_budget is not None and engine.device_id == CPU_ID:
        log.warning("the VRAM budget is for GPUs only: this worker runs on the CPU and leaves it aside")
    try:
        with device_lock(engine.device_id, settings.data_dir):
            yield Worker(settings, services.journal, engine, name=name)
    finally:
        engine.close()
