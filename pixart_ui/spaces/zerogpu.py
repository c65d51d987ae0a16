"""Pictures on ZeroGPU: a generator that draws one request over the same engine while its visitor waits.

There is no worker process: jobs are accepted, claimed, drawn and recorded by the page's own process, through the
journal and the group run that workers use, so that results and records are the same. What must stay true:

- a request ends with its page: whoever closes the generator cancels its pictures, and the GPU goes back;
- several visitors draw at the same time, each on a GPU of their own;
- a request whose page left before it was drawn does not stay in the queue.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pixart_ui.engine.calibration import Table
from pixart_ui.errors import DiskFullError, JournalError, PixArtError
from pixart_ui.hub import Hub
from pixart_ui.jobs import leftovers, retention
from pixart_ui.jobs.group_run import EngineLike, GroupRun
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.ram import ram
from pixart_ui.services import Services, catalog
from pixart_ui.spaces.duration import seconds_for
from pixart_ui.spaces.lent import DEVICE_ID, Lend, LentEngine, Requests, Scopes

WORKER = "zero-gpu"
LEASE_SECONDS = 30.0
BEAT_SECONDS = 1.0
# The page asks for its drawing at once; who has not by then has left.
PATIENCE_SECONDS = 30.0
log = logging.getLogger(__name__)


class ZeroGpu:
    """Draws for all visitors. `start` and `stop` are called once each, the rest from any thread."""

    def __init__(self, services: Services, lend: Lend, *, device: str = "cuda") -> None:
        self._services = services
        self._device = device
        self._engine = LentEngine(lend, self._open_engine, self._seconds, _usual_info(device))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="zero-gpu", daemon=True)

    @classmethod
    def open(cls, services: Services) -> ZeroGpu:
        """With the GPUs of this Space. What a forked process needs is imported here, once for all of them."""
        import spaces

        import pixart_ui.engine.engine  # noqa: F401

        return cls(services, spaces.GPU, device="cpu" if services.settings.device == "cpu" else "cuda")

    def status(self) -> None:
        """The page asks why nothing can be drawn; a refusal to lend a GPU stands with its picture."""

    def start(self) -> None:
        """Tell the journal that pictures can be drawn, and end what an earlier process left there."""
        journal = self._services.journal
        journal.give_back(WORKER, is_fault=False)
        leftovers.sweep(self._services.settings, journal)
        self._cancel_waiting(older_than_seconds=0.0)
        journal.register_worker(WORKER, device=DEVICE_ID, pid=os.getpid(), info=self._news())
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._services.journal.forget_worker(WORKER)

    def draw(self, batch: str) -> Iterator[None]:
        """Draw the pictures of a request that was submitted, with a word after each event; they are in the journal.

        Does nothing for one that is unknown, drawn by another call or over. Closing it cancels what is not done.
        """
        ids = [job.id for job in self._services.journal.jobs(batch=batch, states=[JobState.QUEUED])]
        jobs = self._claim(ids) if ids else ()
        if not jobs:
            return
        try:
            yield from self._follow(jobs)
        finally:
            for job in jobs:
                self._services.journal.fail(job, "Cancelled.", is_cancelled=True)  # only what has not ended
            retention.apply(self._services.settings, self._services.journal)

    def _claim(self, ids: Sequence[int]) -> Sequence[Job]:
        return self._services.journal.claim(WORKER, lease_seconds=LEASE_SECONDS, limit=len(ids), only=ids)

    def _follow(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Like a worker's claim: whatever goes wrong becomes a sentence with its picture."""
        settings, journal = self._services.settings, self._services.journal
        # Whoever else asks meanwhile gets a GPU of their own: there is nobody to make way for.
        run = GroupRun(settings, journal, self._engine, jobs, threading.Event(), lambda **_: None, makes_way=False)
        try:
            yield from run.follow()
        except JournalError:
            raise
        except (PixArtError, DiskFullError) as error:
            run.fail_rest(error.message)
        except Exception as error:
            log.exception("a request failed unexpectedly")
            run.fail_rest(f"Making this picture ended with an unexpected {type(error).__name__}: try again.")
        if run.shortage is not None:
            run.fail_rest(f"{run.shortage[:1].upper()}{run.shortage[1:].rstrip('.')}.")

    def _open_engine(self) -> EngineLike:
        """In a forked process, whose first use of the GPU this is."""
        from pixart_ui.engine.engine import Engine, EngineFiles

        settings = self._services.settings
        # Of its own: a lock that another thread held at the fork would stay locked here for ever.
        hub, known = Hub(settings.checkpoints_dir), catalog()
        return Engine.open(
            self._device,
            locate=lambda checkpoint: hub.locate(known.get(checkpoint)),
            hashes=hub.hashes,
            files=EngineFiles(settings.weights_dir, settings.embeddings_dir, settings.calibration_path),
        )

    def _seconds(self, requests: Requests, _: Scopes) -> int:
        table = Table.load(self._services.settings.calibration_path)
        checkpoint = self._services.catalog.get(requests[0].checkpoint)
        return seconds_for(requests, checkpoint, self._engine.info(), table)

    def _beat(self) -> None:
        """Be seen, keep the leases, and let go of requests whose page has left."""
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._services.journal.renew(WORKER, LEASE_SECONDS, self._news())
                self._cancel_waiting(older_than_seconds=PATIENCE_SECONDS)
            except PixArtError as error:
                log.warning("%s", error)

    def _cancel_waiting(self, *, older_than_seconds: float) -> None:
        journal, now = self._services.journal, time.time()
        waiting = journal.jobs(states=[JobState.QUEUED])
        if late := [job.id for job in waiting if now - job.created_at >= older_than_seconds]:
            journal.cancel(late)

    def _news(self) -> dict[str, Any]:
        return self._engine.info() | {"state": "ready"}


def _usual_info(device: str) -> Mapping[str, Any]:
    """What is lent, before anything was: as `spaces` itself describes it to code that asks without a GPU."""
    memory = ram()
    if device == "cpu":
        return {
            "device": "cpu",
            "name": "CPU",
            "memory_free_bytes": memory.available,
            "memory_total_bytes": memory.total,
            "ram_bytes": memory.total,
        }
    from spaces.zero.config import get_config

    known = get_config()
    return {
        "device": "cuda:0",
        "name": str(known["model"]),
        "memory_free_bytes": int(known["memory"]),
        "memory_total_bytes": int(known["memory"]),
        "ram_bytes": memory.total,
    }
