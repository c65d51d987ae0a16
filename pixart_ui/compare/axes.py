"""What a comparison can vary: named axes, and values in the one spelling that keys, reports and labels use.

A value is text here; what it must be is the request's own rule, so a wrong one gets the request's sentence. Which
checkpoints and styles there are, this module does not know: the services say so when a run is resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from pydantic import ConfigDict

from pixart_ui.compare import strategies
from pixart_ui.errors import InputError, unknown_name
from pixart_ui.request import GenerationRequest, parse_size

# Any axis longer than that has more runs than a comparison may.
MAX_SHOWN = 40


class AxisName(StrEnum):
    """What can vary. The precision is the text encoder's."""

    PRECISION = "precision"
    TRANSFORMER_PRECISION = "transformer-precision"
    STRATEGY = "strategy"
    NUMERICS = "numerics"
    SCHEDULER = "scheduler"
    STEPS = "steps"
    GUIDANCE = "guidance"
    SIZE = "size"
    CHECKPOINT = "checkpoint"
    SEED = "seed"


# The request's field behind an axis; size has two, a strategy is no part of the request.
_FIELDS: Mapping[AxisName, str] = {
    AxisName.PRECISION: "precision",
    AxisName.TRANSFORMER_PRECISION: "transformer_precision",
    AxisName.NUMERICS: "numerics",
    AxisName.SCHEDULER: "scheduler",
    AxisName.STEPS: "steps",
    AxisName.GUIDANCE: "guidance_scale",
    AxisName.CHECKPOINT: "checkpoint",
    AxisName.SEED: "seed",
}
_LABELS: Mapping[AxisName, str] = {
    AxisName.TRANSFORMER_PRECISION: "{} transformer",
    AxisName.NUMERICS: "{} numerics",
    AxisName.STEPS: "{} steps",
    AxisName.GUIDANCE: "guidance {}",
    AxisName.SEED: "seed {}",
}
_EXAMPLES: Mapping[AxisName, str] = {
    AxisName.PRECISION: "fp16,int8,nf4,fp4",
    AxisName.TRANSFORMER_PRECISION: "fp16,int8,nf4",
    AxisName.STRATEGY: "resident,staged,ours@2GiB",
    AxisName.NUMERICS: "exact,fast",
    AxisName.SCHEDULER: "dpm++,euler",
    AxisName.STEPS: "20,10",
    AxisName.GUIDANCE: "4.5,2",
    AxisName.SIZE: "1024x1024,512x512",
    AxisName.CHECKPOINT: "sigma-1024,alpha-1024",
    AxisName.SEED: "0,1,2",
}


@dataclass(frozen=True)
class Axis:
    """One thing that varies, and its values in their order; the first is what the others are measured against."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: AxisName
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        name = _known(self.name)
        object.__setattr__(self, "name", name)
        if not self.values:
            raise InputError(f"Axis {name} has no values, it must have one or more: write {_example(name)}.", "axis")
        object.__setattr__(self, "values", tuple(_unrepeated(name, self.values)))

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.values)}"


def parse_axis(text: str) -> Axis:
    """Read `precision=fp16,int8,nf4`. Raises InputError with one sentence."""
    name, _, values = text.partition("=")
    return Axis(_known(name.strip()), tuple(values.split(",")) if values.strip() else ())


def canonical(name: AxisName, text: str) -> str:
    """The one spelling of a value: `8.0` steps are `8`. Raises InputError where it cannot be one."""
    text = text.strip()
    if not text:
        raise InputError(f"Axis {name} has an empty value, each must say something: write {_example(name)}.", "axis")
    if name is AxisName.STRATEGY:
        return strategies.parse(text).name
    values = changes(name, text)
    found = getattr(GenerationRequest.parse({"prompt": "-"} | values), next(iter(values)))
    if name is AxisName.SIZE:
        return f"{values['width']}x{values['height']}"
    if isinstance(found, Enum):
        return str(found.value)
    return repr(found).removesuffix(".0") if isinstance(found, float) else str(found)


def changes(name: AxisName, value: str) -> dict[str, Any]:
    """What a value puts into a request; nothing for a strategy. Raises InputError for a size that is none."""
    if name is AxisName.SIZE:
        width, height = parse_size(value)
        return {"width": width, "height": height}
    return {} if name is AxisName.STRATEGY else {_FIELDS[name]: value}


def label(name: AxisName, value: str) -> str:
    """A value as it stands over a column: `8-bit`, `20 steps`, `256×256`."""
    if name is AxisName.PRECISION:
        return "8-bit" if value == "int8" else value
    if name is AxisName.STRATEGY:
        return value.replace(strategies.THEIRS, "diffusers ").replace("GiB", " GiB").replace("@", " in ")
    if name is AxisName.SIZE:
        return value.replace("x", "×")
    if name is AxisName.CHECKPOINT:
        return value.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if name is AxisName.STEPS and value == "1":
        return "1 step"
    return _LABELS[name].format(value) if name in _LABELS else value


def _known(name: str) -> AxisName:
    names = [axis.value for axis in AxisName]
    if name not in names:
        raise unknown_name("axis", name, names, "axis")
    return AxisName(name)


def _unrepeated(name: AxisName, values: tuple[str, ...]) -> Iterator[str]:
    seen: set[str] = set()
    for text in values:
        value = canonical(name, text)
        if value in seen:
            shown = value if len(value) <= MAX_SHOWN else value[: MAX_SHOWN - 1] + "…"
            raise InputError(f"Axis {name} has {shown} twice, each value runs once: leave one of them out.", "axis")
        seen.add(value)
        yield value


def _example(name: AxisName) -> str:
    return f"it like {name}={_EXAMPLES[name]}"
