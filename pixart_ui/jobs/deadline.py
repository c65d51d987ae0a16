"""How long a worker may take before it counts as hung: what the plan predicts, several times over. Pure.

It is for what no broken connection tells of, such as a call to the GPU that never returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pixart_ui.events import Event, Phase, PhaseStarted, Plan, Planned, StepDone, SteppedDown, WeightsPrepared

FACTOR = 10.0
SPARE_SECONDS = 60.0
# Before there is a plan, files are looked for and hashed; between two reports weights are brought into their form.
UNPLANNED_SECONDS = 900.0
# Blocks are compiled in the middle of the first step, which no plan predicts.
COMPILING_SECONDS = 900.0


class Deadline:
    """Of one run: `see` each event, ask `has_passed` in between."""

    def __init__(self, now: Callable[[], float] = time.monotonic, *, is_compiled: bool = False) -> None:
        self._now = now
        self._spare_seconds = COMPILING_SECONDS if is_compiled else SPARE_SECONDS
        self._plan: Plan | None = None
        self._phase: Phase | None = None
        self._seconds = UNPLANNED_SECONDS
        self._since = now()

    def see(self, event: Event) -> None:
        match event:
            case Planned(plan=plan) | SteppedDown(plan=plan):
                self._plan = plan
            case PhaseStarted(phase=phase):
                self._phase = phase
            case StepDone():
                return  # steps that come are no reason to wait longer for the last one
        self._seconds = self._allowed(event)
        self._since = self._now()

    def has_passed(self) -> bool:
        return self._now() - self._since > self._seconds

    def begin_anew(self) -> None:
        """Wait as long again from now."""
        self._since = self._now()

    @property
    def seconds(self) -> float:
        """How long what it is at now may take."""
        return self._seconds

    @property
    def where(self) -> str:
        """What it is at, in words."""
        return "before it drew anything" if self._phase is None else f"in the phase {self._phase}"

    def _allowed(self, event: Event) -> float:
        """For what comes now. The prediction is for the whole group, so it is enough for each picture of it."""
        if self._plan is None or self._phase is None or isinstance(event, WeightsPrepared):
            return UNPLANNED_SECONDS
        predicted = sum(entry.predicted_seconds for entry in self._plan.phases if entry.phase is self._phase)
        return self._spare_seconds + FACTOR * predicted
