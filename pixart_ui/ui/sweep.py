"""What is in the form, once or for several values of one setting: a draft of requests. Pure, no Gradio.

The values are checked by the validator of every request, so that a wrong one gets the same sentence as in the form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pixart_ui.batches import Draft
from pixart_ui.errors import InputError
from pixart_ui.request import GenerationRequest
from pixart_ui.ui import words

MAX_VALUES = 1000
FORM = "form"
_RANGE = re.compile(r"(\d{1,20})\s*(?:-|–|\.\.)\s*(\d{1,20})", re.ASCII)


class Vary(StrEnum):
    """The setting that a sweep varies, by the request's field; `NOTHING` is one job."""

    NOTHING = ""
    SEED = "seed"
    STEPS = "steps"
    GUIDANCE = "guidance_scale"
    SCHEDULER = "scheduler"
    PRECISION = "precision"


@dataclass(frozen=True)
class Sweep:
    """`values` is what a person writes: `10, 20, 30`, or `1-8` for whole numbers; each gets `num_each` seeds."""

    vary: Vary
    values: str
    num_each: object


def sweep(base: GenerationRequest, asked: Sweep, random_seed: int) -> Draft:
    """One request for each value. Raises InputError.

    All have the same seeds, `random_seed` where the form names none: else nobody could compare them.
    """
    given = base.model_dump(exclude_none=True) | {"num_images": asked.num_each}
    if asked.vary is Vary.NOTHING:
        return _draft([GenerationRequest.parse(given)])
    if asked.vary is not Vary.SEED:
        given.setdefault("seed", random_seed)
    values = values_of(asked.values, str(asked.vary))
    return _draft([GenerationRequest.parse(given | {str(asked.vary): value}) for value in values])


def values_of(text: str, field: str) -> list[str]:
    """The values that a text lists. Raises InputError where there is none, or too many.

    >>> values_of("10, 20–22", "steps")
    ['10', '20', '21', '22']
    """
    found: list[str] = []
    for part in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        ends = _RANGE.fullmatch(part)
        first, last = (int(ends[1]), int(ends[2])) if ends is not None else (0, 0)
        if abs(last - first) >= MAX_VALUES or len(found) >= MAX_VALUES:
            raise InputError(words.TOO_MANY_VALUES.format(count=f"{MAX_VALUES:,}"), field)
        down = -1 if last < first else 1
        found += [part] if ends is None else [str(number) for number in range(first, last + down, down)]
    if not found:
        raise InputError(words.NO_VALUES, field)
    return found


def _draft(requests: list[GenerationRequest]) -> Draft:
    return Draft(FORM, tuple(requests), (), (), tuple(range(1, len(requests) + 1)))
