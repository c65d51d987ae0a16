"""A worker tells its engine what comes next, while the last picture at hand is drawn, and never more than it knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pixart_ui.engine.coming import Coming, Foresee
from pixart_ui.errors import DiskFullError
from pixart_ui.events import EncodedAhead, Event, Phase, StepDone
from pixart_ui.jobs.group_run import GroupRun
from pixart_ui.jobs.group_size import FEW
from pixart_ui.jobs.job import Job, JobState, Trial
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.rows import group_key
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine, request

KEY = group_key(request())
OTHER = {"precision": "int8"}


@dataclass
class Foreseeing(PlainEngine):
    """`coming` is what it was told, as seeds and scopes, when each group began."""

    coming: list[tuple[list[int], list[str]] | None] = field(default_factory=list)

    def foresee(self, foresee: Foresee) -> None:
        self.ask = foresee

    def run(self, *arguments: Any) -> Iterator[Event]:
        yield from super().run(*arguments)
        told = self.ask()
        self.coming.append(as_told(told))
        if told is not None:
            yield EncodedAhead(len(told.requests), 1000)


def as_told(coming: Coming | None) -> tuple[list[int], list[str]] | None:
    return ([asked.seed for asked in coming.requests], list(coming.scopes)) if coming is not None else None


def serve(settings: Settings, journal: Journal, engine: PlainEngine) -> None:
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)


def seeds(jobs: Sequence[Job]) -> list[int]:
    return [job.request.seed for job in jobs]


def test_each_group_is_told_of_the_next(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(5)], "local")
    engine = Foreseeing()
    serve(replace(settings, group_size=2), journal, engine)
    assert engine.groups == [[0, 1], [2, 3], [4]]
    assert engine.coming == [([2, 3], ["", ""]), ([4], [""]), None]


def test_of_people_who_sign_in_it_is_told_whose_it_is(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1)], "ann")
    journal.submit([request(2)], "bob")
    engine = Foreseeing()
    serve(replace(settings, group_size=1), journal, engine)
    assert engine.coming == [([2], ["bob"]), None]


def test_what_needs_other_weights_is_not_told(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1)], "local")
    journal.submit([request(2, **OTHER)], "local")
    engine = Foreseeing()
    serve(settings, journal, engine)
    assert engine.groups == [[1], [2]]
    assert engine.coming == [None, None]


@pytest.mark.parametrize(("num_waiting", "is_told"), [(FEW, True), (FEW + 1, False)])
def test_many_jobs_wait_for_the_pass_of_their_own_group(
    settings: Settings, journal: Journal, num_waiting: int, is_told: bool
) -> None:
    journal.submit([request(99)], "local")
    added: list[Job] = []

    def add(_: int) -> None:
        if not added:
            added.extend(journal.submit([request(seed) for seed in range(num_waiting)], "local"))

    engine = Foreseeing(on_decode=add)
    serve(settings, journal, engine)
    assert (engine.coming[0] is not None) is is_told


def test_of_several_workers_nobody_knows_whose_it_will_be(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    journal.register_worker("two", device="cuda:7", pid=1, info={})
    engine = Foreseeing()
    serve(replace(settings, group_size=1), journal, engine)
    assert engine.coming == [None, None]


def test_a_pause_is_no_time_to_look_ahead(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    engine = Foreseeing(on_decode=lambda _: journal.pause("for now"))
    serve(replace(settings, group_size=1), journal, engine)
    assert engine.groups == [[1]]
    assert engine.coming == [None]


def test_beside_a_job_that_was_tried_before_nothing_is_tried(settings: Settings, journal: Journal) -> None:
    """Its worker may have died of what was beside it, which it cannot tell."""
    journal.submit([request(1), request(2)], "local")
    journal.claim("other", lease_seconds=10, limit=1)
    journal.give_back("other")
    engine = Foreseeing()
    serve(replace(settings, group_size=1), journal, engine)
    assert engine.groups == [[1], [2]]
    assert engine.coming == [None, None]


def test_texts_encoded_ahead_count_as_a_load(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    serve(replace(settings, group_size=1), journal, PlainEngine())
    plain = journal.loads().loads
    journal.submit([request(1), request(2)], "local")
    serve(replace(settings, group_size=1), journal, Foreseeing())
    assert journal.loads().loads - plain == plain + 1


def test_an_engine_that_cannot_is_not_told(settings: Settings, journal: Journal) -> None:
    journal.submit([request(1)], "local")
    engine = PlainEngine()
    serve(settings, journal, engine)
    assert engine.groups == [[1]]


# What the journal says


def test_what_comes_stays_where_it_is(journal: Journal) -> None:
    jobs = journal.submit([request(seed) for seed in range(3)], "local")
    assert seeds(journal.coming("one", KEY, limit=2)) == [0, 1]
    assert [job.state for job in journal.jobs()] == [JobState.QUEUED] * 3
    assert seeds(journal.coming("one", KEY, limit=2, only=[jobs[2].id])) == [2]


def test_nothing_comes_with_other_weights(journal: Journal) -> None:
    assert journal.coming("one", KEY, limit=2) == ()
    journal.submit([request(1, **OTHER)], "local")
    journal.submit([request(2)], "local")
    assert journal.coming("one", KEY, limit=2) == ()
    assert seeds(journal.coming("one", group_key(request(1, **OTHER)), limit=2)) == [1]


def test_a_run_of_a_comparison_comes_alone(journal: Journal) -> None:
    journal.submit_trials([(request(1), Trial("c", "1", "staged"))], "local")
    assert journal.coming("one", KEY, limit=2) == ()


@pytest.mark.parametrize(("is_fault", "expected"), [(False, [1]), (True, [])])
def test_a_job_over_which_a_worker_died_is_not_tried_beside_another(
    journal: Journal, is_fault: bool, expected: list[int]
) -> None:
    journal.submit([request(1)], "local")
    journal.report_group(journal.claim("one", lease_seconds=10, limit=1), Phase.ENCODE)
    journal.give_back("one", is_fault=is_fault)
    assert [job.state for job in journal.jobs()] == [JobState.QUEUED]
    assert seeds(journal.coming("one", KEY, limit=2)) == expected


def test_a_device_that_is_drained_gets_nothing(journal: Journal) -> None:
    journal.register_worker("one", device="cuda:0", pid=1, info={})
    journal.submit([request(1)], "local")
    assert seeds(journal.coming("one", KEY, limit=2)) == [1]
    journal.drain_device("cuda:0")
    assert journal.coming("one", KEY, limit=2) == ()


# And the run that is left


def test_whatever_ends_a_group_ends_the_run_of_the_engine_at_once(settings: Settings, journal: Journal) -> None:
    """In the thread that drives it, which is the only one that may leave what is half-way."""
    ended_in: list[int] = []

    class Noting(PlainEngine):
        def run(self, *arguments: Any) -> Iterator[Event]:
            try:
                yield from super().run(*arguments)
            finally:
                ended_in.append(threading.get_ident())

    def see(event: Event) -> None:
        if isinstance(event, StepDone):
            raise DiskFullError("The disk is full.")

    journal.submit([request(1)], "local")
    jobs = journal.claim("one", lease_seconds=10, limit=1)
    kept = GroupRun(settings, journal, Noting(), jobs, threading.Event(), lambda **_: None, see=see)
    with pytest.raises(DiskFullError) as caught:
        kept.run()
    assert ended_in == [threading.get_ident()], caught
