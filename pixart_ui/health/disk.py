"""What this app keeps on the disk, by kind, and clearing away what can be made again.

Counting walks folders, so `DiskUse` does it in a thread of its own and answers with what it knows. What must stay true:
clearing takes no picture, no job and nothing that is being written or used at this moment; files that a worker may
have mapped are unlinked, never cut short.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings

# What changed more recently may still be written, or belong to a page that is open.
YOUNG_SECONDS = 600.0
LOCK_SECONDS = 5.0
STALE_SECONDS = 10.0


class Kind(StrEnum):
    """What the data folder holds. Those in `CLEARABLE` are caches or leftovers."""

    IMAGES = "images"
    TRASH = "trash"
    COMPARISONS = "comparisons"
    WEIGHTS = "weights"
    EMBEDDINGS = "embeddings"
    COMPILED = "compiled"
    THUMBNAILS = "thumbnails"
    PREVIEWS = "previews"
    LATENTS = "latents"
    TEMP = "temp"
    LOGS = "logs"
    JOURNAL = "journal"


@dataclass(frozen=True)
class Usage:
    """What one kind takes: bytes and how many files."""

    nbytes: int
    files: int


@dataclass(frozen=True)
class Disk:
    """All kinds, and the disk that the data folder is on, in bytes."""

    usage: Mapping[Kind, Usage]
    free_bytes: int
    total_bytes: int


class DiskUse:
    """What is known of the disk; counted anew in a thread once that is old. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: Disk | None = None
        self._counted_at = float("-inf")
        self._is_counting = False

    def now(self) -> Disk | None:
        """None until it was counted for the first time. Waits for nothing."""
        with self._lock:
            if not self._is_counting and time.monotonic() - self._counted_at > STALE_SECONDS:
                self._is_counting = True
                threading.Thread(target=self._count, name="disk", daemon=True).start()
            return self._known

    def forget(self) -> None:
        """Something was cleared away: count again."""
        with self._lock:
            self._counted_at = float("-inf")

    def _count(self) -> None:
        started = time.monotonic()
        found: Disk | None = None
        with suppress(OSError):
            found = measure(self._settings)
        with self._lock:
            self._known = found if found is not None else self._known
            self._counted_at, self._is_counting = started, False


def measure(settings: Settings) -> Disk:
    """Walk all folders. Raises OSError where the data folder is gone."""
    space = shutil.disk_usage(settings.data_dir)
    return Disk({kind: _sum(_files(settings, kind)) for kind in Kind}, space.free, space.total)


def clear(kind: Kind, settings: Settings, journal: Journal) -> int:
    """Remove what is there of a kind and of no use to anybody now; returns the bytes freed. Raises InputError."""
    if kind not in CLEARABLE:
        raise InputError(f"{kind} is not a cache, so it is not cleared here: choose one of {', '.join(CLEARABLE)}.")
    return CLEARABLE[kind](settings, journal)


def _folder(settings: Settings, kind: Kind) -> Path:
    return {
        Kind.IMAGES: settings.images_dir,
        Kind.TRASH: settings.trash_dir,
        Kind.COMPARISONS: settings.comparisons_dir,
        Kind.WEIGHTS: settings.weights_dir,
        Kind.EMBEDDINGS: settings.embeddings_dir,
        Kind.COMPILED: settings.compile_dir,
        Kind.THUMBNAILS: settings.thumbnails_dir,
        Kind.PREVIEWS: settings.previews_dir,
        Kind.LATENTS: settings.latents_dir,
        Kind.TEMP: settings.temp_dir,
        Kind.LOGS: settings.logs_dir,
        Kind.JOURNAL: settings.journal_path.parent,
    }[kind]


def _files(settings: Settings, kind: Kind) -> Iterator[Path]:
    folder = _folder(settings, kind)
    if kind is Kind.JOURNAL:
        yield from folder.glob(f"{settings.journal_path.name}*")
    elif kind is Kind.TEMP:
        yield from _walk(folder, leaving=settings.thumbnails_dir)
    else:
        yield from _walk(folder)


def _walk(folder: Path, leaving: Path | None = None) -> Iterator[Path]:
    """The files below a folder; links are not followed."""
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(here, name) != leaving]
        yield from (Path(here, name) for name in names)


def _sum(files: Iterator[Path]) -> Usage:
    nbytes = count = 0
    for path in files:
        with suppress(OSError):  # it went meanwhile
            nbytes += path.lstat().st_size
            count += 1
    return Usage(nbytes, count)


def _remove(files: Iterator[Path], *, is_old: bool = False) -> int:
    """Unlink them; with `is_old` only those that nobody changed for a while."""
    freed, before = 0, time.time() - YOUNG_SECONDS
    for path in files:
        with suppress(OSError):  # it went meanwhile, or is in use on Windows
            stat = path.lstat()
            if not is_old or stat.st_mtime < before:
                path.unlink()
                freed += stat.st_size
    return freed


def _clear_embeddings(settings: Settings, _: Journal) -> int:
    """Under the lock that writers of the cache take, with its total, which would be wrong."""
    folder = settings.embeddings_dir
    if not folder.is_dir():
        return 0
    try:
        with FileLock(folder / "lock", timeout=LOCK_SECONDS):
            return _remove(path for path in list(folder.iterdir()) if path.name != "lock")
    except Timeout:
        raise InputError("The kept prompts are being written at this moment: try again in a few seconds.") from None


def _clear_weights(settings: Settings, _: Journal) -> int:
    return WeightStore(settings.weights_dir).prune((), everything=True)


def _clear_compiled(settings: Settings, _: Journal) -> int:
    return _remove(_walk(settings.compile_dir), is_old=True)


def _clear_thumbnails(settings: Settings, _: Journal) -> int:
    return _remove(_walk(settings.thumbnails_dir))


def _clear_temp(settings: Settings, _: Journal) -> int:
    return _remove(_walk(settings.temp_dir, leaving=settings.thumbnails_dir), is_old=True)


def _clear_previews(settings: Settings, journal: Journal) -> int:
    return _remove_of_jobs(settings.previews_dir, journal)


def _clear_latents(settings: Settings, journal: Journal) -> int:
    return _remove_of_jobs(settings.latents_dir, journal)


def _remove_of_jobs(folder: Path, journal: Journal) -> int:
    """Files named `<job>-…`, except those of jobs that run."""
    running = {str(job.id) for job in journal.jobs(states=[JobState.RUNNING])}
    return _remove(path for path in list(_walk(folder)) if path.name.partition("-")[0] not in running)


def _clear_logs(settings: Settings, _: Journal) -> int:
    """Old ones are removed; those that processes go on writing, at their end, are emptied."""
    freed = 0
    for path in list(_walk(settings.logs_dir)):
        with suppress(OSError):
            size = path.stat().st_size
            if path.name.endswith(".old.log"):
                path.unlink()
            else:
                os.truncate(path, 0)
            freed += size
    return freed


CLEARABLE: Mapping[Kind, Callable[[Settings, Journal], int]] = {
    Kind.WEIGHTS: _clear_weights,
    Kind.EMBEDDINGS: _clear_embeddings,
    Kind.COMPILED: _clear_compiled,
    Kind.THUMBNAILS: _clear_thumbnails,
    Kind.PREVIEWS: _clear_previews,
    Kind.LATENTS: _clear_latents,
    Kind.TEMP: _clear_temp,
    Kind.LOGS: _clear_logs,
}
