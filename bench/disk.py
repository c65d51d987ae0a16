"""The disk under a measurement: empty the page cache of some files, read one from end to end, count what was read.

No root is needed. On a system without these calls the functions say None, and the row shows it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

READ_BYTES = 16 * 2**20
# Enough to see a disk's steady speed, little enough for a slow one.
SAMPLE_BYTES = 2 * 2**30


def drop(files: Iterable[Path]) -> None:
    """Ask the system to forget what it holds of these files in RAM; written bytes go to the disk first."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def sequential_rate(files: Iterable[Path]) -> float | None:
    """Bytes a second at which one thread reads the largest of the files, as far as the sample goes; drops it again.

    None where there is nothing to read.
    """
    largest = max(files, key=lambda path: path.stat().st_size, default=None)
    if largest is None:
        return None
    drop([largest])
    buffer, done, started = bytearray(READ_BYTES), 0, time.perf_counter()
    with largest.open("rb", buffering=0) as file:
        while done < SAMPLE_BYTES and (count := file.readinto(buffer)):
            done += count
    seconds = time.perf_counter() - started
    drop([largest])
    return done / seconds


def bytes_read() -> int | None:
    """What this process has had read from disks so far; None where the system does not count it."""
    process = psutil.Process()
    return int(process.io_counters().read_bytes) if hasattr(process, "io_counters") else None
