"""What a strategy reports while it works: phases, latents, pictures. It knows no strategy.

The clock of a group starts when its recorder is made and stops when its last picture is on disk. The seconds of a
phase end when the device has finished, not when the work is queued.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from PIL import Image

from bench.job import CellJob

PNG_COMPRESS_LEVEL = 1


@dataclass(frozen=True)
class GroupResult:
    """One group of pictures. `image_seconds` says when each picture was on disk, from the start of the group.

    `phases` are seconds by name; a strategy that mixes two phases names both. Bytes are torch's on the fullest GPU
    since the group began, None on a CPU.
    """

    wall_seconds: float
    image_seconds: tuple[float, ...]
    phases: dict[str, float]
    latents_sha256: tuple[str, ...]
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None

    def as_json(self) -> dict[str, Any]:
        next_seconds = [later - earlier for earlier, later in pairwise(self.image_seconds)]
        return asdict(self) | {
            "load_seconds": self.phases.get("load"),
            "first_image_seconds": min(self.image_seconds, default=None),
            "next_image_seconds": next_seconds,
        }


@dataclass(frozen=True)
class CellResult:
    """The groups of one cell, and how its numbers were computed: `stock`, or ours, `exact` or `fast`."""

    groups: tuple[GroupResult, ...]
    numerics: str = "stock"
    details: dict[str, Any] | None = None


class Recorder:
    """The clock and the memory of one group."""

    def __init__(self, job: CellJob, group: int = 0) -> None:
        self._job = job
        self._group = group
        self._phases: dict[str, float] = {}
        self._image_seconds: list[float] = []
        self._latents: list[str] = []
        self._allocated: list[int] = []
        self._reserved: list[int] = []
        reset_peaks()
        self._started = self._last = time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Seconds of the block are added to that phase."""
        synchronize()
        started = time.perf_counter()
        yield
        synchronize()
        self._last = time.perf_counter()
        self.add(name, self._last - started)

    def add(self, name: str, seconds: float) -> None:
        self._phases[name] = self._phases.get(name, 0.0) + seconds

    def on_step(self, phase: str) -> Callable[[int, Any, torch.Tensor], None]:
        """A pipeline's `callback`: after the last step `phase` ends, and the latents' hashes are kept."""

        def callback(step: int, _timestep: Any, latents: torch.Tensor) -> None:
            if step == self._job.steps - 1:
                self.latents(latents)
                self._lap(phase)

        self._last = time.perf_counter()
        return callback

    def latents(self, latents: torch.Tensor) -> None:
        """Keep the hash of each picture's latents as they are stored."""
        stored = latents.detach().contiguous().cpu().view(torch.uint8).numpy()
        self._latents.extend(hashlib.sha256(picture.tobytes()).hexdigest() for picture in stored)

    def save(self, image: Image.Image) -> None:
        """Put the next picture on disk; what has passed since the last step was decoding."""
        self._lap("decode")
        number = len(self._image_seconds)
        image.save(self._job.out / f"{self._group}-{number:02}.png", compress_level=PNG_COMPRESS_LEVEL)
        self._lap("write")
        self.written()

    def written(self) -> None:
        """The next picture is on disk."""
        self._image_seconds.append(time.perf_counter() - self._started)

    def note_peaks(self) -> None:
        """Remember torch's peaks of now, for a strategy that sets them back itself."""
        allocated, reserved = peaks()
        if allocated is not None and reserved is not None:
            self._allocated.append(allocated)
            self._reserved.append(reserved)

    def result(self) -> GroupResult:
        self.note_peaks()
        return GroupResult(
            wall_seconds=max(self._image_seconds, default=0.0),
            image_seconds=tuple(self._image_seconds),
            phases=dict(self._phases),
            latents_sha256=tuple(self._latents),
            peak_allocated_bytes=max(self._allocated, default=None),
            peak_reserved_bytes=max(self._reserved, default=None),
        )

    def _lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.add(phase, now - self._last)
        self._last = now


def synchronize() -> None:
    for index in gpus():
        torch.cuda.synchronize(index)


def reset_peaks() -> None:
    synchronize()
    for index in gpus():
        torch.cuda.reset_peak_memory_stats(index)


def peaks() -> tuple[int | None, int | None]:
    """Bytes allocated and reserved at most, on the GPU where they were the most; None without one."""
    synchronize()
    allocated = [torch.cuda.max_memory_allocated(index) for index in gpus()]
    reserved = [torch.cuda.max_memory_reserved(index) for index in gpus()]
    return max(allocated, default=None), max(reserved, default=None)


def gpus() -> range:
    """Indices of the GPUs that this process uses."""
    return range(torch.cuda.device_count())
