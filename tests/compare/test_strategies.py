"""The table of strategies is the one that the benchmark runs."""

from __future__ import annotations

from bench import names, peers
from pixart_ui.compare import strategies


def test_every_strategy_of_diffusers_can_be_run_by_the_benchmark_and_is_listed_there() -> None:
    assert set(strategies.DIFFUSERS_DESCRIPTIONS) == set(peers.STRATEGIES)
    assert strategies.DIFFUSERS_DESCRIPTIONS.items() <= names.STOCK.items()
