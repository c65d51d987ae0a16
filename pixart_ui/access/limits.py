"""How much somebody may ask for who is not the owner: for each picture, at a time, and by the hour.

Tighter than what the app itself allows; the owner, and whoever works alone, has no limits here. Work is counted in
pixels times steps, which is what a picture's time grows with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pixart_ui.access.viewer import Role, Viewer
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Allowance
from pixart_ui.request import GenerationRequest, ResolvedRequest

SIDE = 1024


@dataclass(frozen=True)
class Limits:
    """`side` bounds width × height as a square's; `open_jobs` wait or run at a time; work is pixels × steps an hour."""

    side: int
    steps: int
    prompt_chars: int
    open_jobs: int
    pictures_an_hour: int

    @property
    def work_an_hour(self) -> float:
        """So many of the largest pictures with the most steps."""
        return float(self.pictures_an_hour * self.side**2 * self.steps)

    @property
    def allowance(self) -> Allowance:
        return Allowance(self.open_jobs, self.work_an_hour)

    def check_asked(self, request: GenerationRequest | ResolvedRequest, checkpoints: Collection[str]) -> None:
        """Before anything is looked up: no folder of this disk, no compiler. Raises InputError."""
        if request.checkpoint is not None and request.checkpoint not in checkpoints:
            raise InputError("A checkpoint here is one of those in the list: choose one of them.", "checkpoint")
        longest = max(len(request.prompt), len(request.negative_prompt or ""))
        if longest > self.prompt_chars:
            raise InputError(
                f"Prompt has {longest:,} characters, at most {self.prompt_chars:,} may be here: shorten it.", "prompt"
            )
        if request.compile_blocks:
            raise InputError("Compiled blocks are for the owner of this app: leave them off.", "compile_blocks")

    def check(self, request: ResolvedRequest) -> None:
        """Raises InputError."""
        if request.width * request.height > self.side**2 or max(request.width, request.height) > 2 * self.side:
            raise InputError(
                f"{request.width}×{request.height} is more than {self.side}×{self.side} pixels, the most here: "
                "choose a smaller size.",
                "width",
            )
        if request.steps > self.steps:
            raise InputError(f"Steps {request.steps} are more than {self.steps}, the most here: try 20.", "steps")


LIMITS: Mapping[Role, Limits] = {
    Role.MEMBER: Limits(side=SIDE, steps=50, prompt_chars=2_000, open_jobs=50, pictures_an_hour=100),
    Role.VISITOR: Limits(side=SIDE, steps=30, prompt_chars=1_000, open_jobs=8, pictures_an_hour=20),
}


def limits_of(viewer: Viewer) -> Limits | None:
    """None for the owner, who has none."""
    return LIMITS.get(viewer.role)
