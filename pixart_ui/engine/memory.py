"""Measuring memory, the same way for every phase.

On NVIDIA: torch's peak of allocated and of reserved bytes since the phase began, and what the driver's library (NVML)
reports for the whole device. On a CPU: the peak resident set of this process since it started, which only grows.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil
import torch

from pixart_ui.engine.device import Device, used_bytes


def begin_phase(device: Device, cap_bytes: int | None) -> None:
    """Give back what the last phase left unused, and count peaks from here.

    No more than `cap_bytes` will be reserved: asking for more raises, where some drivers would spill into RAM in
    silence.
    """
    if device.is_cuda:
        release(device)
        cap(device, cap_bytes)
        torch.cuda.reset_peak_memory_stats(device.torch_device)


def cap(device: Device, nbytes: int | None) -> None:
    """Let torch reserve at most so many bytes of a GPU; None lifts the limit."""
    if device.is_cuda:
        total = torch.cuda.get_device_properties(device.torch_device).total_memory
        fraction = 1.0 if nbytes is None else min(1.0, nbytes / total)
        torch.cuda.set_per_process_memory_fraction(fraction, device.torch_device)


def peaks(device: Device, *, is_waiting: bool = True) -> dict[str, int | None]:
    """The memory fields of a PhaseMeasurement, in bytes; `is_waiting` for what is still queued."""
    if not device.is_cuda:
        return {"peak_rss_bytes": peak_rss_bytes()}
    if is_waiting:
        torch.cuda.synchronize(device.torch_device)
    return {
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device.torch_device),
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device.torch_device),
        "device_used_bytes": used_bytes(device.id),
    }


def trim() -> None:
    """Give back to the system what the C library keeps of freed memory, where it can (glibc)."""
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)


def held_bytes(device: Device) -> int:
    """What torch has reserved of a GPU now; on a CPU the resident set of this process."""
    if device.is_cuda:
        return torch.cuda.memory_reserved(device.torch_device)
    return rss_bytes()


def rss_bytes() -> int:
    """The resident set of this process."""
    return int(psutil.Process().memory_info().rss)


def release(device: Device) -> None:
    """Give back to the driver what nobody holds any more, once nothing that was queued can still read it."""
    if device.is_cuda:
        torch.cuda.synchronize(device.torch_device)
        torch.cuda.empty_cache()


def forget_scratch(device: Device) -> None:
    """Let go of what the matrix library keeps for every stream that it was used on; it asks for it again.

    No other thread may be at work on the device.
    """
    if device.is_cuda:
        torch._C._cuda_clearCublasWorkspaces()


def collect(device: Device) -> None:
    """The same after an error, whose traceback held what the phase had made."""
    gc.collect()
    release(device)


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
