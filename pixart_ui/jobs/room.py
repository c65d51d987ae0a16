"""Whether the disk has room for what a group will write: asked before it starts, so that no job fails for want of it.

Pictures are counted with a bound, or where that does not fit with what the last ones of their size took.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.byte_size import KIB, MIB, show_at_least, show_bytes
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import Numerics, ResolvedRequest
from pixart_ui.settings import Settings

# For the journal, its write-ahead log, the other logs, and whoever else writes there.
RESERVE_BYTES = 16 * MIB
# A PNG is at most its pixels, a little for the lines' filters, and the facts.
PICTURE_FACTOR, FACTS_BYTES = 1.01, 64 * KIB
# By how much a picture may be larger than the largest of the last ones of its size.
LAST_FACTOR, NUM_LAST = 1.5, 20
# T5-XXL's states in fp32, for a prompt of usual length where it is not padded.
STATE_BYTES, USUAL_TOKENS = 4096 * 4, 77


@dataclass(frozen=True)
class Room:
    """The first `num_fitting` jobs of a group have room; where not even one has, `shortage` says so in words."""

    num_fitting: int
    shortage: str | None = None


def room_for(jobs: Sequence[Job], settings: Settings, journal: Journal) -> Room:
    """Look at the disks of the pictures and of everything else."""
    room = _room(jobs, settings, bound)
    if room.num_fitting == len(jobs):
        return room
    last = _last_bytes(settings, journal)

    def picture_bytes(request: ResolvedRequest) -> int:
        known = last.get(request.size)
        return bound(request) if known is None else min(bound(request), round(LAST_FACTOR * known))

    return _room(jobs, settings, picture_bytes)


def bound(request: ResolvedRequest) -> int:
    """More than the picture's file can take."""
    return round(request.width * request.height * 3 * PICTURE_FACTOR) + FACTS_BYTES


def work_bytes(request: ResolvedRequest) -> int:
    """Latents and embeddings that are kept while its group runs."""
    tokens = request.max_tokens if request.numerics is Numerics.EXACT else min(USUAL_TOKENS, request.max_tokens)
    return request.bin_width * request.bin_height // 64 * 4 * 4 + tokens * STATE_BYTES


def _room(jobs: Sequence[Job], settings: Settings, picture_bytes: Callable[[ResolvedRequest], int]) -> Room:
    free = {folder: _free_bytes(folder) for folder in (settings.images_dir, settings.data_dir)}
    is_one_disk = _disk(settings.images_dir) == _disk(settings.data_dir)
    pictures = work = 0
    for num_fitting, job in enumerate(jobs):
        pictures += picture_bytes(job.request)
        work += work_bytes(job.request)
        needed = {settings.images_dir: pictures + work * is_one_disk, settings.data_dir: work}
        for folder, num_bytes in needed.items():
            if num_bytes + RESERVE_BYTES > free[folder]:
                is_first = num_fitting == 0
                return Room(num_fitting, _shortage(folder, free[folder], num_bytes) if is_first else None)
    return Room(len(jobs))


def _shortage(folder: Path, free_bytes: int, num_bytes: int) -> str:
    return (
        f"{show_bytes(free_bytes // MIB * MIB)} are free on the disk of {folder}, and for the next picture it must be "
        f"{show_at_least(num_bytes + RESERVE_BYTES)}: free some space, then resume the queue"
    )


def _last_bytes(settings: Settings, journal: Journal) -> dict[tuple[int, int], int]:
    """The largest file of the last pictures, by their size in pixels."""
    largest: dict[tuple[int, int], int] = {}
    for job in journal.jobs(states=[JobState.DONE], limit=NUM_LAST):
        path = settings.images_dir / str(job.image)
        if path.is_file():
            largest[job.request.size] = max(largest.get(job.request.size, 0), path.stat().st_size)
    return largest


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(_standing(folder)).free


def _disk(folder: Path) -> int:
    return _standing(folder).stat().st_dev


def _standing(folder: Path) -> Path:
    """The folder itself, or what it will be made in."""
    return folder if folder.is_dir() else folder.parent
