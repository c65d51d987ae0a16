"""The device that a worker owns: chosen once, described in plain words.

On a GPU numbers are computed in the 16-bit type that the precision names. On a CPU everything is stored as the
precision says and computed in fp32, since few processors have fast 16-bit arithmetic; the picture says so.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pixart_ui.devices import PAIR
from pixart_ui.errors import DeviceError
from pixart_ui.ram import ram
from pixart_ui.request import Precision

try:
    import pynvml
except ImportError:  # optional: without it the device's own figures stay empty
    pynvml = None

# What cuBLAS and cuDNN load on a GPU at most.
LIBRARIES_BYTES = 2**30


@dataclass(frozen=True)
class Device:
    """`id` is the hardware's own where it has one (a GPU's UUID), so that a lock on it holds whatever its index is.

    `budget_bytes` is what tensors may use if the owner set a limit. `context_bytes` is what CUDA itself takes beside
    them, None where it was not measured.
    """

    torch_device: torch.device
    id: str
    name: str
    budget_bytes: int | None = None
    context_bytes: int | None = None

    @property
    def is_cuda(self) -> bool:
        return self.torch_device.type == "cuda"

    @property
    def holds_caps(self) -> bool:
        """Whether torch reserves no more there than it is told, see `memory.cap`."""
        return self.is_cuda

    def storage_dtype(self, precision: Precision) -> torch.dtype:
        """How the transformer and the VAE are stored beside a text encoder of that precision."""
        return torch.bfloat16 if precision is Precision.BF16 else torch.float16

    def compute_dtype(self, precision: Precision) -> torch.dtype:
        """What arithmetic is done in."""
        return torch.float32 if self.torch_device.type == "cpu" else self.storage_dtype(precision)

    @property
    def is_roomy(self) -> bool:
        """Whether a GPU has so much beside the budget that what CUDA's libraries take cannot be missed."""
        if not self.is_cuda or self.budget_bytes is None:
            return False
        free, _ = torch.cuda.mem_get_info(self.torch_device)
        return int(free) + torch.cuda.memory_reserved(self.torch_device) >= self.budget_bytes + LIBRARIES_BYTES

    def memory(self) -> tuple[int, int]:
        """Free and total bytes: of the GPU, or of RAM where the CPU works.

        What torch has reserved and does not use is free for this process.
        """
        if self.is_cuda:
            free, total = torch.cuda.mem_get_info(self.torch_device)
            reserved = torch.cuda.memory_reserved(self.torch_device)
            allocated = torch.cuda.memory_allocated(self.torch_device)
            free = int(free) + reserved - allocated
            return (free if self.budget_bytes is None else min(free, self.budget_bytes - allocated)), int(total)
        memory = ram()
        return memory.available, memory.total


def open_device(wanted: str, budget_bytes: int | None = None) -> Device:
    """The device named `auto`, `cpu`, `cpu:N`, `cuda`, `cuda:N` or `mps`, of a pair the first.

    Raises DeviceError where it is absent.

    On a GPU no more than `budget_bytes` will be reserved, whatever it has. It becomes the calling thread's current one.
    """
    wanted = wanted.partition(PAIR)[0]
    kind, _, index = wanted.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        return _cuda(int(index) if index else 0, budget_bytes)
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("Device mps was asked for, but this machine has no Apple GPU: use --device cpu.")
        return Device(torch.device("mps"), "mps", "Apple GPU")
    return Device(torch.device("cpu"), wanted if index else "cpu", _cpu_name())  # a slot has a lock of its own


def _cuda(index: int, budget_bytes: int | None) -> Device:
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            raise DeviceError(
                "Device cuda was asked for, but this build of torch has no CUDA: use --device cpu, or install the "
                "CUDA build, see pytorch.org/get-started."
            )
        raise DeviceError(
            "Device cuda was asked for, but no usable NVIDIA GPU was found: use --device cpu, or install its driver."
        )
    count = torch.cuda.device_count()
    if index >= count:
        raise DeviceError(
            f"Device cuda:{index} was asked for, but there are {count} GPUs: use cuda:0 to cuda:{count - 1}."
        )
    _use_growing_segments()
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)  # what names no device, such as an event, means this one, and leaves the others alone
    properties = torch.cuda.get_device_properties(device)
    used_before = used_bytes(str(properties.uuid))
    torch.cuda.synchronize(device)  # makes the context
    used = used_bytes(str(properties.uuid))
    context = used - used_before if used is not None and used_before is not None else None
    return Device(device, str(properties.uuid), properties.name, budget_bytes, context)


def _use_growing_segments() -> None:
    """Let torch grow memory in place, so that what is reserved stays near what is used (a sixth less at decode).

    Windows has no such memory. Before the first allocation; harmless after it.
    """
    if sys.platform == "win32":
        return
    setting = "expandable_segments:True"
    if hasattr(torch._C, "_accelerator_setAllocatorSettings"):  # torch 2.10 and newer
        torch._C._accelerator_setAllocatorSettings(setting)
    else:
        torch.cuda.memory._set_allocator_settings(setting)


def used_bytes(uuid: str) -> int | None:
    """What the driver's library (NVML) reports as used on the whole device; None where it is absent."""
    if pynvml is None:
        return None
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(_nvml_handle(uuid)).used)
    except pynvml.NVMLError:
        return None


@cache
def _nvml_handle(uuid: str) -> Any:
    """Opening the library takes longer than asking it."""
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")


def _cpu_name() -> str:
    name = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux: the platform module's answer stands
    return f"CPU ({name})" if name else "CPU"
