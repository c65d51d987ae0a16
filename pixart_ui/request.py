"""What a person asked for, and what that resolves to.

`GenerationRequest` is the question: frozen, everything optional except the prompt. `ResolvedRequest` is the same with
every default filled in once, one value per picture; the picture depends on it, the device and the versions alone.
`resolve` is the only function between them. Form, command line, files and API all build a `GenerationRequest` through
`GenerationRequest.parse`, so that a wrong value gets the same sentence everywhere.

This module knows no torch, no disk and no owner.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pixart_ui import bins
from pixart_ui.bins import Size
from pixart_ui.errors import InputError, unknown_name

if TYPE_CHECKING:
    from pixart_ui.catalog import Checkpoint
    from pixart_ui.presets import Style

MAX_PROMPT_CHARS = 10_000
MAX_SEED = 2**64 - 1
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
MAX_IMAGES = 64
MIN_SIDE, MAX_SIDE = 64, 4096


class Precision(StrEnum):
    """How the text encoder's numbers are stored."""

    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    NF4 = "nf4"
    FP4 = "fp4"


class TransformerPrecision(StrEnum):
    """How the transformer's numbers are stored; those below 16 bits are made by the libraries as they load it."""

    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"
    NF4 = "nf4"

    @property
    def is_16_bit(self) -> bool:
        """Whether it is stored as it is computed with, so that its blocks can be streamed."""
        return self in (TransformerPrecision.FP16, TransformerPrecision.BF16)


class Numerics(StrEnum):
    """`exact`: latents equal stock diffusers bit for bit. `fast`: padding trimmed, kernels chosen for the device."""

    EXACT = "exact"
    FAST = "fast"


class Scheduler(StrEnum):
    """The samplers on offer; `engine/schedulers.py` maps them to diffusers' classes."""

    DPM_SOLVER = "dpm++"
    SA_SOLVER = "sa-solver"
    UNIPC = "unipc"
    EULER = "euler"
    DDIM = "ddim"
    LCM = "lcm"
    DDPM = "ddpm"


# They keep no prediction of the finished picture, which α's pipeline takes in its only step.
MULTISTEP = frozenset({Scheduler.DPM_SOLVER, Scheduler.SA_SOLVER, Scheduler.UNIPC})

# One line a field: what a person calls it, the rule it must keep, and what to do.
_RULES: dict[str, tuple[str, str, str]] = {
    "steps": ("Steps", f"a whole number from 1 to {MAX_STEPS}", "try 20"),
    "guidance_scale": ("Guidance", f"a number from 0 to {MAX_GUIDANCE:g}", "try 4.5"),
    "seed": ("Seed", f"a whole number from 0 to {MAX_SEED}", "leave it out for a random one"),
    "num_images": ("Number of images", f"a whole number from 1 to {MAX_IMAGES}", "try 1"),
    "width": ("Width", f"a whole number of pixels from {MIN_SIDE} to {MAX_SIDE}", "try 1024"),
    "height": ("Height", f"a whole number of pixels from {MIN_SIDE} to {MAX_SIDE}", "try 1024"),
    "precision": ("Precision", f"one of {', '.join(Precision)}", "try fp16"),
    "transformer_precision": (
        "Transformer precision",
        f"one of {', '.join(TransformerPrecision)}",
        "leave it out for the usual one",
    ),
    "compile_blocks": ("Compile", "true or false", "try false"),
    "numerics": ("Numerics", f"one of {', '.join(Numerics)}", "try fast"),
    "scheduler": ("Scheduler", f"one of {', '.join(Scheduler)}", "leave it out for the checkpoint's own"),
    "prompt": ("Prompt", "text", "write what the picture should show"),
    "negative_prompt": ("Negative prompt", "text", "write what the picture should not show"),
    "style": ("Style", "the name of a style", "leave it out for none"),
    "checkpoint": ("Checkpoint", "the name of a checkpoint or a folder", "see `python -m pixart_ui models list`"),
}

