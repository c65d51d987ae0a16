"""Owners take turns: nobody waits for the whole queue of another."""

from __future__ import annotations

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.turns import MOST_BEFORE_OTHERS
from tests.jobs.parts import request


def claim(journal: Journal, limit: int, only: list[int] | None = None) -> tuple[Job, ...]:
    return journal.claim("one", lease_seconds=60, limit=limit, only=only)


def seeds(jobs: tuple[Job, ...]) -> list[int]:
    return [job.request.seed for job in jobs]


def test_a_group_takes_a_job_of_each_owner_in_turn(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(10)], "many")
    journal.submit([request(100), request(101)], "few")
    journal.submit([request(200)], "one")
    assert seeds(claim(journal, 7)) == [0, 100, 200, 1, 101, 2, 3]
    assert seeds(claim(journal, 7)) == [4, 5, 6, 7, 8, 9]


def test_turns_go_on_from_group_to_group(journal: Journal) -> None:
    journal.submit([request(0), request(1), request(2)], "a")
    journal.submit([request(10), request(11), request(12)], "b")
    assert [seeds(claim(journal, 1))[0] for _ in range(6)] == [0, 10, 1, 11, 2, 12]


def test_owners_whose_jobs_cannot_share_the_weights_take_turns_by_groups(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(4)], "a")
    journal.submit([request(10 + seed, precision="nf4") for seed in range(4)], "b")
    assert [seeds(claim(journal, 2)) for _ in range(4)] == [[0, 1], [10, 11], [2, 3], [12, 13]]


def test_who_comes_new_is_served_next(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(4)], "a")
    journal.submit([request(10), request(11)], "b")
    claim(journal, 2)
    journal.submit([request(20)], "c")
    assert seeds(claim(journal, 1)) == [20]
    assert seeds(claim(journal, 1)) == [1]


def test_an_urgent_job_is_the_first_of_its_owner_only(journal: Journal) -> None:
    journal.submit([request(0), request(1)], "a")
    journal.submit([request(10), request(11)], "b")
    claim(journal, 1)
    journal.submit([request(2)], "a", is_urgent=True)
    assert seeds(claim(journal, 3)) == [10, 2, 11]


def test_a_choice_of_jobs_is_narrowed_before_the_turns(journal: Journal) -> None:
    journal.submit([request(0)], "a")
    (asked,) = journal.submit([request(10)], "b")
    assert seeds(claim(journal, 8, only=[asked.id])) == [10]


def test_a_group_is_short_while_others_wait_for_other_weights(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(20)], "a")
    journal.submit([request(100, precision="nf4")], "b")
    assert len(claim(journal, 64)) == MOST_BEFORE_OTHERS
    assert seeds(claim(journal, 64)) == [100]
    assert len(claim(journal, 64)) == 20 - MOST_BEFORE_OTHERS


def test_after_a_death_in_encode_only_the_poisonous_job_is_lost_and_weights_are_loaded_seldom(journal: Journal) -> None:
    """Each time the poisonous job is encoded the worker dies; 64 jobs were in its group."""
    journal.submit([request(seed) for seed in range(64)], "a")
    num_loads = 0
    while jobs := claim(journal, 64):
        num_loads += 1
        journal.report_group(jobs, Phase.ENCODE)
        if 13 in seeds(jobs):
            journal.give_back("one", is_fault=True)
            continue
        for job in jobs:
            assert journal.finish(job, image="a.png", facts={})
    assert [job.request.seed for job in journal.jobs(states=[JobState.FAILED])] == [13]
    assert journal.counts()[JobState.DONE] == 63
    assert num_loads == 1 + 64 / 8 + 8, "all, then eight by eight, then those with the poisonous one each alone"
