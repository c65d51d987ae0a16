"""Memory through a run: a thread that looks every few milliseconds, and the phases as bands over it.

It knows no device: `held_bytes` says what is held now. What must stay true: however long a run takes, no more than
`MAX_SAMPLES` are kept, evenly spread, and the highest of those left out is not lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pixart_ui.compare.comparison import Band, Timeline, TimelineKind

FIRST_INTERVAL_SECONDS = 0.02
MAX_SAMPLES = 400


class Sampling:
    """Samples for the length of the block; `timeline` is what it saw."""

    def __init__(self, held_bytes: Callable[[], int], kind: TimelineKind) -> None:
        self._held_bytes = held_bytes
        self._kind: TimelineKind = kind
        self._samples: list[tuple[float, int]] = []
        self._bands: list[Band] = []
        self._begun: tuple[str, float] | None = None
        self._interval = FIRST_INTERVAL_SECONDS
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory samples", daemon=True)
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def begin(self, phase: str) -> None:
        self._begun = (phase, self._now())

    def end(self) -> None:
        """The phase that began last is over."""
        if self._begun is not None:
            phase, started = self._begun
            self._bands.append(Band(name=phase, start_seconds=started, end_seconds=self._now()))
            self._begun = None

    def band(self, phase: str, started: float, ended: float) -> None:
        """A phase that somebody else timed, by `time.perf_counter`; before the first sample there is none of it."""
        start, end = (max(0.0, moment - self._started) for moment in (started, ended))
        self._bands.append(Band(name=phase, start_seconds=start, end_seconds=end))

    @property
    def peak_bytes(self) -> int:
        return max((held for _, held in self._samples), default=0)

    def timeline(self) -> Timeline:
        return Timeline(
            kind=self._kind,
            at_seconds=tuple(round(at, 4) for at, _ in self._samples),
            held_bytes=tuple(held for _, held in self._samples),
            bands=tuple(self._bands),
        )

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _watch(self) -> None:
        while True:
            self._look()
            if self._ended.wait(self._interval):
                return

    def _look(self) -> None:
        self._samples.append((self._now(), self._held_bytes()))
        if len(self._samples) >= MAX_SAMPLES:
            pairs = zip(self._samples[::2], self._samples[1::2], strict=False)
            self._samples = [max(pair, key=lambda sample: sample[1]) for pair in pairs]
            self._interval *= 2