_SIZE = re.compile(r"(\d{1,6})\s*[x×*]\s*(\d{1,6})", re.ASCII)
# Unicode's control characters but for line ends and tabs, and halves of characters.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _no_truth(value: object) -> object:
    """`true` is a number to Python and not to people."""
    if isinstance(value, bool):
        raise PydanticCustomError("truth_for_number", "true or false is not a number")
    return value


_Number = BeforeValidator(_no_truth)
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE), _Number]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS), _Number]
GuidanceScale = Annotated[float, Field(ge=0, le=MAX_GUIDANCE, allow_inf_nan=False), _Number]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED), _Number]


def _checked_text(text: str, label: str, max_chars: int = MAX_PROMPT_CHARS) -> str:
    """`text` with its ends stripped; refuses control characters and more than `max_chars`."""
    if len(text) > max_chars:
        raise ValueError(
            f"{label} has {len(text):,} characters, at most {max_chars:,} are allowed: "
            "shorten it (T5 reads the first 120 or 300 tokens only)."
        )
    if (control := _CONTROL.search(text)) is not None:
        raise ValueError(
            f"{label} contains the control character U+{ord(control[0]):04X} at position {control.start() + 1}: "
            "only printable text is allowed; remove it."
        )
    return text.strip()


class GenerationRequest(BaseModel):
    """What a person asked for. None means: the default of the checkpoint, the style or the device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    negative_prompt: str | None = None
    style: str | None = None
    checkpoint: str | None = None
    precision: Precision | None = None
    transformer_precision: TransformerPrecision | None = None
    numerics: Numerics | None = None
    compile_blocks: bool | None = None
    width: Side | None = None
    height: Side | None = None
    steps: Steps | None = None
    guidance_scale: GuidanceScale | None = None
    scheduler: Scheduler | None = None
    seed: Seed | None = None
    num_images: Annotated[int, Field(ge=1, le=MAX_IMAGES), _Number] = 1

    @field_validator("prompt")
    @classmethod
    def _prompt_says_something(cls, text: str) -> str:
        text = _checked_text(text, "Prompt")
        if not text:
            raise ValueError("The prompt is empty, it must say something: write what the picture should show.")
        return text

    @field_validator("negative_prompt")
    @classmethod
    def _negative_is_text(cls, text: str | None) -> str | None:
        return None if text is None else _checked_text(text, "Negative prompt")

    @model_validator(mode="after")
    def _seeds_fit(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("Width and height must be given together: write both, for example 1024x1024, or neither.")
        if self.seed is not None and self.seed + self.num_images - 1 > MAX_SEED:
            raise ValueError(
                f"Seed {self.seed} with {self.num_images} images runs past the largest seed {MAX_SEED}: "
                "choose a smaller seed or fewer images."
            )
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> GenerationRequest:
        """Validate what a form, a command line or a file holds. Raises InputError with one sentence."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _one_sentence(error, cls) from None


class ResolvedRequest(BaseModel):
    """One picture, completely described. Sizes in pixels; `bin_*` is the size that the transformer works at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    negative_prompt: str
    style: str | None
    full_prompt: str
    full_negative_prompt: str
    checkpoint: str
    family: str
    precision: Precision
    transformer_precision: TransformerPrecision
    numerics: Numerics
    compile_blocks: bool = False  # pictures and jobs from before it was a choice do not name it
    width: Side
    height: Side
    bin_width: Side
    bin_height: Side
    steps: Steps
    guidance_scale: GuidanceScale
    scheduler: Scheduler
    seed: Seed
    timesteps: tuple[int, ...] | None
    max_tokens: int
    clean_caption: bool

    @model_validator(mode="before")
    @classmethod
    def _older_ones_have_the_usual_transformer(cls, values: Any) -> Any:
        """Pictures and jobs from before the transformer's precision was a choice do not name it."""
        if not isinstance(values, Mapping) or "transformer_precision" in values:
            return values
        return {**values, "transformer_precision": usual_transformer_precision(values.get("precision"))}

    @field_validator("prompt", "negative_prompt", "full_prompt", "full_negative_prompt")
    @classmethod
    def _texts_are_text(cls, text: str) -> str:
        return _checked_text(text, "Prompt", 2 * MAX_PROMPT_CHARS)

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def bin(self) -> Size:
        return Size(self.bin_width, self.bin_height)

    @property
    def is_transformer_usual(self) -> bool:
        """Whether the transformer has the precision that it has where nobody asks for one."""
        return self.transformer_precision is usual_transformer_precision(self.precision)

    @property
    def is_guided(self) -> bool:
        """Whether the denoiser runs a batch of two; the pipelines do so for a guidance scale above 1."""
        return self.guidance_scale > 1.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> ResolvedRequest:
        """Read one back from a picture or the journal. Raises InputError with one sentence."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _one_sentence(error, cls) from None


def usual_transformer_precision(precision: object) -> TransformerPrecision:
    """The transformer's beside a text encoder of that precision: both bf16, or else fp16."""
    return TransformerPrecision.BF16 if precision == Precision.BF16 else TransformerPrecision.FP16


