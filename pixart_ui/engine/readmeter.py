"""How fast weights are read, and whether the disk or the page cache gave them. No torch.

The clock runs while at least one read is under way, whatever the number of threads. What came from the disk is what
the kernel counted for this process meanwhile; where it does not count, nothing can be said.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from pixart_ui.engine.calibration import Reads


class ReadMeter:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._since = 0.0
        self._bytes = 0
        self._seconds = 0.0
        self._disk_before = disk_bytes()

    @contextmanager
    def reading(self, nbytes: int) -> Iterator[None]:
        """Around one read of so many bytes; one that fails counts its time only."""
        with self._lock:
            if self._active == 0:
                self._since = time.perf_counter()
            self._active += 1
        done = 0
        try:
            yield
            done = nbytes
        finally:
            with self._lock:
                self._active -= 1
                self._bytes += done
                if self._active == 0:
                    self._seconds += time.perf_counter() - self._since

    def take(self) -> Reads:
        """What was read since it was asked last."""
        disk = disk_bytes()
        with self._lock:
            now = time.perf_counter()
            seconds = self._seconds + (now - self._since if self._active else 0.0)
            from_disk = disk - self._disk_before if disk is not None and self._disk_before is not None else None
            found = Reads(self._bytes, seconds, from_disk)
            self._bytes, self._seconds, self._since, self._disk_before = 0, 0.0, now, disk
        return found


def disk_bytes() -> int | None:
    """What this process has had read from disks so far; None where the system counts cached reads too, or none."""
    if sys.platform != "linux":
        return None
    try:
        return int(psutil.Process().io_counters().read_bytes)
    except (OSError, psutil.Error):  # a kernel without it, or a container that may not look
        return None
