"""Straight reads of weights from files into host memory, several at once, without a memory map, and how fast they are.

A file that was cut short raises here instead of ending the process, and memory that was read once is not counted as
the process's own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixart_ui.engine.layout import Segment
from pixart_ui.engine.readmeter import ReadMeter
from pixart_ui.errors import CheckpointError

CHUNK_BYTES = 16 * 2**20
MAX_THREADS = 8


class Reader:
    """Reads segments. `close` waits for reads under way, so that the memory they write to can be let go."""

    def __init__(self, threads: int | None = None) -> None:
        count = threads if threads is not None else min(MAX_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="weights")
        self._files: dict[tuple[Path, int, int], int] = {}
        self._lock = threading.Lock()
        self.meter = ReadMeter()

    def read(self, segment: Segment, memory: memoryview) -> list[Future[None]]:
        """Begin to read a segment's tensors to their host offsets in `memory`; done when all futures are."""
        futures = []
        for piece in segment.pieces:
            for start in range(0, piece.entry.nbytes, CHUNK_BYTES):
                count = min(CHUNK_BYTES, piece.entry.nbytes - start)
                target = memory[piece.host_offset + start : piece.host_offset + start + count]
                futures.append(self._pool.submit(self._read_into, piece.entry.path, target, piece.entry.offset + start))
        return futures

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _read_into(self, path: Path, target: memoryview, offset: int) -> None:
        """Raises CheckpointError where the bytes are not there."""
        with read_errors(path), self.meter.reading(len(target)):
            descriptor = self._descriptor(path)
            done = 0
            while done < len(target):
                count = _read_at(descriptor, target[done:], offset + done, self._lock)
                if count == 0:
                    raise cut_short(path, offset + done)
                done += count

    def _descriptor(self, path: Path) -> int:
        """The open file; another one once a file of that name was put in its place."""
        stat = path.stat()
        key = (path, stat.st_ino, stat.st_mtime_ns)
        with self._lock:
            if key not in self._files:
                self._files[key] = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            return self._files[key]


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """What the disk says, as one sentence."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): check the disk, or get the checkpoint again."
        ) from error


def cut_short(path: Path, end: int) -> CheckpointError:
    """For a file that ends before a weight does."""
    return CheckpointError(
        f"{path} ends at {end} bytes while it is read: it was cut short. "
        "Run `python -m pixart_ui models verify`, then get it again."
    )


def _read_at(descriptor: int, target: memoryview, offset: int, lock: Any) -> int:
    """Up to `len(target)` bytes from `offset`; 0 at the file's end."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [target], offset)
    with lock:  # Windows has no read at an offset: one at a time
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, len(target))
    target[: len(data)] = data
    return len(data)
