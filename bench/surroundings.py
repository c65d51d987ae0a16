"""The machine around a measurement: device, versions, page cache, what the driver counts. It knows no strategy."""

from __future__ import annotations

import ctypes
import importlib.metadata
import mmap
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil
import torch

from pixart_ui import __version__

try:
    import pynvml
except ImportError:  # optional: without it the driver's own figures stay empty
    pynvml = None

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "bitsandbytes")
SAMPLE_SECONDS = 0.05
READ_BYTES = 16 * 2**20


def describe(device: str) -> dict[str, Any]:
    """Device, driver and versions as JSON values."""
    is_cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda else f"CPU {platform.processor()}".strip(),
        "device_type": "cuda" if is_cuda else device,
        "device_total_bytes": torch.cuda.get_device_properties(device).total_memory if is_cuda else None,
        "num_devices": torch.cuda.device_count() if is_cuda else 1,
        "driver": _driver() if is_cuda else None,
        "cuda": torch.version.cuda,
        "cpu_count": os.cpu_count(),
        "memory_total_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"pixart-ui": __version__} | {package: _version(package) for package in PACKAGES},
    }


class DriverWatch:
    """The most memory that the driver counted on the GPUs of this process's kind, sampled while the block runs.

    It includes the CUDA context and whatever other processes hold.
    """

    def __init__(self, device: str) -> None:
        self._samples: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._handles = _handles() if device.startswith("cuda") else []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak_bytes(self) -> int | None:
        return max((used for _, used in self._samples), default=None)

    def peak_between(self, started: float, ended: float) -> int | None:
        """The most from then to then by `time.perf_counter`; None where it did not look in between."""
        return max((used for at, used in self._samples if started <= at <= ended), default=None)

    def _sample(self) -> None:
        while self._handles:
            try:
                used = max(int(pynvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in self._handles)
            except pynvml.NVMLError:
                return
            self._samples.append((time.perf_counter(), used))
            if self._ended.wait(SAMPLE_SECONDS):
                return


def read_once(paths: Iterable[Path]) -> None:
    """Read what the page cache does not hold of these files, so that every measurement starts alike."""
    buffer = bytearray(READ_BYTES)
    for path in paths:
        if _cached_fraction(path) != 1.0:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def cached_fraction(paths: Iterable[Path]) -> float | None:
    """How much of the files' bytes the page cache holds; None where the system does not tell."""
    total = cached = 0.0
    for path in paths:
        fraction = _cached_fraction(path)
        if fraction is None:
            return None
        total += path.stat().st_size
        cached += fraction * path.stat().st_size
    return cached / total if total else None


def files(*folders: Path) -> list[Path]:
    """Everything in them that is not empty, also behind links to folders: checkpoints may share a text encoder."""
    found = [
        Path(root) / name
        for folder in folders
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
    ]
    return [path for path in found if path.stat().st_size]


def _cached_fraction(path: Path) -> float | None:
    if sys.platform != "linux":
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = np.frombuffer(mapped, dtype=np.uint8)
        pages = np.zeros(-(-len(view) // mmap.PAGESIZE), dtype=np.uint8)
        address, length = ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(len(view))
        failed = ctypes.CDLL(None).mincore(address, length, pages.ctypes.data_as(ctypes.c_void_p))
        del view  # a map that is looked at cannot be closed
    return None if failed else float(np.mean(pages & 1))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _driver() -> str | None:
    if not _handles():
        return None
    return str(pynvml.nvmlSystemGetDriverVersion())


def _handles() -> list[Any]:
    """NVML's handle of each GPU that torch sees; empty where the driver's library does not answer."""
    if pynvml is None:
        return []
    try:
        pynvml.nvmlInit()
        uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
        return [pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}") for uuid in uuids]
    except pynvml.NVMLError:
        return []
