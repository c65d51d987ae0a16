"""From what was seen of a run to its result: figures of each phase, timeline, baseline, and the picture on the disk.

Knows no journal and no engine; no torch.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from pixart_ui.compare import metrics
from pixart_ui.compare.comparison import IMAGES, Baseline, Device, PhaseFigures, Result, State, TimelineKind
from pixart_ui.compare.recording import Surroundings
from pixart_ui.compare.sampling import Sampling
from pixart_ui.compare.sweep import Cell
from pixart_ui.engine.costs import COMPONENT_OF
from pixart_ui.events import LatentArray, Phase, Plan
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job
from pixart_ui.prediction import is_cpu

# A process's resident set comes and goes with its allocator: so little is nothing that a run left behind.
RSS_NOISE_BYTES = 64 * 2**20
# What may come from the disk where a run is said to be warm: a part of the weights, and libraries' own files.
WARM_SHARE, LIBRARIES_BYTES = 0.01, 16 * 2**20
RANDOM_MARK = "_random_weights"


@dataclass
class Seen:
    """What a run showed so far. `info` is the engine's, `baseline` what it held before and after."""

    info: Mapping[str, Any]
    plan: Plan | None = None
    latents: LatentArray | None = None
    image: Image.Image | None = None
    facts: Mapping[str, Any] | None = None
    baseline: tuple[int, int] | None = None
    bytes_read: int | None = None

    @property
    def timeline_kind(self) -> TimelineKind:
        return "rss" if is_cpu(self.info) else "reserved"


def done(
    cell: Cell, job: Job, seen: Seen, sampling: Sampling, folder: Path, *, has_random_weights: bool
) -> tuple[Result, Surroundings]:
    """Put the picture into the comparison's folder and say what was measured. Raises DiskFullError, OSError."""
    assert seen.image is not None
    assert seen.facts is not None
    name = f"{IMAGES}/{cell.key}.png"
    images.save(seen.image, folder / name, job.request, seen.facts)
    measurements = seen.facts["measurements"]
    result = Result.of(
        cell,
        State.DONE,
        request=job.request,
        image=name,
        pixels_sha256=metrics.pixels_sha256(seen.image),
        phases=tuple(_figures(measurement) for measurement in measurements.values()),
        component_bytes=_component_bytes(measurements),
        peak_rss_bytes=sampling.peak_bytes if is_cpu(seen.info) else None,
        predicted_peak_bytes=seen.plan.predicted_peak_bytes if seen.plan is not None else None,
        predicted_seconds=seen.plan.predicted_seconds if seen.plan is not None else None,
        timeline=sampling.timeline(),
        baseline=_baseline(seen),
        was_warm=_was_warm(seen, measurements),
        has_random_weights=has_random_weights,
        notes=tuple(seen.facts["notes"]),
    )
    around = Surroundings(
        device_of(seen.info), dict(seen.facts["versions"]), {job.request.checkpoint: dict(seen.facts["components"])}
    )
    return result, around


def device_of(info: Mapping[str, Any]) -> Device:
    """A worker's device as a report names it; a budget is for GPUs only."""
    return Device(
        name=str(info["name"]),
        type=str(info["device"]).partition(":")[0],
        total_bytes=info.get("memory_total_bytes"),
        budget_bytes=None if is_cpu(info) else info.get("budget_bytes"),
        context_bytes=info.get("context_bytes"),
        driver=info.get("driver"),
        system=f"{platform.system()} {platform.machine()}",
    )


def has_random_weights(checkpoint: str) -> bool:
    """Whether a local folder says that its weights mean nothing, as those that `bench.full_size` makes do."""
    try:
        index = json.loads((Path(checkpoint) / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # a name, or a folder that the engine will complain of
    return isinstance(index, dict) and index.get(RANDOM_MARK) is True


def bytes_read(since: int | None = 0) -> int | None:
    """What this process had the disk read, less what it had before; None where the system does not tell."""
    counters = getattr(psutil.Process(), "io_counters", None)
    return int(counters().read_bytes) - since if counters is not None and since is not None else None


def _figures(measurement: Mapping[str, Any]) -> PhaseFigures:
    rest = {name: value for name, value in measurement.items() if name != "phase"}
    return PhaseFigures(name=str(measurement["phase"]), **rest)


def _component_bytes(measurements: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    return {COMPONENT_OF[Phase(name)]: int(one["weight_bytes"]) for name, one in measurements.items()}


def _baseline(seen: Seen) -> Baseline | None:
    """A GPU's allocator says to the byte what is left; a process's resident set only about."""
    if seen.baseline is None:
        return None
    before, after = seen.baseline
    noise = RSS_NOISE_BYTES if is_cpu(seen.info) else 0
    return Baseline(before_bytes=before, after_bytes=after, is_kept=after <= before + noise)


def _was_warm(seen: Seen, measurements: Mapping[str, Mapping[str, Any]]) -> bool | None:
    if seen.bytes_read is None:
        return None
    moved = sum(int(one["bytes_moved"]) for one in measurements.values())
    return seen.bytes_read <= WARM_SHARE * moved + LIBRARIES_BYTES
