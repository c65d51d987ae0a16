"""What one measurement is asked for, and how strategies of ours are named. No torch: the runner uses it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui.request import Numerics, Precision

GUIDANCE_SCALE = 4.5
NEGATIVE_PROMPT = ""
# `ours@2GiB` and the like: what stands before the budget says how the pictures are made.
_PICTURES: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours-exact": {"numerics": Numerics.EXACT},
    "ours-compiled": {"compile_blocks": True},
    "ours-int8": {"precision": Precision.INT8},
    "ours-nf4": {"precision": Precision.NF4},
}
OURS, EXACT, COMPILED = "ours", "ours-exact", "ours-compiled"
# Measurements of ours that make no pictures to be compared, or many of many kinds.
OURS_T5, OURS_LEAKS = "ours-t5", "ours-leaks"
STOCK_T5 = "stock-t5"
_PROMPTS = (
    "A small cactus with a happy face in the Sahara desert, soft morning light, long shadows on the sand",
    "Pirate ship trapped in a cosmic maelstrom nebula, rendered in oil, engine of wonder, wide angle",
    "An old lighthouse on a cliff above a stormy sea, seagulls, heavy clouds, a warm light in its window",
    "A red fox asleep in a library, leather armchair, dust in the sunbeams, shelves up to the ceiling",
)


@dataclass(frozen=True)
class CellJob:
    """One strategy, measured once, in a process of its own.

    `out` is an empty folder for the pictures and for what the strategy itself puts on disk. `cap_bytes` is what torch
    may reserve on each GPU. With `num_groups` 2, a strategy of ours makes a second group of other pictures afterwards
    in the same process. `calibration` is what was measured before, at other sizes. With `is_from_disk` the page cache
    holds nothing of the checkpoint when the clock starts; else all of it. `tile` is the side of a peer's decode pieces,
    None for the library's own. `own_prompt`, where there is one, is that of every picture. `is_watched` has a peer's
    memory sampled through the run.
    """

    strategy: str
    checkpoint: Path
    out: Path
    device: str
    size: int = 1024
    steps: int = 20
    num_images: int = 4
    cap_bytes: int | None = None
    num_groups: int = 1
    calibration: Path | None = None
    is_from_disk: bool = False
    tile: int | None = None
    own_prompt: str | None = None
    first_seed: int = 0
    guidance_scale: float = GUIDANCE_SCALE
    is_watched: bool = False

    @property
    def is_ours(self) -> bool:
        return is_ours(self.strategy)

    @property
    def budget(self) -> str | None:
        """Of a strategy of ours, such as `2GiB`; None without one."""
        return self.strategy.partition("@")[2] or None

    @property
    def asked(self) -> dict[str, Any]:
        """What the strategy's name asks of a picture of ours beside the usual."""
        return _PICTURES.get(self.strategy.partition("@")[0], {})

    def prompts(self, group: int = 0) -> tuple[str, ...]:
        """Each picture's own prompt, another one in every group."""
        if self.own_prompt is not None:
            return (self.own_prompt,) * self.num_images
        first = group * self.num_images
        return tuple(prompt(number) for number in range(first, first + self.num_images))

    def seed(self, index: int) -> int:
        return self.first_seed + index


def is_ours(strategy: str) -> bool:
    """Whether it is `ours@2GiB` or the like."""
    return strategy.partition("@")[0] in (*_PICTURES, OURS_T5, OURS_LEAKS)


def makes_pictures(strategy: str) -> bool:
    """Whether its row is the time and memory of one kind of pictures."""
    return strategy.partition("@")[0] not in (OURS_T5, OURS_LEAKS, STOCK_T5)


def prompt(number: int) -> str:
    """A prompt for each number, all different and of about the same length."""
    version, which = divmod(number, len(_PROMPTS))
    return _PROMPTS[which] if version == 0 else f"{_PROMPTS[which]}, version {version + 1}"
