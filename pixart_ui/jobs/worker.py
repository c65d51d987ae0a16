"""The worker: owns one device, claims groups of jobs and has each run (see `group_run.py`), for as long as it is asked.

It knows the journal, the engine and the disk; nothing of pages or people. What must stay true:

- it holds the device's lock for as long as it may claim;
- whatever one job does to the engine, the jobs beside it go on;
- a pause or an urgent job waits for one picture at most, not for a group;
- a disk without room pauses the queue, and no job fails for it;
- when it leaves, its unfinished jobs are back in the queue.

torch is imported when a device is opened, not before: the command line uses this module without it.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from pixart_ui.devices import is_processor
from pixart_ui.engine.coming import Coming
from pixart_ui.errors import DiskFullError, EngineLost, JournalError, PixArtError, WorkerError
from pixart_ui.jobs import leftovers, retention
from pixart_ui.jobs.group_run import EngineLike, ForeseeingEngine, GroupRun, scope_of
from pixart_ui.jobs.group_size import FEW, PredictedSizes, fair_share
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.latents import LatentFiles
from pixart_ui.jobs.lock import device_lock
from pixart_ui.jobs.room import room_for
from pixart_ui.jobs.route import EVERYTHING, Route
from pixart_ui.jobs.routing import Router
from pixart_ui.jobs.rows import group_key
from pixart_ui.jobs.trial_run import MeasuredEngine, TrialRun
from pixart_ui.jobs.watch import Watch, Weigh
from pixart_ui.jobs.watchdog import Watchdog
from pixart_ui.prediction import usable_bytes
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import MOST_IN_A_GROUP, Settings

LEASE_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0
# An idle worker asks for the revision this often; leases lapse without a revision, so it looks again now and then.
IDLE_SECONDS = 0.1
LOOK_AGAIN_SECONDS = 2.0
# Pictures grow too old without a group.
TIDY_SECONDS = 3600.0
# Free memory is shown, not computed with: smaller changes are not worth waking every browser for.
MEMORY_GRAIN_BYTES = 256 * 2**20
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

SizeOf = Callable[[ResolvedRequest], int]
OnHang = Callable[[str], None]
log = logging.getLogger(__name__)


class Worker:
    """Serves one engine. The caller holds the device's lock while `serve` runs; see `open_worker`.

    `size_of` says how many jobs like a given one are claimed at a time, if so many wait and the settings do not say;
    `weigh` says what lies on the device, `router` which jobs are for this worker where there are several. `on_hang` is
    called with a sentence, from another thread, when nothing comes of a group for far longer than was predicted; it is
    to end the process, whose jobs then go back as after any other death.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        engine: EngineLike,
        *,
        name: str,
        size_of: SizeOf = lambda _: MOST_IN_A_GROUP,
        weigh: Weigh | None = None,
        router: Router | None = None,
        on_hang: OnHang | None = None,
    ) -> None:
        self.name = name
        self._on_hang = on_hang
        self._watchdog = Watchdog(HEARTBEAT_SECONDS)
        self._settings = settings
        self._journal = journal
        self._engine = engine
        self._size_of = size_of
        self._size: int | None = settings.group_size
        self._latents = LatentFiles(settings.latents_dir)
        self._info: dict[str, Any] = {}
        self._warmed: set[str] = set()
        self._watch = Watch(weigh)
        self._router = router
        self._group_key: str | None = None
        self._only: Sequence[int] | None = None
        self._taken_by = EVERYTHING
        self._key_beside: str | None = None
        if isinstance(engine, ForeseeingEngine):
            engine.foresee(self._foresee)

    def serve(self, stop: threading.Event, *, only: Sequence[int] | None = None, is_draining: bool = False) -> None:
        """Run jobs until `stop` is set; with `only`, until those jobs have ended; draining, until none is left.

        A queue that is paused is waited for, except by one that drains it.

        Raises JournalError or DiskFullError where nothing can be recorded, WorkerError where the device needs a new
        process, EngineLost where it had one of its own that is gone.
        """
        is_lost = False
        self._bury_predecessors()
        leftovers.sweep(self._settings, self._journal)
        self._refresh_info("ready")
        self._journal.register_worker(self.name, device=self._engine.device_id, pid=os.getpid(), info=self._info)
        try:
            with self._heartbeat():
                self._loop(stop, only, is_draining)
        except EngineLost:
            is_lost = True
            raise
        finally:
            self._journal.give_back(self.name, is_fault=is_lost)
            self._journal.forget_worker(self.name)

    def _loop(self, stop: threading.Event, only: Sequence[int] | None, is_draining: bool) -> None:
        seen_revision, looked_at, tidied_at = -1, 0.0, -math.inf
        while not stop.is_set():
            revision = self._journal.revision()
            if revision == seen_revision and time.monotonic() - looked_at < LOOK_AGAIN_SECONDS:
                stop.wait(IDLE_SECONDS)
                continue
            seen_revision, looked_at = revision, time.monotonic()
            self._latents.sweep(self._journal.open_among)
            if jobs := self._claim(only):
                self._refresh_info("working")
                self._run_group(jobs, stop)
                self._watch.note_group(self._num_done_of(jobs))
            elif self._is_over(only, is_draining):
                return
            if jobs or time.monotonic() - tidied_at > TIDY_SECONDS:
                tidied_at = time.monotonic()
                retention.apply(self._settings, self._journal)
            self._refresh_info("ready")

    def _num_done_of(self, jobs: Sequence[Job]) -> int:
        return len(self._journal.jobs(ids=[job.id for job in jobs], states=[JobState.DONE]))

    def _claim(self, only: Sequence[int] | None) -> Sequence[Job]:
        """The next group, as far as the disk has room for it; without room for one picture the queue is paused."""
        route = self._route()
        self._only, self._taken_by = only, route
        limit = self._limit(only, route)
        jobs = self._journal.claim(self.name, lease_seconds=LEASE_SECONDS, limit=limit, only=only, route=route)
        if not jobs:
            return jobs
        self._group_key = group_key(jobs[0].request) if jobs[0].trial is None else None
        # What was tried before may have ended its worker, with whatever was beside it: now nothing is to be.
        self._key_beside = self._group_key if all(job.attempt == 1 for job in jobs) else None
        room = room_for(jobs, self._settings, self._journal)
        if room.shortage is not None:
            self._journal.pause(room.shortage)
        if room.num_fitting < len(jobs):
            self._journal.put_back(self.name, [job.id for job in jobs[room.num_fitting :]])
        return jobs[: room.num_fitting]

    def _foresee(self) -> Coming | None:
        """What will be claimed after the group at hand, as it looks now, if it is a few jobs that share its weights.

        Asked between steps, so it takes no time to speak of. Of several workers nobody knows whose they will be.
        """
        only, route, key = self._only, self._taken_by, self._key_beside
        first = self._journal.next_job(self.name, only, route) if key is not None else None
        if key is None or first is None or first.trial is not None or group_key(first.request) != key:
            return None
        num_waiting = self._journal.counts()[JobState.QUEUED]
        limit = num_waiting if self._size is None else min(num_waiting, self._size)
        if limit > FEW or self._num_taking() > 1:
            return None
        jobs = self._journal.coming(self.name, key, limit=limit, only=only, route=route)
        return Coming([job.request for job in jobs], [scope_of(job) for job in jobs]) if jobs else None

    def _route(self) -> Route:
        """Which of the waiting jobs are for this worker."""
        route = EVERYTHING
        if self._router is not None and len(workers := self._journal.workers()) > 1:
            route = self._router.route(self.name, workers, self._journal.open_work().waiting.cost_keys)
        return replace(route, is_measuring=isinstance(self._engine, MeasuredEngine))

    def _limit(self, only: Sequence[int] | None, route: Route) -> int:
        """How many jobs to claim: what shares a load well, and no more than is fair to the other workers."""
        counts = self._journal.counts()
        share = fair_share(counts[JobState.QUEUED] + counts[JobState.RUNNING], self._num_taking())
        size = self._settings.group_size
        if size is None and share > FEW and (first := self._journal.next_job(self.name, only, route)) is not None:
            size = self._size_of(first.request)
        if size is None:
            return share
        self._size = size
        return min(share, size)

    def _num_taking(self) -> int:
        return sum(worker.is_taking for worker in self._journal.workers())

    def _is_over(self, only: Sequence[int] | None, is_draining: bool) -> bool:
        if is_draining and self._journal.pause_reason() is not None:
            return True
        return (is_draining or only is not None) and not self._journal.has_open(only)

    def _run_group(self, jobs: Sequence[Job], stop: threading.Event) -> None:
        """One claim. The only place in the project that outlives any exception: it is another's job that comes next."""
        run = self._run_of(jobs, stop)
        try:
            is_compiled = jobs[0].request.compile_blocks
            with self._watchdog.group(is_compiled=is_compiled):
                run.run()
        except (JournalError, EngineLost):
            raise
        except DiskFullError as error:
            run.shortage = error.message
        except PixArtError as error:
            run.fail_rest(error.message)
        except Exception as error:
            log.exception("a job failed unexpectedly")
            run.fail_active(
                f"Making this picture ended with an unexpected {type(error).__name__}: "
                f"try again; the details are in {self._settings.logs_dir / 'worker.log'}."
            )
            self._journal.give_back(self.name, is_fault=False)
            if not is_processor(self._engine.device_id):
                # After a fault a GPU's context may answer every later call with the same error.
                raise WorkerError(
                    f"The device ended with an unexpected {type(error).__name__}: the worker starts anew."
                ) from error
        if run.shortage is not None:
            self._journal.pause(run.shortage.rstrip("."))
            self._journal.give_back(self.name, is_fault=False)

    def _run_of(self, jobs: Sequence[Job], stop: threading.Event) -> GroupRun | TrialRun:
        """A run of a comparison is always claimed alone."""
        common = (self._settings, self._journal, self._engine)
        if jobs[0].trial is not None:
            return TrialRun(*common, jobs[0], stop, self._tell, self._watchdog, self._warmed)
        return GroupRun(*common, jobs, stop, self._tell, see=self._watchdog.see)

    def _bury_predecessors(self) -> None:
        """Whoever holds the device's lock knows that its earlier workers are dead: no need to wait for their leases."""
        for worker in self._journal.workers(alive_within=float("inf")):
            if worker.device == self._engine.device_id:
                self._journal.give_back(worker.id)
                self._journal.forget_worker(worker.id)

    def _refresh_info(self, state: str) -> None:
        info = {"host": socket.gethostname(), **self._engine.info(), "state": state}
        if self._group_key is not None:
            info["group_key"] = self._group_key
        if self._size is not None:
            info["group_size"] = self._size
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
                if (trouble := self._watchdog.look()) is not None and self._on_hang is not None:
                    self._on_hang(trouble)
                try:
                    self._journal.renew(self.name, LEASE_SECONDS, {**self._info, **self._watch.news()})
                except PixArtError as error:
                    log.warning("%s", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def new_name() -> str:
    """A name for a worker that no other has."""
    return f"worker-{secrets.token_hex(6)}"


def leave(reason: str) -> None:
    """End this process at once: a thread that hangs in a driver cannot be ended, and with it the device is not free."""
    log.error("%s", reason)
    os._exit(1)


@contextmanager
def _no_collector() -> Iterator[None]:
    """For imports, which leave no garbage: torch's are a quarter quicker when nobody looks for any."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def open_worker(services: Services, *, name: str, on_hang: OnHang = leave) -> Iterator[Worker]:
    """Open the device of the settings and own it for the length of the block. Raises DeviceError, DeviceTaken."""
    with _no_collector():
        from pixart_ui.engine.engine import EngineFiles
        from pixart_ui.engine.paired import open_engine

    settings = services.settings
    engine = open_engine(
        settings.device,
        locate=lambda checkpoint: services.hub.locate(services.catalog.get(checkpoint)),
        hashes=services.hub.hashes,
        files=EngineFiles(
            settings.weights_dir, settings.embeddings_dir, settings.calibration_path, settings.compile_dir
        ),
        budget_bytes=settings.vram_budget,
    )
    if settings.vram_budget is not None and is_processor(engine.device_id):
        log.warning("the VRAM budget is for GPUs only: this worker runs on the CPU and leaves it aside")
    sizes = PredictedSizes(services.catalog, settings.calibration_path, engine.info)
    router = Router(services.catalog, settings.calibration_path)
    try:
        with ExitStack() as locks:
            for device_id in engine.device_ids:
                locks.enter_context(device_lock(device_id, settings.data_dir))
            yield Worker(
                settings,
                services.journal,
                engine,
                name=name,
                size_of=sizes.of,
                weigh=engine.weigh,
                router=router,
                on_hang=on_hang,
            )
    finally:
        engine.close()
