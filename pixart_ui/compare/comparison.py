"""A whole comparison as values: what was asked, where it ran, and what came of every run.

This is what `report.json` holds, so a field says its unit and nothing here is a number that JSON lacks: an infinite
figure (identical pictures) is the string "Infinity". A run that is not there yet has no entry in `results`. Names of
pictures are relative and lie in `images/`; a name that points elsewhere is refused. No torch, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.sweep import Cell, Role, Sweep, label_of
from pixart_ui.errors import InputError
from pixart_ui.request import ResolvedRequest

FORMAT: Final = 1
IMAGES = "images"
MAX_NAME_CHARS = 120
_IMAGE_NAME = re.compile(rf"{IMAGES}/[A-Za-z0-9_-][A-Za-z0-9._-]{{0,127}}", re.ASCII)

MemoryKind = Literal["reserved", "allocated", "weights"]
TimelineKind = Literal["reserved", "allocated", "device", "rss"]


def _inside(name: str) -> str:
    """A picture's name. Raises InputError where it could point outside the report's folder."""
    if _IMAGE_NAME.fullmatch(name) is None:
        raise InputError(
            f"The report names the picture {name[:60]!r}, which is not a file in its own {IMAGES}/: "
            "choose a report that this app wrote, unchanged."
        )
    return name


ImageName = Annotated[str, AfterValidator(_inside)]
Bytes = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Frozen, nothing unknown in it, and infinity as a string in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class State(StrEnum):
    """What came of a run. All are results; only `done` has a picture."""

    DONE = "done"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    OUT_OF_MEMORY = "out-of-memory"


class PhaseFigures(Record):
    """What a phase took; `seconds` includes `load_seconds`.

    On a GPU: torch's peaks of allocated and reserved bytes, and what the driver counts on the whole device. On a CPU
    these are None, `weight_bytes` is what the phase's component takes, `peak_rss_bytes` the worker's largest resident
    set so far. Moved and weight bytes are None where nobody counted them. `is_cached` says that nothing had to be
    computed.
    """

    name: str
    seconds: Seconds
    load_seconds: Seconds = 0.0
    bytes_moved: Bytes | None = 0
    weight_bytes: Bytes | None = 0
    peak_allocated_bytes: Bytes | None = None
    peak_reserved_bytes: Bytes | None = None
    device_used_bytes: Bytes | None = None
    peak_rss_bytes: Bytes | None = None
    is_cached: bool = False

    @property
    def compute_seconds(self) -> float:
        return max(0.0, self.seconds - self.load_seconds)


class Band(Record):
    """A phase on the timeline, in seconds from the run's start."""

    name: str
    start_seconds: Seconds
    end_seconds: Seconds


class Timeline(Record):
    """Memory through a run: `held_bytes[i]` at `at_seconds[i]` from its start, of the named kind."""

    kind: TimelineKind
    at_seconds: tuple[Seconds, ...]
    held_bytes: tuple[Bytes, ...]
    bands: tuple[Band, ...] = ()

    @model_validator(mode="after")
    def _is_one_line(self) -> Self:
        if len(self.at_seconds) != len(self.held_bytes) or list(self.at_seconds) != sorted(self.at_seconds):
            raise ValueError("has a number of bytes for each moment, in their order")
        return self


class Baseline(Record):
    """What the device held before a run and after it; `is_kept` says that the run left nothing behind."""

    before_bytes: Bytes
    after_bytes: Bytes
    is_kept: bool


class EmbeddingError(Record):
    """How far a prompt's embedding is from the reference's, over its real tokens only.

    `cosine` is the mean over tokens, `relative_l2` that of all of them together; the worst token is the one with the
    lowest cosine, as text.
    """

    cosine: float
    relative_l2: float
    worst_token: str
    worst_cosine: float
    num_tokens: int


class Quality(Record):
    """How far a picture is from its reference. Identical: 0 levels, infinite PSNR, SSIM 1.

    `rms_levels` is the root of the mean squared difference of all channels, in levels of 255.
    """

    rms_levels: float
    psnr_db: float
    ssim: float
    latent_relative_l2: float | None = None
    embedding: EmbeddingError | None = None

    @property
    def is_identical(self) -> bool:
        return self.rms_levels == 0


@dataclass(frozen=True)
class Memory:
    """The figure that stands for a run: its peak on a GPU, its weights' bytes on a CPU."""

    bytes: int
    kind: MemoryKind


