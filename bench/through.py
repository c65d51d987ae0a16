"""A peer's memory through its run: sampled every few milliseconds, with its phases and the peaks of each.

On a GPU it is what torch has reserved on the fullest one, on a CPU the process's resident set.
"""

from __future__ import annotations

from typing import Any

import psutil
import torch

from bench import peers
from bench.job import CellJob
from bench.recorder import Span, gpus
from bench.surroundings import DriverWatch
from pixart_ui.compare.sampling import Sampling


def watched(job: CellJob, driver: DriverWatch) -> dict[str, Any]:
    """The job's row with `timeline` and `phase_peaks`. Raises whatever stands in the strategy's way."""
    is_cuda = job.device.startswith("cuda")
    process = psutil.Process()

    def held() -> int:
        if not is_cuda:
            return int(process.memory_info().rss)
        return max((torch.cuda.memory_reserved(index) for index in gpus()), default=0)

    with Sampling(held, "reserved" if is_cuda else "rss") as sampling:
        result = peers.run(job)
    spans = result.groups[0].spans
    for span in spans:
        sampling.band(span.name, span.started, span.ended)
    timeline = sampling.timeline().model_dump(mode="json")
    return result.as_row() | {"timeline": timeline, "phase_peaks": _phase_peaks(spans, driver)}


def _phase_peaks(spans: tuple[Span, ...], driver: DriverWatch) -> dict[str, dict[str, int | None]]:
    """By the phase's name, over all the times that it came."""
    found: dict[str, dict[str, int | None]] = {}
    for span in spans:
        new = {
            "peak_allocated_bytes": span.peak_allocated_bytes,
            "peak_reserved_bytes": span.peak_reserved_bytes,
            "device_used_bytes": driver.peak_between(span.started, span.ended),
        }
        known = found.get(span.name, new)
        found[span.name] = {name: _larger(known[name], new[name]) for name in new}
    return found


def _larger(first: int | None, second: int | None) -> int | None:
    return max((one for one in (first, second) if one is not None), default=None)
