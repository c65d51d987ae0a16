"""A comparison before it runs: one request, one or two axes, some prompts, and the runs that they come to.

Pure: no torch, no disk, no queue. What must stay true: a cell's key depends on what is drawn and how, and on nothing
else, so that a comparison that was cut off goes on where it was; the same sweep always gives the same cells in the
same order. Whether a checkpoint or a device can do what a cell asks, is found out when the cell is resolved and run.

Every picture is measured against a reference: the first value of each axis, with the same prompt. A second axis of
seeds, sizes or checkpoints changes what is drawn, so there each value has a reference of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pydantic import ConfigDict

from pixart_ui.compare import strategies
from pixart_ui.compare.axes import Axis, AxisName, changes, label, parse_axis
from pixart_ui.errors import InputError
from pixart_ui.request import MAX_SEED, GenerationRequest, Precision

__all__ = ["Axis", "AxisName", "Cell", "Role", "Sweep", "default_sweep", "label", "parse_axis"]

MAX_RUNS = 500
MAX_AXES = 2
# So that two comparisons that name no seed agree.
DEFAULT_SEED = 0
DEFAULT_PRECISIONS = (Precision.FP16, Precision.INT8, Precision.NF4, Precision.FP4)
KEY_CHARS = 16
# Beside another axis, each value of the first of these that is there has a reference of its own.
_SUBJECTS = (AxisName.SEED, AxisName.SIZE, AxisName.CHECKPOINT)
_OWN_PRECISION = (AxisName.PRECISION, AxisName.TRANSFORMER_PRECISION, AxisName.NUMERICS)


class Role(StrEnum):
    """Why a run is made: for itself, or as the noise floor that gives the others a scale."""

    CELL = "cell"
    REPEATED = "repeated"
    OTHER_SEED = "other-seed"


@dataclass(frozen=True)
class Cell:
    """One run: one picture. `values` has an entry for each axis; `reference` is the key of what it is measured against.

    The reference's own `reference` is its own key. Runs of the noise floor have the values of their reference.
    """

    key: str
    role: Role
    prompt_index: int
    values: Mapping[AxisName, str]
    strategy: str
    request: GenerationRequest
    reference: str

    @property
    def is_reference(self) -> bool:
        return self.key == self.reference

    @property
    def label(self) -> str:
        return label_of(self.values, self.role)


@dataclass(frozen=True)
class Sweep:
    """What is compared. Without `prompts` the request's own is the only row; `strategy` holds where no axis says it.

    Raises InputError where that cannot be run, or is more than `MAX_RUNS` runs.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    request: GenerationRequest
    axes: tuple[Axis, ...]
    prompts: tuple[str, ...] = ()
    strategy: str = strategies.DEFAULT
    has_noise_floor: bool = True

    def __post_init__(self) -> None:
        _check_axes(self.axes)
        if self.request.num_images != 1:
            raise InputError(
                f"A comparison draws one picture a run, {self.request.num_images} were asked for: "
                "set images to 1, or compare along seed=0,1,2.",
                "num_images",
            )
        prompts = tuple(prompt.strip() for prompt in self.prompts) or (self.request.prompt,)
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(self, "strategy", strategies.parse(self.strategy).name)
        object.__setattr__(self, "request", _with_seed(self.request))
        _check_runs(self)
        _check_prompts(self)
        _check_strategies(self)

    @property
    def num_columns(self) -> int:
        """How many ways one prompt is drawn, without the noise floor."""
        return math.prod(len(axis.values) for axis in self.axes)

    @property
    def num_runs(self) -> int:
        """All runs, those of the noise floor included."""
        floor = 2 * self._num_references if self.has_noise_floor else 0
        return len(self.prompts) * (self.num_columns + floor)

    @property
    def subject(self) -> AxisName | None:
        """The axis whose values each have a reference of their own; None where all share one."""
        names = [axis.name for axis in self.axes]
        return next((name for name in _SUBJECTS if name in names), None) if len(names) == MAX_AXES else None

    @property
    def _num_references(self) -> int:
        return next((len(axis.values) for axis in self.axes if axis.name is self.subject), 1)

    def cells(self) -> tuple[Cell, ...]:
        """Every run. All prompts of one column follow each other, since they share weights; references come first."""
        return self._cells

    @cached_property
    def _cells(self) -> tuple[Cell, ...]:
        return tuple(itertools.chain.from_iterable(self._column(values) for values in self._columns()))

    def reference_values(self, values: Mapping[AxisName, str]) -> dict[AxisName, str]:
        """What the run with those values is measured against."""
        return {
            axis.name: values[axis.name] if axis.name is self.subject else axis.values[0]
            for axis in self.axes
        }  # fmt: skip

    def _columns(self) -> Iterator[dict[AxisName, str]]:
        names = [axis.name for axis in self.axes]
        columns = [
            dict(zip(names, point, strict=True)) for point in itertools.product(*(axis.values for axis in self.axes))
        ]
        yield from sorted(columns, key=lambda values: values != self.reference_values(values))

    def _column(self, values: dict[AxisName, str]) -> Iterator[Cell]:
        roles = tuple(Role) if self.has_noise_floor and values == self.reference_values(values) else (Role.CELL,)
        for role in roles:
            for index in range(len(self.prompts)):
                yield self._cell(role, index, values)

    def _cell(self, role: Role, prompt_index: int, values: dict[AxisName, str]) -> Cell:
        request = self._request(role, prompt_index, values)
        strategy = values.get(AxisName.STRATEGY, self.strategy)
        wanted = self.reference_values(values)
        reference = _key(
            Role.CELL, self._request(Role.CELL, prompt_index, wanted), wanted.get(AxisName.STRATEGY, self.strategy)
        )
        return Cell(_key(role, request, strategy), role, prompt_index, values, strategy, request, reference)

    def _request(self, role: Role, prompt_index: int, values: Mapping[AxisName, str]) -> GenerationRequest:
        asked = self.request.model_dump(exclude_none=True) | {"prompt": self.prompts[prompt_index]}
        for name, value in values.items():
            asked |= changes(name, value)
        request = GenerationRequest.parse(asked)
        return request if role is not Role.OTHER_SEED else request.model_copy(update={"seed": _other(request.seed)})


