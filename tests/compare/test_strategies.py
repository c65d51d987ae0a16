"""The table of strategies is the one that the benchmark runs."""

from __future__ import annotations

import pytest

from bench import names, peers
from pixart_ui.compare import strategies
from pixart_ui.jobs.peer_run import SPREAD, VISIBLE, visible_gpus


def test_every_strategy_of_diffusers_can_be_run_by_the_benchmark_and_is_listed_there() -> None:
    assert set(strategies.DIFFUSERS_DESCRIPTIONS) == set(peers.STRATEGIES)
    assert strategies.DIFFUSERS_DESCRIPTIONS.items() <= names.STOCK.items()


@pytest.mark.parametrize(
    ("given", "index", "is_spread", "seen"),
    [
        ("0,1", 0, False, "0"),
        ("0,1", 1, False, "1"),
        ("3,5", 1, False, "5"),
        ("3,5,7", 1, True, "5,3,7"),
        (None, 0, False, "0"),
        (None, 1, False, "1"),
    ],
)
def test_a_strategy_sees_the_gpu_of_its_worker_and_others_only_where_it_is_about_several(
    given: str | None, index: int, is_spread: bool, seen: str
) -> None:
    environ = {"HOME": "/home/somebody"} | ({VISIBLE: given} if given is not None else {})
    assert visible_gpus(environ, index, is_spread=is_spread) == environ | {VISIBLE: seen}


def test_strategies_that_spread_over_gpus_are_of_the_table() -> None:
    assert set(strategies.DIFFUSERS_DESCRIPTIONS) >= SPREAD
