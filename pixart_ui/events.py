"""What the engine says while it works: small frozen values, without torch.

The engine takes resolved requests and yields these; `index` is the request's place in what it was given. Sizes are in
bytes, times in seconds. The worker turns events into rows of the journal and files on disk.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LatentArray = npt.NDArray[np.floating[Any]]


class Phase(StrEnum):
    """A picture's three phases, in their order."""

    ENCODE = "encode"
    DENOISE = "denoise"
    DECODE = "decode"


class Residency(StrEnum):
    """Where a component's weights are while it works."""

    RESIDENT = "resident"
    STAGED = "staged"
    STREAMED = "streamed"


@dataclass(frozen=True)
class PhasePlan:
    """How one phase is run, and why.

    Where its component is streamed, `kept_units` of its units (see `engine/units.py`) stay on the device for the
    phase and the others pass through `slots` slots. `tile` is the side in pixels of the pieces that are decoded one
    after the other, None for the whole picture at once. `predicted_peak_bytes` is what torch will have reserved,
    components that stay from other phases included; `predicted_seconds` is for the whole group. A decode that
    `is_beside` runs while the next picture is denoised, and both peaks are those of both together.
    """

    phase: Phase
    residency: Residency
    reason: str
    predicted_peak_bytes: int = 0
    predicted_seconds: float = 0.0
    kept_units: int = 0
    slots: int = 0
    tile: int | None = None
    is_beside: bool = False


@dataclass(frozen=True)
class Plan:
    """How a group of pictures is run. `is_estimate` says that nothing was measured on this device yet."""

    phases: tuple[PhasePlan, ...]
    budget_bytes: int = 0
    is_estimate: bool = True

    @property
    def predicted_peak_bytes(self) -> int:
        return max(plan.predicted_peak_bytes for plan in self.phases)

    @property
    def predicted_seconds(self) -> float:
        return sum(plan.predicted_seconds for plan in self.phases)

    def phase(self, phase: Phase) -> PhasePlan:
        return next(plan for plan in self.phases if plan.phase is phase)

    def residency(self, phase: Phase) -> Residency:
        return self.phase(phase).residency

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "predicted_peak_bytes": self.predicted_peak_bytes,
            "predicted_seconds": self.predicted_seconds,
        }


@dataclass(frozen=True)
class PhaseMeasurement:
    """What a phase took.

    `peak_allocated_bytes` and `peak_reserved_bytes` are torch's, `device_used_bytes` is what the driver's own library
    reports for the whole device (NVML); all three are None on a CPU, where `peak_rss_bytes` is the process's peak.
    `load_seconds` is the part of `seconds` that loading took. `is_cached` says that nothing had to be computed. While a
    picture is decoded beside the next one's steps, the time counts as decoding, and peaks are those of both.
    """

    phase: Phase
    seconds: float
    load_seconds: float = 0.0
    weight_bytes: int = 0
    bytes_moved: int = 0
    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    device_used_bytes: int | None = None
    peak_rss_bytes: int | None = None
    is_cached: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PhaseStarted:
    """A phase began; `index` is None where it serves the whole group (encode)."""

    phase: Phase
    index: int | None = None


@dataclass(frozen=True)
class PhaseFinished:
    """A phase ended."""

    measurement: PhaseMeasurement
    index: int | None = None


@dataclass(frozen=True)
class Planned:
    """How a group will be run, with what that is predicted to take; before anything is done."""

    plan: Plan


@dataclass(frozen=True)
class WeightsPrepared:
    """Weights are being brought into the form that the precision wants, once: `done_bytes` of `total_bytes`."""

    component: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class EncodedAhead:
    """Texts of the next group passed through T5 beside the last picture's steps: `bytes_moved` of weights came."""

    num_texts: int
    bytes_moved: int


@dataclass(frozen=True)
class SteppedDown:
    """A phase ran out of memory and goes on with a smaller plan; `reason` is a sentence."""

    phase: Phase
    plan: Plan
    reason: str


@dataclass(frozen=True)
class StepDone:
    """`step` of `num_steps` is done (1-based); `preview` is a small picture every few steps."""

    index: int
    step: int
    num_steps: int
    preview: Image.Image | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LatentsReady:
    """A picture is denoised: `latents` is `[1, 4, height / 8, width / 8]`, exact (bf16 ones widened to fp32).

    `kernels` are those of its facts; a run that is given the latents cannot know them.
    """

    index: int
    latents: LatentArray = field(compare=False)
    kernels: dict[str, str] = field(compare=False, default_factory=dict)


@dataclass(frozen=True)
class ImageReady:
    """A picture at its final size, with everything that was measured and what is needed to make it again.

    `facts` holds the plan, measurements, versions, device, kernels and component hashes as JSON values.
    """

    index: int
    image: Image.Image = field(compare=False)
    facts: dict[str, Any] = field(compare=False)


@dataclass(frozen=True)
class ImageFailed:
    """One picture cannot be made; the others go on. `message` is one sentence."""

    index: int
    message: str
    is_cancelled: bool = False
    is_out_of_memory: bool = False


Event = (
    Planned
    | WeightsPrepared
    | PhaseStarted
    | PhaseFinished
    | EncodedAhead
    | SteppedDown
    | StepDone
    | LatentsReady
    | ImageReady
    | ImageFailed
)
