"""A plan that was asked for: one residency everywhere, whatever would be faster."""

from __future__ import annotations

import pytest

from pixart_ui.byte_size import GIB
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.planner import choose_plan, forced_plan
from pixart_ui.errors import BudgetTooSmall, InputError
from pixart_ui.events import Phase, Residency
from pixart_ui.request import TransformerPrecision
from tests.engine.test_planner import below_16_bits, full_demand, residencies, small_demand, small_limits


@pytest.mark.parametrize("residency", [Residency.RESIDENT, Residency.STAGED])
def test_every_phase_has_the_residency_that_was_asked_for(residency: Residency) -> None:
    demand = full_demand()
    plan = forced_plan(demand, small_limits(80 * GIB, demand), residency)
    assert residencies(plan) == [residency] * 3
    assert all(entry.reason.endswith("as was asked") for entry in plan.phases)


def test_streamed_keeps_no_block_and_holds_the_vae_for_its_phase() -> None:
    demand = full_demand()
    limits = small_limits(80 * GIB, demand)
    plan = forced_plan(demand, limits, Residency.STREAMED)
    assert residencies(plan) == [Residency.STREAMED, Residency.STREAMED, Residency.STAGED]
    assert [plan.phase(phase).kept_units for phase in (Phase.ENCODE, Phase.DENOISE)] == [0, 0]
    staged = forced_plan(demand, limits, Residency.STAGED)
    assert plan.phase(Phase.DENOISE).predicted_peak_bytes < staged.phase(Phase.DENOISE).predicted_peak_bytes


def test_what_does_not_fit_says_how_much_would() -> None:
    demand = full_demand()
    with pytest.raises(BudgetTooSmall, match="resident, needs at least"):
        forced_plan(demand, small_limits(2 * GIB, demand), Residency.RESIDENT)


def test_a_transformer_that_comes_whole_cannot_be_streamed() -> None:
    demand = below_16_bits(TransformerPrecision.NF4)
    with pytest.raises(InputError, match="transformer in nf4 comes whole and cannot be streamed"):
        forced_plan(demand, small_limits(80 * GIB, demand), Residency.STREAMED)


def test_a_budget_leaves_the_choice_to_the_planner_and_is_never_more_than_there_is() -> None:
    demand = small_demand()
    limits = small_limits(10**9, demand)
    assert Forced(budget_bytes=2 * 10**9).plan(demand, limits) == choose_plan(demand, limits)
    assert Forced(budget_bytes=10**6).limits(limits).budget_bytes == 10**6
