"""`kill -9` inside moments of a worker's life: some once, in the long run each many times; see `kills.py`."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.faults.fork_server import MOMENTS
from tests.faults.kills import Arena, arena, kill_at_random, kill_inside, num_different, table

# One before each thing that is to last, and the last of all; the long run takes every moment.
QUICK = ("claim", "denoise step", "latent rename", "PNG rename", "commit")


@pytest.fixture(scope="module")
def place() -> Iterator[Arena]:
    with arena() as place:
        yield place


@pytest.mark.parametrize("moment", QUICK)
def test_a_worker_killed_inside_the_moment_loses_nothing_and_repeats_nothing(place: Arena, moment: str) -> None:
    count = kill_inside(place, moment, 1, random.Random(moment))
    assert count.kills == 1, "the blow fell inside"
    assert count.faults == 0, count


@pytest.mark.long
def test_two_hundred_deaths_lose_nothing_and_repeat_nothing() -> None:
    dice = random.Random(1)
    with arena() as place:
        counts = {moment: kill_inside(place, moment, 10, dice) for moment in MOMENTS}
        counts["at random"] = kill_at_random(place, 100, dice)
        different = num_different(place, 24, dice)
    print(table(counts))
    assert [count.kills for count in counts.values()] == [*[10] * len(MOMENTS), 100]
    assert [count.faults for count in counts.values()] == [0] * len(counts), table(counts)
    assert different == 0, "a picture is the same whatever its worker died of"