def resolve(
    request: GenerationRequest,
    checkpoint: Checkpoint,
    style: Style | None,
    *,
    random_seed: int,
) -> tuple[ResolvedRequest, ...]:
    """Fill in every default once; one resolved request for each image, with seeds seed … seed + N - 1.

    `random_seed` is used when the request names none. Raises InputError where the checkpoint cannot do what was asked.
    """
    size = _final_size(request, checkpoint)
    working = bins.nearest(size, checkpoint.sample_size)
    scheduler = _scheduler(request, checkpoint)
    prompt = style.apply(request.prompt) if style is not None else request.prompt
    negative = request.negative_prompt if request.negative_prompt is not None else ""
    seed = request.seed if request.seed is not None else random_seed
    timesteps = checkpoint.timesteps
    precision = request.precision if request.precision is not None else Precision.FP16
    transformer = request.transformer_precision
    first = ResolvedRequest(
        prompt=request.prompt,
        negative_prompt=negative,
        style=style.name if style is not None else None,
        full_prompt=prompt,
        full_negative_prompt=style.apply_negative(negative) if style is not None else negative,
        checkpoint=checkpoint.name,
        family=checkpoint.family,
        precision=precision,
        transformer_precision=transformer if transformer is not None else usual_transformer_precision(precision),
        numerics=request.numerics if request.numerics is not None else Numerics.FAST,
        compile_blocks=request.compile_blocks if request.compile_blocks is not None else False,
        width=size.width,
        height=size.height,
        bin_width=working.width,
        bin_height=working.height,
        steps=_steps(request, checkpoint),
        guidance_scale=_guidance_scale(request, checkpoint),
        scheduler=scheduler,
        seed=seed,
        timesteps=timesteps,
        max_tokens=checkpoint.max_tokens,
        clean_caption=True,
    )
    _check_compiling(first)
    return tuple(first.model_copy(update={"seed": seed + index}) for index in range(request.num_images))


