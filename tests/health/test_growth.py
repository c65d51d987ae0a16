from __future__ import annotations

import pytest

from pixart_ui.health.growth import MIN_GROUPS, Trend, growth, health

MIB = 2**20


def test_a_worker_that_has_run_little_says_nothing_yet() -> None:
    assert health({}).beside.trend is Trend.UNKNOWN
    assert growth([100 * MIB] * (MIN_GROUPS - 1)).trend is Trend.UNKNOWN


def test_memory_that_flickers_is_steady() -> None:
    found = growth([(1000 + (index * 37) % 40) * MIB for index in range(20)])
    assert found.trend is Trend.STEADY
    assert found.spread_bytes < 40 * MIB


def test_what_the_first_groups_bring_and_stays_is_no_leak() -> None:
    assert growth([200 * MIB, 900 * MIB, *[1000 * MIB] * 12]).trend is Trend.STEADY


def test_a_leak_is_found_and_told_a_group() -> None:
    found = growth([(1000 + 50 * index) * MIB for index in range(14)])
    assert found.trend is Trend.GROWING
    assert found.per_group_bytes == pytest.approx(50 * MIB, rel=0.05)


def test_one_large_group_is_no_leak() -> None:
    assert growth([*[1000 * MIB] * 8, 4000 * MIB, *[1000 * MIB] * 3]).trend is Trend.STEADY


def test_both_memories_are_looked_at() -> None:
    groups = [[float(index), 10 * MIB, (1000 + 90 * index) * MIB] for index in range(12)]
    found = health({"watch": {"groups": groups}})
    assert (found.num_groups, found.beside.trend, found.ram.trend) == (12, Trend.STEADY, Trend.GROWING)
