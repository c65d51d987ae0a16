"""What a phase does when memory is short: it begins again with all of the budget, then with less and less at a time.

What is finished stays: embeddings, latents, and every picture before this one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from pixart_ui.byte_size import MIB
from pixart_ui.engine import memory
from pixart_ui.engine.device import Device
from pixart_ui.engine.group import Group
from pixart_ui.engine.planning import Planning
from pixart_ui.errors import OutOfMemory
from pixart_ui.events import Event, Phase, SteppedDown

Result = TypeVar("Result")
# Beginning again takes a second; shorter texts than those that were measured need a little more than in proportion.
SLACK_BYTES = 96 * MIB


class Ladder:
    """The caps and the smaller plans of one device. An `index` is the picture that a phase is at, where it is at one:
    what that takes is not what the largest of the group takes.
    """

    def __init__(self, device: Device, planning: Planning) -> None:
        self._device = device
        self._planning = planning

    def descend(
        self,
        group: Group,
        phase: Phase,
        attempt: Callable[[], Generator[Event, None, Result]],
        index: int | None = None,
    ) -> Generator[Event, None, Result]:
        """Try again with a smaller plan for as long as there is one. Raises OutOfMemory where there is none."""
        while True:
            try:
                return (yield from attempt())
            except OutOfMemory:
                group.has_run_out = True
                reason = self._make_smaller(group, phase, index)
                if reason is None:
                    raise
            memory.collect(self._device)  # not before: while an error is handled, it holds what the attempt had made
            group.notes.append(reason)
            yield SteppedDown(phase, group.plan, reason)

    def cap(self, group: Group, phase: Phase, index: int | None = None) -> int:
        """What torch may reserve: little more than was predicted, all of the budget where that was an estimate.

        A picture that is decoded in pieces of its own is not the one that was predicted.
        """
        plan = group.plan
        is_certain = not plan.is_estimate and not group.is_cap_lifted
        if index is not None and group.plan_of(index).phase(phase) != plan.phase(phase):
            is_certain = False
        if not is_certain:
            return plan.budget_bytes
        return min(plan.phase(phase).predicted_peak_bytes + SLACK_BYTES, plan.budget_bytes)

    def _make_smaller(self, group: Group, phase: Phase, index: int | None) -> str | None:
        """Give the group a plan that takes less, or all of the budget; says why, None where nothing is left to try."""
        if group.plan_alone is not None:
            group.plan, group.plan_alone, group.looks_ahead = group.plan_alone, None, False
            return f"{phase} ran out of memory beside the next group's texts: it began again alone."
        demand, plan = group.demand(index), group.plan if index is None else group.plan_of(index)
        if not group.is_decoding:  # it may be both together that took more
            self._planning.learn_too_small(demand, plan, phase)
        if self._device.holds_caps and self.cap(group, phase, index) < group.plan.budget_bytes:
            group.is_cap_lifted = True
            return f"{phase} took more memory than was predicted: it began again with all of the budget."
        smaller = self._planning.step_down(demand, plan, phase)
        if smaller is None or group.has_fixed_residency:
            return None
        group.is_tile_lowered |= smaller.phase(Phase.DECODE).tile != plan.phase(Phase.DECODE).tile
        group.is_cap_lifted |= demand.pixels < group.demand().pixels  # larger ones take more than it predicts
        group.plan = smaller
        return f"{phase}: {smaller.phase(phase).reason}."
