"""Notices an engine that hangs, from beside it: nothing came of a group for far longer than was predicted.

It is for a call to the GPU, or to a disk, that never returns: the thread that made it can do nothing any more. What
must stay true: an engine that draws, or that loads from a slow disk, is left alone however long it takes, and so is a
process that was stopped as a whole for a while (Ctrl+Z, a debugger, a machine that slept) and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from pixart_ui.events import Event
from pixart_ui.jobs.deadline import Deadline

# A look that comes later than this many of its intervals after the one before did not come from a process that ran.
MOST_INTERVALS = 3.0
# Somebody who reads so much from one look to the next is loading; what the worker itself reads is less.
LOADING_BYTES = 2 * 2**20


class AwakeClock:
    """Seconds in which this process ran, as far as its own regular `tick`s tell."""

    def __init__(self, interval_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most = MOST_INTERVALS * interval_seconds
        self._now = now
        self._ticked_at = now()
        self._seconds = 0.0

    def tick(self) -> None:
        now = self._now()
        self._seconds += min(now - self._ticked_at, self._most)
        self._ticked_at = now

    def seconds(self) -> float:
        return self._seconds


class Watchdog:
    """`group` and `see` are for the thread that draws, `look` for another, every `interval_seconds`."""

    def __init__(self, interval_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._clock = AwakeClock(interval_seconds, now)
        self._num_read = bytes_read()
        self._deadline: Deadline | None = None

    @contextmanager
    def group(self, *, is_compiled: bool = False) -> Iterator[None]:
        """The length of one group."""
        self._deadline = Deadline(self._clock.seconds, is_compiled=is_compiled)
        try:
            yield
        finally:
            self._deadline = None

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Another process works meanwhile, which this one's reads and events say nothing of: not looked at."""
        deadline, self._deadline = self._deadline, None
        try:
            yield
        finally:
            if deadline is not None:
                deadline.begin_anew()
            self._deadline = deadline

    def see(self, event: Event) -> None:
        """The engine said something: it does not hang."""
        if self._deadline is not None:
            self._deadline.see(event)
            self._deadline.begin_anew()

    def look(self) -> str | None:
        """What is wrong, in a sentence; None while nothing is."""
        self._clock.tick()
        before, self._num_read = self._num_read, bytes_read()
        deadline = self._deadline
        if deadline is None:
            return None
        if self._num_read - before >= LOADING_BYTES:
            deadline.begin_anew()
        if not deadline.has_passed():
            return None
        return f"The worker said nothing for {deadline.seconds:.0f} s {deadline.where}, far longer than predicted."


def bytes_read() -> int:
    """What this process has read from files so far, mapped ones included; 0 where the system does not count it."""
    try:
        counts = psutil.Process().io_counters()
    except (AttributeError, OSError, psutil.Error):  # macOS, a kernel without it, a container that may not look
        return 0
    # Mapped files are counted by the disk alone, cached ones by the calls alone.
    return int(counts.read_bytes + getattr(counts, "read_chars", 0))
