"""What passes between the app's driver and an engine on another machine: values only. No torch, no Ray.

Beside the engine's own events these go back: embeddings that were computed, what was measured, and what ended a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pixart_ui.cluster.manifest import Manifest
from pixart_ui.engine.calibration import Calibration

GPU, CPU = "cuda", "cpu"


@dataclass(frozen=True, order=True)
class Slot:
    """A place for one worker: a GPU of a node, or, where a node was joined for that, its processor."""

    node: str
    host: str
    kind: str
    index: int

    @property
    def place(self) -> str:
        """What people call it; which of a node's GPUs it is Ray decides."""
        return f"{self.kind}:{self.index}"


@dataclass(frozen=True)
class HostConfig:
    """What the driver tells a worker of itself; the folder is the node's own."""

    slot: Slot
    vram_budget: int | None


@dataclass(frozen=True)
class Description:
    """What a worker says of itself before it gets a job. `device_id` is no other worker's, on no machine."""

    device_id: str
    manifest: Manifest
    pulse: Pulse


@dataclass(frozen=True)
class Pulse:
    """That it lives, what its engine says of the device, and what lies there."""

    info: Mapping[str, Any]
    weights: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """The embeddings that some requests need, by the names of their files, and those of them that the node lacks."""

    names: tuple[str, ...]
    lacking: frozenset[str]


@dataclass(frozen=True)
class Embeddings:
    """Texts that were encoded: files by name."""

    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Learned:
    """What is known now of the device with that calibration key."""

    key: str
    calibration: Calibration


@dataclass(frozen=True)
class Ended:
    """A run was ended by an exception: a sentence where it was meant for people (`is_expected`), else its type."""

    message: str
    is_expected: bool


class EndOfStream:
    """There is nothing more to come."""


END = EndOfStream()


class Stream(Protocol):
    """What a call yields, as it comes."""

    def next(self, timeout_seconds: float) -> Any:
        """The next item, None where none came in time, END after the last. Raises EngineLost."""


class Actor(Protocol):
    """A worker on some node."""

    def ask(self, method: str, *arguments: Any, timeout_seconds: float) -> Any:
        """Its answer. Raises EngineLost, also where none came in time."""

    def tell(self, method: str, *arguments: Any) -> None:
        """Without waiting for an answer."""

    def stream(self, method: str, *arguments: Any) -> Stream: ...

    def kill(self) -> None:
        """End its process at once; a second time does nothing."""


class Cluster(Protocol):
    """A connection to one. What goes wrong between the two machines is EngineLost, or a WorkerError for good."""

    def slots(self) -> frozenset[Slot]:
        """Of the nodes that are there now."""

    def start(self, config: HostConfig) -> Actor:
        """Begin a worker there; it is asked for what it is before it is used."""

    def close(self) -> None: ...


Items = Iterator[Any]
