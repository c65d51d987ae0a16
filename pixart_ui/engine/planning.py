"""Plans for one device: what it has free now, what was measured on it, and what finished phases teach.

The table of measurements is a file that workers of several devices share; each writes only what is its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from pixart_ui.catalog import Component
from pixart_ui.engine import attention, planner
from pixart_ui.engine.calibration import Calibration, Reads, Table, device_key
from pixart_ui.engine.costs import GPU_GRAIN_BYTES, Costs, Demand, Limits
from pixart_ui.engine.device import Device
from pixart_ui.events import Phase, PhaseMeasurement, PhasePlan, Plan
from pixart_ui.ram import ram

LINK_PROBE_BYTES = 64 * 2**20
# A feed-forward of PixArt's width over so many tokens: 5.4 billion operations, about 50 ms on two cores.
COMPUTE_PROBE_TOKENS, COMPUTE_PROBE_WIDTH = 256, 1152
COMPUTE_PROBE_PASSES, COMPUTE_PROBE_SECONDS = 6, 0.25
# By how much a prediction grows that was too small.
TOO_SMALL = 1.1
log = logging.getLogger(__name__)


class Planning:
    """Used by the one thread that owns the device. `path` is the table's file; None keeps it in memory."""

    def __init__(self, device: Device, path: Path | None) -> None:
        self._device = device
        self._path = path
        _, total = device.memory()
        self.key = device_key(device.name, total, torch.__version__)
        self._seen: Limits | None = None
        self._calibration = self._known()
        if device.is_cuda and self._calibration.rates.link is None:
            self._calibration = self._calibration.learn_rates(link=_measure_link(device))
        if device.torch_device.type == "cpu" and self._calibration == Calibration():
            # The first prediction stands on this, so the page, which reads the file, must find it there.
            self._calibration = self._calibration.learn_compute(_measure_compute())
            self.save()

    def step_down(self, demand: Demand, plan: Plan, phase: Phase) -> Plan | None:
        """The next smaller plan after that phase ran out of memory; None where there is none."""
        return planner.step_down(demand, self.limits(frozenset(), 0), plan, phase)

    def look_ahead(
        self, demand: Demand, following: Demand, plan: Plan, steps_left: int, on_device: frozenset[Component]
    ) -> tuple[Plan, PhasePlan] | None:
        """See `planner.look_ahead`; the budget is the plan's, of which the steps have taken their part already."""
        seen = self._seen if self._seen is not None else self.limits(on_device, 0)
        limits = replace(seen, budget_bytes=plan.budget_bytes, on_device=on_device, calibration=self._calibration)
        return planner.look_ahead(demand, following, limits, plan, steps_left)

    def limits(self, on_device: frozenset[Component], kept_bytes: int) -> Limits:
        self._seen = Limits(
            budget_bytes=self.budget_bytes(kept_bytes),
            is_cpu=not self._device.is_cuda,
            grain_bytes=GPU_GRAIN_BYTES if self._device.is_cuda else 1,
            ram_bytes=ram().total,
            on_device=on_device,
            calibration=self._calibration,
        )
        return self._seen

    def budget_bytes(self, kept_bytes: int) -> int:
        """What tensors may use: what is free, and what we hold ourselves."""
        free, _ = self._device.memory()
        return max(0, free + kept_bytes)

    def learn(
        self,
        demand: Demand,
        plan: Plan,
        measurement: PhaseMeasurement,
        *,
        activation_bytes: int | None,
        unit_seconds: float | None,
    ) -> None:
        """Take in what a phase took; see `planner.observe`."""
        entry = plan.phase(measurement.phase)
        # What was seen when the group was planned will do: to ask the system takes milliseconds, twice a picture.
        seen = self._seen if self._seen is not None else self.limits(frozenset(), 0)
        self._calibration = planner.observe(
            demand,
            replace(seen, calibration=self._calibration),
            entry,
            activation_bytes=activation_bytes,
            unit_seconds=unit_seconds,
        )

    def learn_reads(self, reads: Reads) -> None:
        """Take in how fast the disk, or the page cache, gave a phase's weights."""
        self._calibration = self._calibration.learn_reads(reads)

    def learn_encoding(self, other: Planning) -> None:
        """Take over what another device of the same kind took to encode."""
        self._calibration = self._calibration.taking(other._calibration, Phase.ENCODE)

    def learn_too_small(self, demand: Demand, plan: Plan, phase: Phase) -> None:
        """A phase ran out of the memory that was predicted for it: it takes more than was known."""
        entry, limits = plan.phase(phase), self.limits(frozenset(), 0)
        predicted = Costs(demand, limits).activation_bytes(phase, entry.tile).value
        self._calibration = planner.observe(demand, limits, entry, activation_bytes=round(predicted * TOO_SMALL))

    def kernel(self, transformer: Any, *, batch: int, tokens: int) -> str:
        """The kernel for `fast` self-attention: measured at the first picture's size, then kept for all.

        Workers of the same kind of device take the one that the first of them chose: their pictures must be equal.
        """
        config = transformer.config
        shape = f"{config.num_attention_heads}x{config.attention_head_dim}/{transformer.dtype}"
        if shape not in self._calibration.kernels:
            with self._alone():
                self._calibration = self._calibration.with_kernels(self._known().kernels)
                if shape not in self._calibration.kernels:
                    name = attention.measure(transformer, self._device.torch_device, batch=batch, tokens=tokens)
                    self._calibration = self._calibration.learn_kernel(shape, name)
                    self.save()
        return self._calibration.kernels[shape]

    def save(self) -> None:
        """Write the table; a disk that is full is no reason to stop drawing."""
        if self._path is not None:
            try:
                calibration = self._calibration.with_kernels(self._known().kernels)
                Table.load(self._path).having(self.key, calibration).save(self._path)
            except OSError as error:
                log.warning("%s cannot be written: %s", self._path, error)

    def _known(self) -> Calibration:
        """What the file says of this kind of device now."""
        return Table.load(self._path).of(self.key) if self._path is not None else Calibration()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other worker chooses a kernel for the length of the block."""
        with FileLock(self._path.with_suffix(".lock")) if self._path is not None else nullcontext():
            yield


def _measure_link(device: Device) -> float:
    """Bytes a second from pinned memory to the device: the best of three copies."""
    host = torch.empty(LINK_PROBE_BYTES, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(host, device=device.torch_device)
    best = 0.0
    for _ in range(3):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        target.copy_(host, non_blocking=True)
        end.record()
        end.synchronize()
        best = max(best, LINK_PROBE_BYTES / (start.elapsed_time(end) / 1000))
    return best


@cache
def _measure_compute() -> float:
    """Operations a second of this processor on the threads that torch has: the best of a few passes."""
    inner = 4 * COMPUTE_PROBE_WIDTH
    states = torch.ones(COMPUTE_PROBE_TOKENS, COMPUTE_PROBE_WIDTH)
    widen, narrow = torch.ones(inner, COMPUTE_PROBE_WIDTH), torch.ones(COMPUTE_PROBE_WIDTH, inner)
    least, until = float("inf"), time.perf_counter() + COMPUTE_PROBE_SECONDS
    with torch.inference_mode():
        for number in range(COMPUTE_PROBE_PASSES):
            start = time.perf_counter()
            if number > 1 and start > until:  # the first one warms up
                break
            torch.nn.functional.gelu(states @ widen.T, approximate="tanh") @ narrow.T
            least = min(least, time.perf_counter() - start)
    return 4 * COMPUTE_PROBE_TOKENS * COMPUTE_PROBE_WIDTH * inner / least
