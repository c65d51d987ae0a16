"""Keeps folders of copies small: files go once they are old, and the oldest go while all are too many.

Only for what can be made or brought again. What must stay true: nothing outside of the folder is touched, no link is
followed, and a file that was written a moment ago stays, since somebody is about to use it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DAY = 24 * 3600.0
FRESH_SECONDS = 600.0
EVERY_SECONDS = 600.0


@dataclass(frozen=True)
class Room:
    """A folder, how old its files may become, and how many bytes all of them; None is without end."""

    folder: Path
    max_age_seconds: float | None
    max_bytes: int


def tidy(room: Room, now: float | None = None) -> int:
    """Remove what is too old or too much, and folders that are empty then; returns the bytes that were freed."""
    moment = time.time() if now is None else now
    files = sorted(_files(room.folder), key=lambda file: file[1].st_mtime)
    total, freed = sum(found.st_size for _, found in files), 0
    for path, found in files:
        age = moment - found.st_mtime
        is_old = room.max_age_seconds is not None and age > room.max_age_seconds
        if age > FRESH_SECONDS and (is_old or total - freed > room.max_bytes):
            with suppress(OSError):
                path.unlink()
                freed += found.st_size
    _remove_empty(room.folder, moment)
    return freed


def keep_tidy(rooms: Sequence[Room], ended: threading.Event) -> threading.Thread:
    """Tidy now and every ten minutes until `ended`, in a thread of its own."""

    def work() -> None:
        while True:
            for room in rooms:
                tidy(room)
            if ended.wait(EVERY_SECONDS):
                return

    thread = threading.Thread(target=work, name="tidying", daemon=True)
    thread.start()
    return thread


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Plain files below it; what vanishes meanwhile is left out."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            with suppress(OSError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    yield path, found


def _remove_empty(folder: Path, now: float) -> None:
    for where, _, _ in os.walk(folder, topdown=False):
        path = Path(where)
        with suppress(OSError):
            if path != folder and now - path.lstat().st_mtime > FRESH_SECONDS:
                path.rmdir()  # which only takes an empty one
