"""One worker of a cluster, for as long as its slot is there: started, checked, served, started again when it is lost.

A thread of the driver. The worker's loop is the one of a single machine; only its engine is elsewhere.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pixart_ui.cluster.manifest import Manifest, differences
from pixart_ui.cluster.remote_engine import RemoteEngine
from pixart_ui.cluster.shelf import Shelf
from pixart_ui.cluster.wire import Actor, Cluster, Description, HostConfig, Slot
from pixart_ui.errors import EngineLost, PixArtError, WorkerError
from pixart_ui.jobs.group_size import PredictedSizes
from pixart_ui.jobs.routing import Router
from pixart_ui.jobs.supervisor import GOOD_LIFE_SECONDS, backoff_seconds
from pixart_ui.jobs.worker import Worker
from pixart_ui.services import Services

# torch and the checkpoint's files, on a machine that is busy.
START_SECONDS = 300.0
# One that may not join is asked again: its owner mends it, or starts the app's new version.
REFUSED_SECONDS = 30.0
HEARTBEAT_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """What all lanes of a driver share."""

    services: Services
    cluster: Cluster
    manifest: Manifest
    shelf: Shelf
    driver: str


class Lane:
    """`start` once; `leave` when the slot is gone or the driver ends, then `join`."""

    def __init__(self, site: Site, slot: Slot, numbers: itertools.count[int]) -> None:
        self._site = site
        self._slot = slot
        self._numbers = numbers
        self._leaving = threading.Event()
        self._serving: threading.Event | None = None
        self._starting: Actor | None = None
        self._thread = threading.Thread(target=self._live, name=f"lane {slot.host} {slot.place}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Returns at once. Who draws ends its step; who has not begun is not waited for."""
        self._leaving.set()
        if self._serving is not None:
            self._serving.set()
        if self._starting is not None:
            self._starting.kill()

    def join(self, timeout_seconds: float) -> None:
        self._thread.join(timeout_seconds)

    def _live(self) -> None:
        num_failures = 0
        while not self._leaving.is_set():
            started = time.monotonic()
            try:
                self._serve_once()
            except PixArtError as error:
                log.warning("%s %s: %s", self._slot.host, self._slot.place, error)
            if time.monotonic() - started > GOOD_LIFE_SECONDS:
                num_failures = 0
            num_failures += 1
            self._leaving.wait(backoff_seconds(num_failures))

    def _serve_once(self) -> None:
        """One worker's life. Raises PixArtError for whatever ended it."""
        settings, name = self._site.services.settings, f"{self._site.driver}.{next(self._numbers)}"
        actor = self._starting = self._site.cluster.start(HostConfig(self._slot, settings.vram_budget))
        try:
            try:
                description: Description = actor.ask("describe", timeout_seconds=START_SECONDS)
            except EngineLost:
                raise
            except WorkerError as error:
                self._refuse(name, error.message)
                return
            self._starting = None
            if problems := differences(self._site.manifest, description.manifest):
                self._refuse(name, _refusal(self._slot, problems))
                return
            self._serve(name, actor, description)
        finally:
            actor.kill()

    def _serve(self, name: str, actor: Actor, description: Description) -> None:
        services, serving = self._site.services, threading.Event()
        path = services.settings.calibration_path
        engine = RemoteEngine(actor, description, self._site.shelf, path)
        sizes = PredictedSizes(services.catalog, path, engine.info)
        worker = Worker(
            services.settings,
            services.journal,
            engine,
            name=name,
            size_of=sizes.of,
            weigh=engine.weigh,
            router=Router(services.catalog, path),
        )
        self._serving = serving
        if self._leaving.is_set():
            return
        log.info("%s %s serves as %s", self._slot.host, self._slot.place, name)
        with engine.watched(serving):
            worker.serve(serving)
        engine.raise_if_lost()

    def _refuse(self, name: str, sentence: str) -> None:
        """Show why, as a worker that takes nothing, for as long as it makes no sense to look again."""
        journal, slot = self._site.services.journal, self._slot
        log.warning("%s %s: %s", slot.host, slot.place, sentence)
        info = {"host": slot.host, "place": slot.place, "device": slot.kind, "trouble": sentence, "measures": False}
        journal.register_worker(name, device=f"{slot.place}@{slot.node[:8]}", pid=0, info=info)
        try:
            until = time.monotonic() + REFUSED_SECONDS
            while time.monotonic() < until and not self._leaving.wait(HEARTBEAT_SECONDS):
                journal.renew(name, REFUSED_SECONDS, info)
        finally:
            journal.forget_worker(name)


def _refusal(slot: Slot, problems: Sequence[str]) -> str:
    return (
        f"Machine {slot.host} may not join: {'; '.join(problems)}. Install there what is here, and restart its worker."
    )
