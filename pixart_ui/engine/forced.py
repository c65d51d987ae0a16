"""A run that is measured: how it must hold its weights, whatever would be faster. Plain arithmetic, no torch.

Such a run encodes its texts even where their embeddings are kept, since that is part of what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pixart_ui.engine import planner
from pixart_ui.engine.costs import Demand, Limits
from pixart_ui.events import Plan, Residency


@dataclass(frozen=True)
class Forced:
    """Either one `residency` for all phases, or a budget of `budget_bytes` for which the planner chooses, or neither.

    With a residency a run that takes more memory than there is ends: going on with less would measure another one.
    """

    residency: Residency | None = None
    budget_bytes: int | None = None

    def limits(self, limits: Limits) -> Limits:
        """The device's, with no more than the budget."""
        if self.budget_bytes is None:
            return limits
        return replace(limits, budget_bytes=min(self.budget_bytes, limits.budget_bytes))

    def plan(self, demand: Demand, limits: Limits) -> Plan:
        """Raises BudgetTooSmall, and InputError where a component cannot be held that way."""
        limits = self.limits(limits)
        if self.residency is None:
            return planner.choose_plan(demand, limits)
        return planner.forced_plan(demand, limits, self.residency)
