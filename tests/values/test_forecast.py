"""What the queue will take, in plain numbers: who is served when, and when each job is done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pixart_ui.events import Phase
from pixart_ui.forecast import Forecast, JobForecast, PictureSeconds, WorkerPace, forecast, group_seconds
from pixart_ui.jobs.grouping import form_groups
from pixart_ui.jobs.open_work import OpenWork, RunningJob, Waiting, WaitingRow

# Two steps of 10 s, 3 s of decoding and 1 s of its own encoding; 5 s for T5 to pass, 100 s to load what is not there.
SMALL = PictureSeconds(encode=1, step=10, steps=2, decode=3, encode_pass=5, load=100)
LARGE = PictureSeconds(encode=1, step=100, steps=2, decode=30, encode_pass=5, load=100)
KINDS = {"small": SMALL, "large": LARGE}


def row(id_: int, kind: str = "small", weights: str = "A", strikes: int = 0) -> WaitingRow:
    return (id_, strikes, weights, kind)


def running(
    id_: int,
    phase: Phase | None = None,
    step: int = 0,
    *,
    worker: str = "one",
    kind: str = "small",
    is_cancel_requested: bool = False,
) -> RunningJob:
    return RunningJob(id_, worker, 1, phase, step, is_cancel_requested, "A", kind)


def predict(
    waiting: Sequence[Sequence[WaitingRow]] = (),
    jobs: Sequence[RunningJob] = (),
    *,
    workers: Sequence[str] = ("one",),
    loaded: str | None = "A",
    elapsed: float = 0,
    group_size: int = 8,
    pause_reason: str | None = None,
) -> Forecast:
    groups = form_groups(waiting, group_size)
    paces = [WorkerPace(name, KINDS, group_seconds(groups, KINDS), loaded, elapsed) for name in workers]
    work = OpenWork(1, pause_reason, tuple(jobs), Waiting(1, 1, tuple(map(tuple, waiting))))
    return forecast(work, groups, paces)


def ids(waiting: Sequence[Sequence[WaitingRow]], group_size: int = 8) -> list[list[int]]:
    return [[row[0] for row in group] for group in form_groups(waiting, group_size).groups]


# Groups


def test_owners_take_turns_within_a_group_and_from_group_to_group() -> None:
    many, few = [row(id_) for id_ in range(6)], [row(10), row(11)]
    assert ids([many, few], group_size=3) == [[0, 10, 1], [11, 2, 3], [4, 5]]


def test_a_group_shares_its_weights_and_jumps_over_others() -> None:
    assert ids([[row(1), row(2, weights="B"), row(3), row(4, weights="B")]]) == [[1, 3], [2, 4]]


def test_what_does_not_fit_a_full_group_comes_in_its_turn() -> None:
    mixed = [row(1), row(2, weights="B"), row(3), row(4, weights="B"), row(5)]
    assert ids([mixed], group_size=1) == [[1], [2], [3], [4], [5]]
    assert ids([mixed], group_size=2) == [[1, 3], [2, 4], [5]]


def test_a_job_over_which_a_worker_died_runs_alone() -> None:
    assert ids([[row(1), row(2, strikes=1), row(3)]]) == [[1, 3], [2]]
    assert ids([[row(2, strikes=1), row(1), row(3)]]) == [[2], [1, 3]]


# What waits


def test_a_group_is_encoded_once_and_then_drawn_one_by_one() -> None:
    found = predict([[row(1), row(2), row(3)]])
    assert found.of(1) == JobForecast(0, 5 + 3 + 23)
    assert found.of(2) == JobForecast(31, 54)
    assert found.of(3) == JobForecast(54, 77)
    assert found.seconds_left == 77
    assert found.by_phase == {Phase.ENCODE: 8, Phase.DENOISE: 60, Phase.DECODE: 9}


def test_the_next_group_begins_when_the_last_picture_of_the_one_before_is_done() -> None:
    found = predict([[row(1), row(2), row(3, kind="large")]], group_size=2)
    assert found.of(2) == JobForecast(5 + 2 + 23, 5 + 2 + 46)
    assert found.of(3) == JobForecast(53, 53 + 6 + 230)


def test_other_weights_are_loaded_once_and_count_where_they_hold_up() -> None:
    found = predict([[row(1, weights="B"), row(2, weights="B"), row(3)]], group_size=1)
    assert found.of(1) == JobForecast(0, 100 + 6 + 23)
    assert found.of(2) == JobForecast(129, 129 + 29)
    assert found.of(3) == JobForecast(158, 158 + 100 + 29)
    assert found.by_phase[Phase.DENOISE] == 100 + 100 + 60


def test_two_workers_share_the_groups() -> None:
    found = predict([[row(id_) for id_ in range(1, 5)]], workers=("one", "two"), group_size=1)
    assert [found.of(id_) for id_ in (1, 2, 3, 4)] == [JobForecast(start, start + 29) for start in (0, 0, 29, 29)]
    assert found.seconds_left == 58
    assert sum(found.by_phase.values()) == 4 * 29, "work of both"


def test_the_worker_that_is_free_first_takes_the_next_group() -> None:
    at_work = [running(8, Phase.DENOISE, 1, worker="one"), running(9, Phase.DECODE, 2, worker="two")]
    found = predict([[row(1), row(2)]], at_work, workers=("one", "two"), group_size=1)
    assert found.of(1) == JobForecast(3, 3 + 29), "two has 3 s left, one 13"
    assert found.of(2) == JobForecast(13, 13 + 29)


# What runs


def test_a_running_picture_has_its_last_steps_and_its_decoding_left() -> None:
    found = predict([[row(2)]], [running(1, Phase.DENOISE, 1)])
    assert found.of(1) == JobForecast(0, 10 + 3)
    assert found.of(2) == JobForecast(13, 13 + 29)
    assert found.by_phase == {Phase.ENCODE: 6, Phase.DENOISE: 10 + 20, Phase.DECODE: 3 + 3}


def test_what_passed_in_a_step_or_a_phase_counts_but_never_more_than_it() -> None:
    assert predict(jobs=[running(1, Phase.DENOISE, 1)], elapsed=4).seconds_left == 6 + 3
    assert predict(jobs=[running(1, Phase.DENOISE, 1)], elapsed=400).seconds_left == 3
    assert predict(jobs=[running(1, Phase.DECODE, 2)], elapsed=2).seconds_left == 1
    assert predict(jobs=[running(1, Phase.DECODE, 2)], elapsed=200).seconds_left == 0
    assert predict(jobs=[running(1, Phase.ENCODE)], elapsed=2).seconds_left == 4 + 23


def test_the_jobs_of_a_claimed_group_follow_the_one_that_is_drawn() -> None:
    found = predict(jobs=[running(3), running(2, Phase.DENOISE, 1), running(4)])
    assert found.of(2) == JobForecast(0, 13)
    assert found.of(3) == JobForecast(13, 36)
    assert found.of(4) == JobForecast(36, 59)
    assert found.by_phase[Phase.ENCODE] == 0, "the group was encoded before its first picture"


def test_a_group_that_is_being_encoded_waits_for_all_of_its_prompts() -> None:
    found = predict(jobs=[running(1, Phase.ENCODE), running(2, Phase.ENCODE)])
    assert found.of(1) == JobForecast(0, 5 + 2 + 23)
    assert found.of(2) == JobForecast(30, 53)


def test_a_picture_that_is_written_or_cancelled_takes_no_more_time() -> None:
    found = predict(jobs=[running(1, step=2), running(2, Phase.DENOISE, 1, is_cancel_requested=True), running(3)])
    assert (found.of(1), found.of(2)) == (JobForecast(0, 0), JobForecast(0, 0))
    assert found.of(3) == JobForecast(0, 23)


# Where nothing can be said


def test_nothing_open_has_no_end() -> None:
    assert predict().seconds_left is None
    assert predict().of(1) is None


def test_without_a_worker_nobody_knows() -> None:
    found = predict([[row(1)]], workers=())
    assert (found.seconds_left, found.of(1)) == (None, None)
    assert set(found.by_phase.values()) == {0}


def test_a_paused_queue_goes_on_with_what_runs_only() -> None:
    found = predict([[row(2)]], [running(1, Phase.DENOISE, 1)], pause_reason="somebody paused it")
    assert (found.seconds_left, found.of(2)) == (None, None)
    assert found.of(1) == JobForecast(0, 13)


def test_a_job_of_a_worker_that_is_gone_has_no_end_yet() -> None:
    found = predict([[row(2)]], [running(1, Phase.DENOISE, 1, worker="gone")])
    assert found.of(1) is None
    assert found.of(2) == JobForecast(0, 29)


def test_a_job_that_ended_has_none() -> None:
    assert predict([[row(1)]]).of(99) is None


@pytest.mark.parametrize("is_estimate", [True, False])
def test_what_was_never_measured_is_said_to_be_an_estimate(is_estimate: bool) -> None:
    groups = form_groups([[row(1)]], 8)
    kinds = {"small": PictureSeconds(step=1, is_estimate=is_estimate)}
    work = OpenWork(1, None, (), Waiting(1, 1, ((row(1),),)))
    assert forecast(work, groups, [WorkerPace("one", kinds, group_seconds(groups, kinds))]).is_estimate is is_estimate