def default_sweep(request: GenerationRequest) -> Sweep:
    """fp16 staged, 8-bit T5, nf4 T5, fp4 T5: one prompt, one seed, and the noise floor."""
    return Sweep(request, (Axis(AxisName.PRECISION, DEFAULT_PRECISIONS),))


def label_of(values: Mapping[AxisName, str], role: Role = Role.CELL) -> str:
    """A run's name in few words, such as `nf4 · 20 steps`, or `fp16, another seed`."""
    name = " · ".join(label(axis, value) for axis, value in values.items())
    return name + {Role.CELL: "", Role.REPEATED: ", repeated", Role.OTHER_SEED: ", another seed"}[role]


def _key(role: Role, request: GenerationRequest, strategy: str) -> str:
    document = {"role": role, "strategy": strategy, "request": request.model_dump(mode="json", exclude_none=True)}
    text = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARS]


def _with_seed(request: GenerationRequest) -> GenerationRequest:
    return request if request.seed is not None else request.model_copy(update={"seed": DEFAULT_SEED})


def _other(seed: int | None) -> int:
    seed = seed if seed is not None else DEFAULT_SEED
    return seed + 1 if seed < MAX_SEED else seed - 1


def _check_axes(axes: tuple[Axis, ...]) -> None:
    names = [axis.name for axis in axes]
    if not names:
        raise InputError("A comparison needs an axis: add for example precision=fp16,int8,nf4,fp4.", "axis")
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"Axis {name} is there twice, an axis is given once: put all its values together, "
                f"as in {next(axis for axis in axes if axis.name is name)}.",
                "axis",
            )
    if len(names) > MAX_AXES:
        raise InputError(
            f"A comparison has one axis or two, these are {len(names)} ({', '.join(names)}): leave out {names[-1]}.",
            "axis",
        )


def _check_runs(sweep: Sweep) -> None:
    if sweep.num_runs > MAX_RUNS:
        sizes = "".join(f" × {len(axis.values):,} of {axis.name}" for axis in sweep.axes)
        prompts = f"{len(sweep.prompts):,} prompt{'s' if len(sweep.prompts) > 1 else ''}"
        floor = ", and the noise floor" if sweep.has_noise_floor else ""
        raise InputError(
            f"This comparison has {sweep.num_runs:,} runs ({prompts}{sizes}{floor}), "
            f"at most {MAX_RUNS} are allowed: take fewer values or fewer prompts.",
            "axis",
        )


def _check_prompts(sweep: Sweep) -> None:
    for number, prompt in enumerate(sweep.prompts):
        GenerationRequest.parse({"prompt": prompt})
        if prompt in sweep.prompts[:number]:
            shown = prompt if len(prompt) <= 60 else prompt[:57] + "…"
            raise InputError(f"Prompt {shown!r} is there twice, each is drawn once: leave one of them out.", "prompt")


def _check_strategies(sweep: Sweep) -> None:
    """diffusers' own strategies bring their precision along: another one beside them would say what is not so."""
    axes = {axis.name: axis for axis in sweep.axes}
    named = axes[AxisName.STRATEGY].values if AxisName.STRATEGY in axes else (sweep.strategy,)
    theirs = next((name for name in named if not strategies.parse(name).is_ours), None)
    if theirs is None:
        return
    if beside := next((name for name in _OWN_PRECISION if name in axes), None):
        raise InputError(
            f"Strategy {theirs} brings its own precision and numerics, axis {beside} cannot go with it: "
            f"compare the strategies and {beside} one after the other.",
            "axis",
        )
    precision = sweep.request.precision
    if precision not in (None, Precision.FP16):
        raise InputError(
            f"Strategy {theirs} brings its own precision, {precision} cannot go with it: "
            "leave the precision at fp16, or choose strategies of ours.",
            "precision",
        )
