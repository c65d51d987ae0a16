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
from typing import Any, NamedTuple

import torch
from PIL import Image

from bench.job import CellJob

PNG_COMPRESS_LEVEL = 1


class Span(NamedTuple):
    """A phase of stock diffusers, once: from when to when by `time.perf_counter`, and torch's peaks in between."""

    name: str
    started: float
    ended: float
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


@dataclass(frozen=True)
class GroupResult:
    """One group of pictures. `image_seconds` says when each picture was on disk, from the start of the group.

    `phases` are seconds by name; a strategy that mixes two phases names both. Bytes are torch's on the fullest GPU
    since the group began, None on a CPU. `spans` are not part of a row.
    """

    wall_seconds: float
    image_seconds: tuple[float, ...]
    phases: dict[str, float]
    latents_sha256: tuple[str, ...]
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None
    spans: tuple[Span, ...] = ()

    def as_json(self) -> dict[str, Any]:
        next_seconds = [later - earlier for earlier, later in pairwise(self.image_seconds)]
        row = asdict(self)
        del row["spans"]
        return row | {
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

    def as_row(self) -> dict[str, Any]:
        """The first group's figures, and the second's as `warm`."""
        warm = self.groups[1].as_json() if len(self.groups) > 1 else None
        return self.groups[0].as_json() | {"warm": warm, "numerics": self.numerics, "details": self.details}


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
        self._spans: list[Span] = []
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
        self._over(name, started)

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
            spans=tuple(self._spans),
        )

    def _lap(self, phase: str) -> None:
        started, self._last = self._last, time.perf_counter()
        self._over(phase, started)

    def _over(self, phase: str, started: float) -> None:
        """A phase of a peer has ended just now: its peaks are kept, and counted anew for the next one."""
        self.add(phase, self._last - started)
        allocated, reserved = _peaks()
        if allocated is not None and reserved is not None:
            self._allocated.append(allocated)
            self._reserved.append(reserved)
        self._spans.append(Span(phase, started, self._last, allocated, reserved))
        for index in gpus():
            torch.cuda.reset_peak_memory_stats(index)


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
    return _peaks()


def _peaks() -> tuple[int | None, int | None]:
    """The same without waiting for the device: torch counts where memory is asked for, not where it is used."""
    allocated = [torch.cuda.max_memory_allocated(index) for index in gpus()]
    reserved = [torch.cuda.max_memory_reserved(index) for index in gpus()]
    return max(allocated, default=None), max(reserved, default=None)


def gpus() -> range:
    """Indices of the GPUs that this process uses."""
    return range(torch.cuda.device_count())
