"""An engine that is on another machine: it looks to the worker's loop like one that is here. No Ray, no torch.

Requests go, events come. What must stay true:

- a worker that is gone, frozen or hung is `EngineLost` within seconds, and nothing that it says later is heard;
- a cancelled job stops at the next step; one that does not is ended with its process;
- what texts were encoded into comes back, and goes along wherever the job goes next.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixart_ui.cluster.shelf import Shelf
from pixart_ui.cluster.wire import END, Actor, Description, Embeddings, Ended, Learned, Pulse, Wanted
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import EngineLost, PixArtError
from pixart_ui.events import Event, ImageFailed, ImageReady, LatentArray
from pixart_ui.jobs.deadline import Deadline
from pixart_ui.jobs.lock import CLUSTER_ID
from pixart_ui.request import ResolvedRequest

POLL_SECONDS = 0.2
PULSE_SECONDS = 1.0
# A machine that does not answer for so long is frozen: the pulse before it and this are less than ten seconds.
SILENCE_SECONDS = 7.0
# Hashes of a checkpoint's files may have to be made first.
ANSWER_SECONDS = 900.0
# Longer than any step takes.
CANCEL_SECONDS = 60.0

IsCancelled = Callable[[int], bool]
log = logging.getLogger(__name__)


class UnexpectedRemoteError(Exception):
    """What nobody foresaw ended a run there; its traceback is in the log of that node's worker."""


class RemoteEngine:
    """Runs one group at a time. `lost` says why it cannot be used any more."""

    def __init__(self, actor: Actor, description: Description, shelf: Shelf, calibration_path: Path) -> None:
        self._actor = actor
        self.device_id = description.device_id
        self._pulse: Pulse = description.pulse
        self._shelf = shelf
        self._calibration_path = calibration_path
        self._runs = itertools.count(1)
        self._lost: str | None = None

    def info(self) -> dict[str, Any]:
        # Comparisons measure the worker's own process, which is not here.
        return {**self._pulse.info, "lock": CLUSTER_ID, "measures": False}

    def weigh(self) -> Mapping[str, Any]:
        return self._pulse.weights

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        keys: list[str] = self._actor.ask("latents_keys", list(requests), timeout_seconds=ANSWER_SECONDS)
        return keys

    def raise_if_lost(self) -> None:
        """Raises EngineLost."""
        if self._lost is not None:
            raise EngineLost(self._lost)

    @contextmanager
    def watched(self, ended: threading.Event) -> Iterator[None]:
        """Ask every second whether it lives; once it does not, set `ended`."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(PULSE_SECONDS):
                try:
                    self._pulse = self._actor.ask("pulse", timeout_seconds=SILENCE_SECONDS)
                except PixArtError as error:
                    self._lost = error.message
                    ended.set()
                    return

        thread = threading.Thread(target=watch, name=f"pulse {self.device_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: IsCancelled,
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
    ) -> Iterator[Event]:
        """As `Engine.run`. Raises what that raises as PixArtError, EngineLost, and UnexpectedRemoteError."""
        number, kept = next(self._runs), self._shelf.names()
        wanted: Wanted = self._actor.ask("wanted", list(requests), tuple(scopes), timeout_seconds=ANSWER_SECONDS)
        given = self._shelf.take(wanted.lacking & kept)
        arguments = (list(requests), dict(latents) if latents is not None else {}, given, kept, tuple(scopes))
        stream = self._actor.stream("run", number, *arguments)
        following = _Following(self._actor, number, requests, is_cancelled)
        try:
            while (item := stream.next(POLL_SECONDS)) is not END:
                self.raise_if_lost()
                following.see(item)
                yield from self._passed_on(item)
        finally:
            following.leave()

    def _passed_on(self, item: Any) -> Iterator[Event]:
        """What the worker's loop is to see of it."""
        match item:
            case None:
                return
            case Embeddings(files=files):
                self._shelf.put(files)
            case Learned(key=key, calibration=calibration):
                Table.load(self._calibration_path).having(key, calibration).save(self._calibration_path)
            case Ended(message=message, is_expected=True):
                raise PixArtError(message)
            case Ended(message=message):
                raise UnexpectedRemoteError(message)
            case _:
                yield item


class _Following:
    """One run as seen from here: what of it is open, cancelled or overdue."""

    def __init__(
        self, actor: Actor, number: int, requests: Sequence[ResolvedRequest], is_cancelled: IsCancelled
    ) -> None:
        self._actor = actor
        self._number = number
        self._is_cancelled = is_cancelled
        self._open = set(range(len(requests)))
        self._told: set[int] = set()
        self._told_at = 0.0
        self._looked_at = 0.0
        self._deadline = Deadline(is_compiled=requests[0].compile_blocks)

    def see(self, item: Any) -> None:
        """An item, or None. Raises EngineLost for a worker that is overdue."""
        match item:
            case ImageReady(index=index) | ImageFailed(index=index):
                self._open.discard(index)
                self._told.discard(index)
                self._told_at = time.monotonic()
        if item is not None and not isinstance(item, Embeddings | Learned | Ended):
            self._deadline.see(item)
        if time.monotonic() - self._looked_at >= POLL_SECONDS:
            self._looked_at = time.monotonic()
            self._tell()
        if self._deadline.has_passed():
            self._end("took far longer than predicted")
        if self._told and time.monotonic() - self._told_at > CANCEL_SECONDS:
            self._end("did not stop when it was asked to")

    def leave(self) -> None:
        """Whatever is still open there is of no use any more."""
        if self._open:
            self._actor.tell("cancel", self._number, sorted(self._open))

    def _tell(self) -> None:
        new = [index for index in self._open - self._told if self._is_cancelled(index)]
        if new:
            self._actor.tell("cancel", self._number, new)
            self._told.update(new)
            self._told_at = time.monotonic()

    def _end(self, what: str) -> None:
        self._actor.kill()
        raise EngineLost(f"The worker {what}: its process is ended.")
