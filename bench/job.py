"""What one measurement is asked for. No torch: the runner uses it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GUIDANCE_SCALE = 4.5
NEGATIVE_PROMPT = ""
OURS, EXACT = "ours", "ours-exact"
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
    in the same process. `calibration` is what was measured before, at other sizes.
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

    @property
    def is_ours(self) -> bool:
        return is_ours(self.strategy)

    @property
    def budget(self) -> str:
        """Of a strategy of ours, such as `2GiB`."""
        return self.strategy.partition("@")[2]

    @property
    def is_exact(self) -> bool:
        return self.strategy.partition("@")[0] == EXACT

    def prompts(self, group: int = 0) -> tuple[str, ...]:
        """Each picture's own prompt, another one in every group."""
        first = group * self.num_images
        return tuple(_prompt(number) for number in range(first, first + self.num_images))

    def seed(self, index: int) -> int:
        return index


def is_ours(strategy: str) -> bool:
    """Whether it is `ours@2GiB` or the like."""
    return strategy.partition("@")[0] in (OURS, EXACT)


def _prompt(number: int) -> str:
    version, which = divmod(number, len(_PROMPTS))
    return _PROMPTS[which] if version == 0 else f"{_PROMPTS[which]}, version {version + 1}"
