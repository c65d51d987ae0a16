"""A cluster whose workers are threads of this process: the seam of `wire.py` for real, without Ray and without torch.

A worker can be killed, frozen, or told to go on talking after its death; slots come and go.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixart_ui.cluster.manifest import Manifest
from pixart_ui.cluster.wire import END, Description, Embeddings, Ended, HostConfig, Pulse, Slot, Wanted
from pixart_ui.errors import EngineLost, PixArtError, WorkerError
from pixart_ui.events import LatentArray, PhaseFinished
from pixart_ui.request import ResolvedRequest
from tests.jobs.parts import PlainEngine

MANIFEST = Manifest({"python": "3.11"}, "code", {"tiny": {"vae": "1"}})


def slot(name: str, index: int = 0) -> Slot:
    return Slot(node=name, host=f"host of {name}", kind="cpu", index=index)


def text_file(request: ResolvedRequest) -> str:
    """The name of the file that its text's embedding would be in."""
    return f"{abs(hash(request.full_prompt)):064x}"[-64:] + ".safetensors"


@dataclass
class PlainHost:
    """What `host.Host` does, with an engine that draws plain squares. `given` are embeddings that came along."""

    engine: PlainEngine
    name: str
    manifest: Manifest = MANIFEST
    trouble: str | None = None
    given: list[str] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    is_deaf: bool = False
    _cancelled: set[tuple[int, int]] = field(default_factory=set)

    def describe(self) -> Description:
        if self.trouble is not None:
            raise WorkerError(self.trouble)
        return Description(f"cpu:0@{self.name}", self.manifest, self.pulse())

    def pulse(self) -> Pulse:
        weights = {"components": {}, "held_bytes": 0, "rss_bytes": 0}
        return Pulse(self.engine.info() | {"host": self.name, "device": "cpu"}, weights)

    def cancel(self, run: int, indices: Sequence[int]) -> None:
        if not self.is_deaf:
            self._cancelled.update((run, index) for index in indices)

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        return self.engine.latents_keys(requests)

    def wanted(self, requests: Sequence[ResolvedRequest], scopes: Sequence[str]) -> Wanted:
        names = tuple(dict.fromkeys(map(text_file, requests)))
        return Wanted(names, frozenset(names) - set(self.encoded))

    def run(
        self,
        run: int,
        requests: Sequence[ResolvedRequest],
        latents: Mapping[int, LatentArray],
        embeddings: Mapping[str, bytes],
        known: frozenset[str],
        scopes: Sequence[str] = (),
    ) -> Iterator[Any]:
        self.given += sorted(embeddings)
        self.encoded += sorted(embeddings)
        names = [text_file(request) for request in requests]
        try:
            for event in self.engine.run(requests, lambda index: (run, index) in self._cancelled, latents):
                yield event
                if isinstance(event, PhaseFinished) and event.index is None:
                    self.encoded += [name for name in names if name not in self.encoded]
                    yield Embeddings({name: b"text" for name in names if name not in known})
        except PixArtError as error:
            yield Ended(error.message, is_expected=True)
        except Exception as error:  # noqa: BLE001 - as the real one
            yield Ended(type(error).__name__, is_expected=False)


class ThreadWorker:
    """An `Actor`. After `kill` nobody hears it, and it draws no further; `freeze` is all silence, without an end."""

    def __init__(self, host: PlainHost) -> None:
        self.host = host
        self.is_dead = threading.Event()
        self.is_frozen = threading.Event()

    def ask(self, method: str, *arguments: Any, timeout_seconds: float) -> Any:
        if self.is_frozen.is_set() and not self.is_dead.wait(timeout_seconds):
            raise EngineLost(f"The worker did not answer within {timeout_seconds:g} seconds.")
        self._raise_if_dead()
        return getattr(self.host, method)(*arguments)

    def tell(self, method: str, *arguments: Any) -> None:
        if not self.is_dead.is_set():
            getattr(self.host, method)(*arguments)

    def stream(self, method: str, *arguments: Any) -> ThreadStream:
        return ThreadStream(self, getattr(self.host, method)(*arguments))

    def kill(self) -> None:
        self.is_dead.set()

    def freeze(self) -> None:
        self.is_frozen.set()

    def _raise_if_dead(self) -> None:
        if self.is_dead.is_set():
            raise EngineLost("The worker's process is gone.")


class ThreadStream:
    def __init__(self, worker: ThreadWorker, items: Iterator[Any]) -> None:
        self._worker = worker
        self._queue: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._fill, args=(items,), daemon=True).start()

    def _fill(self, items: Iterator[Any]) -> None:
        for item in items:
            if self._worker.is_dead.is_set():
                return
            self._queue.put(item)
        self._queue.put(END)

    def next(self, timeout_seconds: float) -> Any:
        if self._worker.is_frozen.is_set():
            self._worker.is_dead.wait(timeout_seconds)
            return None
        try:
            return self._queue.get(timeout=min(timeout_seconds, 0.05))
        except queue.Empty:
            if self._worker.is_dead.is_set():  # what it said before is heard first, as with Ray
                raise EngineLost("The worker's process is gone.") from None
            return None


class ThreadCluster:
    """`workers` are all that were ever started, by their slot; `make` makes the host of each."""

    def __init__(self, *slots: Slot, make: Callable[[Slot], PlainHost]) -> None:
        self.here = set(slots)
        self.workers: dict[Slot, list[ThreadWorker]] = {}
        self._make = make

    def slots(self) -> frozenset[Slot]:
        return frozenset(self.here)

    def start(self, config: HostConfig) -> ThreadWorker:
        worker = ThreadWorker(self._make(config.slot))
        self.workers.setdefault(config.slot, []).append(worker)
        return worker

    def close(self) -> None:
        for workers in self.workers.values():
            for worker in workers:
                worker.kill()
