"""Measuring memory, the same way for every phase.

On NVIDIA: torch's peak of allocated and of reserved bytes since the phase began, and what the driver's library (NVML)
reports for the whole device. On a CPU: the peak resident set of this process since it started, which only grows.
"""

from __future__ import annotations

import gc
import sys

import psutil
import torch

from pixart_ui.engine.device import Device

try:
    import pynvml
except ImportError:  # optional: without it the device's own figure stays empty
    pynvml = None


def reset_peaks(device: Device) -> None:
    if device.is_cuda:
        torch.cuda.synchronize(device.torch_device)
        torch.cuda.reset_peak_memory_stats(device.torch_device)


def peaks(device: Device) -> dict[str, int | None]:
    """The memory fields of a PhaseMeasurement, in bytes."""
    if not device.is_cuda:
        return {"peak_rss_bytes": peak_rss_bytes()}
    torch.cuda.synchronize(device.torch_device)
    return {
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device.torch_device),
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device.torch_device),
        "device_used_bytes": _device_used_bytes(device),
    }


def release(device: Device) -> None:
    """Give back to the driver what nobody holds any more."""
    gc.collect()
    if device.is_cuda:
        torch.cuda.empty_cache()


def weight_bytes(module: torch.nn.Module) -> int:
    """Bytes of all parameters and buffers, as they are stored (a 4-bit weight counts its packed bytes)."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _device_used_bytes(device: Device) -> int | None:
    if pynvml is None:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{device.id.removeprefix('GPU-')}")
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    except pynvml.NVMLError:
        return None