class Result(Record):
    """One run, whatever came of it. `reason` is a sentence where there is no picture, or no quality.

    `pixels_sha256` is of the picture's pixels, since its file also holds times. `was_warm` says whether the weights'
    files were in the page cache. `notes` are sentences of the engine, such as that it went on with a smaller plan.
    """

    key: str
    role: Role
    prompt_index: int
    values: Mapping[AxisName, str]
    strategy: str
    reference: str
    state: State
    reason: str | None = None
    request: ResolvedRequest | None = None
    image: ImageName | None = None
    heat_map: ImageName | None = None
    pixels_sha256: str | None = None
    phases: tuple[PhaseFigures, ...] = ()
    component_bytes: Mapping[str, Bytes] = {}
    peak_rss_bytes: Bytes | None = None
    predicted_peak_bytes: Bytes | None = None
    predicted_seconds: Seconds | None = None
    timeline: Timeline | None = None
    baseline: Baseline | None = None
    was_warm: bool | None = None
    has_random_weights: bool = False
    quality: Quality | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cell: Cell, state: State, **rest: Any) -> Result:
        """The result of a sweep's cell."""
        return cls(
            key=cell.key,
            role=cell.role,
            prompt_index=cell.prompt_index,
            values=cell.values,
            strategy=cell.strategy,
            reference=cell.reference,
            state=state,
            **rest,
        )

    @property
    def label(self) -> str:
        return label_of(self.values, self.role)

    @property
    def is_done(self) -> bool:
        return self.state is State.DONE

    @property
    def is_reference(self) -> bool:
        return self.key == self.reference

    @property
    def seconds(self) -> float | None:
        return sum(phase.seconds for phase in self.phases) if self.phases else None

    @property
    def load_seconds(self) -> float | None:
        return sum(phase.load_seconds for phase in self.phases) if self.phases else None

    @property
    def bytes_moved(self) -> int | None:
        """None where nobody counted them."""
        counts = [phase.bytes_moved for phase in self.phases if phase.bytes_moved is not None]
        return sum(counts) if counts else None

    @property
    def memory(self) -> Memory | None:
        """Torch's peak of reserved bytes, else of allocated ones; on a CPU the bytes of all weights together."""
        reserved = [phase.peak_reserved_bytes for phase in self.phases if phase.peak_reserved_bytes is not None]
        allocated = [phase.peak_allocated_bytes for phase in self.phases if phase.peak_allocated_bytes is not None]
        if reserved:
            return Memory(max(reserved), "reserved")
        if allocated:
            return Memory(max(allocated), "allocated")
        return Memory(sum(self.component_bytes.values()), "weights") if self.component_bytes else None


class Device(Record):
    """Where it ran. `budget_bytes` is what tensors may use, None for what is free; on a CPU there is none."""

    name: str
    type: str
    total_bytes: Bytes | None = None
    budget_bytes: Bytes | None = None
    context_bytes: Bytes | None = None
    driver: str | None = None
    system: str | None = None


class Comparison(Record):
    """Everything about a comparison, and everything that is needed to repeat it.

    `components` holds the hashes of the weights by checkpoint and component. `heat_scale_levels` is the difference,
    in levels of 255, that the heat maps show at their brightest.
    """

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    created: AwareDatetime
    sweep: Sweep
    device: Device
    versions: Mapping[str, str]
    components: Mapping[str, Mapping[str, str]] = {}
    results: tuple[Result, ...] = ()
    heat_scale_levels: int | None = None

    @model_validator(mode="after")
    def _results_are_of_the_sweep(self) -> Self:
        axes = {axis.name for axis in self.sweep.axes}
        keys = [result.key for result in self.results]
        if len(set(keys)) != len(keys):
            raise ValueError("has each run once")
        for result in self.results:
            if set(result.values) != axes or not 0 <= result.prompt_index < len(self.sweep.prompts):
                raise ValueError(f"has only runs of its sweep, and {result.key[:40]!r} is none")
        return self

    @property
    def has_quality(self) -> bool:
        """Whether quality says anything: with random weights pictures are noise."""
        return not any(result.has_random_weights for result in self.results)

    @property
    def by_key(self) -> dict[str, Result]:
        return {result.key: result for result in self.results}

    @property
    def missing(self) -> tuple[Cell, ...]:
        """The runs that are still to be made."""
        known = self.by_key
        return tuple(cell for cell in self.sweep.cells() if cell.key not in known)

    def prompt(self, result: Result) -> str:
        return self.sweep.prompts[result.prompt_index]
