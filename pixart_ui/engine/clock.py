"""Times and memory of one phase, and the sentence for a phase that ran out of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pixart_ui.engine import memory
from pixart_ui.engine.components import Loaded
from pixart_ui.engine.device import Device
from pixart_ui.errors import OutOfMemory
from pixart_ui.events import Phase, PhaseMeasurement


class PhaseClock:
    """Runs from construction to `stop`; `loaded` notes what had to be brought onto the device."""

    def __init__(self, phase: Phase, device: Device) -> None:
        memory.reset_peaks(device)
        self._phase = phase
        self._device = device
        self._started = time.perf_counter()
        self._load_seconds = 0.0
        self._weight_bytes = 0
        self._bytes_moved = 0

    def loaded(self, component: Loaded) -> None:
        self._load_seconds += component.load_seconds
        self._weight_bytes += component.weight_bytes
        self._bytes_moved += component.bytes_moved

    def stop(self, *, is_cached: bool = False) -> PhaseMeasurement:
        peaks = memory.peaks(self._device)
        return PhaseMeasurement(
            phase=self._phase,
            seconds=time.perf_counter() - self._started,
            load_seconds=self._load_seconds,
            weight_bytes=self._weight_bytes,
            bytes_moved=self._bytes_moved,
            is_cached=is_cached,
            **peaks,
        )


@contextmanager
def out_of_memory_as_sentence(phase: Phase, device: Device) -> Iterator[None]:
    """Turn the allocator's error into ours, and free what it left."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        message = _sentence(phase, device)
        del error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        message = _sentence(phase, device)
    else:
        return
    memory.release(device)
    raise OutOfMemory(message)


def _sentence(phase: Phase, device: Device) -> str:
    free, total = device.memory()
    return (
        f"{device.name} ran out of memory in the phase {phase} ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free "
        "now): choose a smaller size or a smaller text-encoder precision, or close other programs."
    )