def confirm(request: ResolvedRequest, checkpoint: Checkpoint) -> None:
    """Refuse a resolved request that the checkpoint could not have come to, such as one from an edited picture."""
    facts = {
        "family": (request.family, checkpoint.family),
        "max_tokens": (request.max_tokens, checkpoint.max_tokens),
        "timesteps": (request.timesteps, checkpoint.timesteps),
        "working size": (request.bin, bins.nearest(request.size, checkpoint.sample_size)),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise InputError(
                f"The settings say {name} {_shown(found)}, {Path(checkpoint.name).name} has {expected}: "
                "choose a picture that this app made, unchanged."
            )
    if request.scheduler not in checkpoint.schedulers:
        raise _wrong_scheduler(request.scheduler, checkpoint)
    _check_single_step(request.steps, request.scheduler, checkpoint)
    _check_compiling(request)


def _final_size(request: GenerationRequest, checkpoint: Checkpoint) -> Size:
    if request.width is None or request.height is None:
        return checkpoint.default_size
    size = Size(request.width, request.height)
    longest = bins.longest_side(checkpoint.sample_size)
    if max(size) > longest:
        raise InputError(
            f"Size {size} is too large for {checkpoint.name}, whose longest side is {longest} pixels: "
            f"choose a smaller size, for example {checkpoint.default_size}.",
            "width",
        )
    if not 1 / 4.2 <= size.height / size.width <= 4.2:
        widest = bins.sizes(checkpoint.sample_size)[0]
        raise InputError(
            f"Size {size} is too narrow, the sides may differ at most 4 times: choose for example {widest}.",
            "width",
        )
    return size


def _scheduler(request: GenerationRequest, checkpoint: Checkpoint) -> Scheduler:
    if request.scheduler is None:
        return checkpoint.default_scheduler
    if request.scheduler not in checkpoint.schedulers:
        raise _wrong_scheduler(request.scheduler, checkpoint)
    return request.scheduler


def _wrong_scheduler(scheduler: Scheduler, checkpoint: Checkpoint) -> InputError:
    return InputError(
        f"Scheduler {scheduler} does not work with {Path(checkpoint.name).name}: "
        f"choose {' or '.join(checkpoint.schedulers)}.",
        "scheduler",
    )


def _steps(request: GenerationRequest, checkpoint: Checkpoint) -> int:
    steps = request.steps if request.steps is not None else checkpoint.default_steps
    if checkpoint.timesteps is not None and steps != len(checkpoint.timesteps):
        raise InputError(
            f"Steps {steps} do not work with {checkpoint.name}, which was distilled to "
            f"{len(checkpoint.timesteps)} step: set steps to {len(checkpoint.timesteps)}.",
            "steps",
        )
    _check_single_step(steps, _scheduler(request, checkpoint), checkpoint)
    return steps


def _check_single_step(steps: int, scheduler: Scheduler, checkpoint: Checkpoint) -> None:
    if steps == 1 and checkpoint.family == "alpha" and scheduler in MULTISTEP:
        raise InputError(
            f"Steps 1 do not work with {scheduler}, which needs two or more on PixArt-α: "
            "set steps to 2, or choose ddim.",
            "steps",
        )


def _check_compiling(request: ResolvedRequest) -> None:
    if request.compile_blocks and request.numerics is Numerics.EXACT:
        raise InputError(
            "Compiled blocks do not work with exact numerics, which keep to the stock pipeline's own kernels: "
            "choose fast numerics, or leave compiling off.",
            "compile_blocks",
        )
    if request.compile_blocks and not request.transformer_precision.is_16_bit:
        raise InputError(
            f"Compiled blocks do not work with transformer precision {request.transformer_precision}, "
            "they need 16 bits: choose fp16 or bf16, or leave compiling off.",
            "compile_blocks",
        )


def _guidance_scale(request: GenerationRequest, checkpoint: Checkpoint) -> float:
    if request.guidance_scale is None:
        return checkpoint.default_guidance
    if not checkpoint.has_guidance and request.guidance_scale > 1:
        raise InputError(
            f"Guidance {request.guidance_scale:g} does not work with {checkpoint.name}, "
            "which was distilled to run without: set guidance to 0.",
            "guidance_scale",
        )
    return request.guidance_scale


def parse_size(text: str) -> Size:
    """Read `1024x768` (also with × or *). Raises InputError."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise InputError(f"Size {_shown(text)} is not a width and a height: write it like 1024x768.", "width")
    return Size(int(match[1]), int(match[2]))


def _one_sentence(error: ValidationError, model: type[BaseModel]) -> InputError:
    """The first thing that is wrong, as value, rule and remedy; a misspelt name comes before what it leaves missing."""
    errors = error.errors(include_url=False)
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    field = str(first["loc"][0]) if first["loc"] else None
    if first["type"] == "value_error":
        return InputError(str(first["ctx"]["error"]), field)
    if first["type"] == "extra_forbidden" and field is not None:
        return unknown_name("setting", field, model.model_fields)
    if field not in _RULES:
        return InputError(f"{field}: {_shown(first['input'])} is not allowed here ({first['msg']}).", field)
    label, rule, remedy = _RULES[field]
    if first["type"] == "missing":
        return InputError(f"{label} is missing, it must be {rule}: {remedy}.", field)
    return InputError(f"{label} {_shown(first['input'])} is not {rule}: {remedy}.", field)


def _shown(value: object) -> str:
    """A value as it may stand in a sentence: short, and never an exception."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
