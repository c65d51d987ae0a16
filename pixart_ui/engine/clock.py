"""Times and memory of one phase, and the sentence for a phase that ran out of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pixart_ui.engine import memory
from pixart_ui.engine.components import Loaded
from pixart_ui.engine.device import Device
from pixart_ui.errors import OutOfMemory
from pixart_ui.events import Phase, PhaseMeasurement

# What libraries say that keep memory of their own. cuDNN tries its ways to convolve one after the other and, when none
# could have its scratch memory, says that there is none; cuBLAS cannot make its handle.
OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
)


class PhaseClock:
    """Runs from construction to `stop`. No more than `cap_bytes` of a GPU will be reserved meanwhile.

    A phase that does not begin alone shares cap and peaks with the one that runs already.
    """

    def __init__(self, phase: Phase, device: Device, cap_bytes: int | None = None, *, is_alone: bool = True) -> None:
        self._started = time.perf_counter()  # giving back what the last phase left is a part of what this one takes
        self.is_alone = is_alone
        if is_alone:
            memory.begin_phase(device, cap_bytes)
        else:
            memory.cap(device, cap_bytes)
        self._phase = phase
        self._device = device

    def stop(self, component: Loaded | None = None, *, since: float = 0.0, is_waiting: bool = True) -> PhaseMeasurement:
        """What the phase took; without a component nothing had to be computed.

        The time before `since`, by `time.perf_counter`, was another's. `is_waiting`: for all that is queued.
        """
        peaks = memory.peaks(self._device, is_waiting=is_waiting)
        seconds = max(0.0, time.perf_counter() - max(self._started, since))
        return PhaseMeasurement(
            phase=self._phase,
            seconds=seconds,
            load_seconds=min(seconds, component.load_seconds) if component is not None else 0.0,
            weight_bytes=component.weight_bytes if component is not None else 0,
            bytes_moved=component.bytes_moved if component is not None else 0,
            is_cached=component is None,
            **peaks,
        )


class Pace:
    """How long a step takes, between the ends of two steps; the first one, which brings weights and kernels, left out.

    On a GPU by its own clock: the host is done with a step when it is queued, which may be long before it is over.
    """

    def __init__(self, device: Device) -> None:
        self._is_cuda = device.is_cuda
        self._num_steps = 0
        self._first: Any = None
        self._last: Any = None

    def step(self) -> None:
        self._num_steps += 1
        self._last = self._mark()
        if self._num_steps == 1:
            self._first = self._last

    def is_over(self) -> bool:
        """Whether the device has ended the last step that was queued."""
        return not self._is_cuda or self._last is None or bool(self._last.query())

    def seconds_a_step(self) -> float | None:
        """Once all is over that was queued; None after fewer than two steps."""
        if self._num_steps < 2:
            return None
        taken = self._first.elapsed_time(self._last) / 1000 if self._is_cuda else self._last - self._first
        return float(taken) / (self._num_steps - 1)

    def _mark(self) -> Any:
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error means: torch's own, the libraries' for their handles, or the driver's."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in OUT_OF_MEMORY_WORDS)


@contextmanager
def out_of_memory_as_sentence(phase: Phase, device: Device) -> Iterator[None]:
    """Turn the allocator's error into ours, and free what it left."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = _sentence(phase, device)
        del error
    else:
        return
    memory.collect(device)
    raise OutOfMemory(message)


def _sentence(phase: Phase, device: Device) -> str:
    free, total = device.memory()
    return (
        f"{device.name} ran out of memory in the phase {phase} ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free "
        "now): choose a smaller size, allow a larger budget, or close other programs."
    )
