"""The app's side of a cluster: lanes follow machines, lost workers cost nothing but time, old ones are not heard."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pixart_ui.cluster import lane, remote_engine
from pixart_ui.cluster.driver import drive
from pixart_ui.cluster.lane import Site
from pixart_ui.cluster.shelf import Shelf
from pixart_ui.cluster.wire import Slot
from pixart_ui.events import Phase
from pixart_ui.jobs.job import JobState, Trial
from pixart_ui.jobs.overview import WorkerState
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.cluster.parts import MANIFEST, PlainHost, ThreadCluster, slot
from tests.jobs.parts import PlainEngine, request
from tests.jobs.waiting import wait_until

A, B = slot("a" * 12), slot("b" * 12)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services.open(Settings(data_dir=tmp_path / "data"))
    yield services
    services.journal.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_engine, "PULSE_SECONDS", 0.05)
    monkeypatch.setattr(remote_engine, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(remote_engine, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(lane, "HEARTBEAT_SECONDS", 0.1)


@contextmanager
def driving(services: Services, cluster: ThreadCluster) -> Iterator[None]:
    shelf = Shelf(services.settings.data_dir / "cluster-embeddings")
    site, stop = Site(services, cluster, MANIFEST, shelf, "driver"), threading.Event()
    thread = threading.Thread(target=drive, args=(site, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        cluster.close()
        assert not thread.is_alive()


def quick(place: Slot) -> PlainHost:
    return PlainHost(PlainEngine(), place.node)


def slow(place: Slot) -> PlainHost:
    return PlainHost(PlainEngine(lambda index, step: time.sleep(0.1)), place.node)


def is_done(services: Services) -> Callable[[], bool]:
    return lambda: not services.journal.has_open()


def is_drawing(services: Services, job_id: int) -> Callable[[], bool]:
    return lambda: services.journal.job(job_id).step > 0


def test_every_slot_draws_and_each_picture_comes_once(services: Services) -> None:
    jobs = services.journal.submit([request(seed) for seed in range(8)], "local")
    with driving(services, ThreadCluster(A, B, make=slow)):
        wait_until(is_done(services), "all are done")
    ended = services.journal.jobs()
    assert Counter(job.state for job in ended) == {JobState.DONE: 8}
    assert len({job.worker for job in ended}) == 2
    assert [job.attempt for job in ended] == [1] * 8 or max(job.attempt for job in ended) == 2, "given back to share"
    assert len(list(services.settings.images_dir.iterdir())) == len(jobs)
    assert services.journal.workers() == ()


def test_a_killed_workers_job_goes_back_with_its_embedding_and_the_next_one_need_not_encode(services: Services) -> None:
    cluster = ThreadCluster(A, make=slow)
    (job,) = services.journal.submit([request(1, steps=8)], "local")
    with driving(services, cluster):
        wait_until(is_drawing(services, job.id), "it is drawn")
        cluster.workers[A][0].kill()
        wait_until(is_done(services), "it is done")
    assert services.journal.job(job.id).state is JobState.DONE
    assert services.journal.job(job.id).attempt == 2
    first, second = cluster.workers[A]
    assert first.host.given == []
    assert len(second.host.given) == 1


def test_a_frozen_worker_is_given_up_and_whatever_it_says_later_changes_nothing(services: Services) -> None:
    cluster = ThreadCluster(A, make=slow)
    (job,) = services.journal.submit([request(1, steps=8)], "local")
    with driving(services, cluster):
        wait_until(is_drawing(services, job.id), "it is drawn")
        frozen, started = cluster.workers[A][0], time.monotonic()
        frozen.freeze()
        cluster.here = {B}
        wait_until(lambda: services.journal.job(job.id).worker != "driver.1", "it is taken back")
        assert time.monotonic() - started < 5
        frozen.is_frozen.clear()  # it thaws, and goes on with its picture
        wait_until(is_done(services), "it is done")
    assert services.journal.job(job.id).attempt > 1
    assert services.journal.job(job.id).state is JobState.DONE
    assert len(list(services.settings.images_dir.iterdir())) == 1


def test_a_job_over_which_workers_die_is_given_up_and_the_others_are_drawn(services: Services) -> None:
    jobs = services.journal.submit([request(seed) for seed in (7, 1, 2)], "local")
    cluster = ThreadCluster(A, make=quick)

    def poisonous(place: Slot) -> PlainHost:
        engine = PlainEngine()

        def die(index: int, step: int) -> None:
            if engine.groups[-1][index] == 7:
                cluster.workers[place][-1].kill()
                time.sleep(0.2)

        engine.on_step = die
        return PlainHost(engine, place.node)

    cluster._make = poisonous
    with driving(services, cluster):
        wait_until(is_done(services), "all have ended", seconds=90)
    assert [services.journal.job(job.id).state for job in jobs] == [JobState.FAILED, JobState.DONE, JobState.DONE]


def test_a_cancelled_job_stops_at_the_next_step(services: Services) -> None:
    (job,) = services.journal.submit([request(1, steps=150)], "local")
    with driving(services, ThreadCluster(A, make=slow)):
        wait_until(is_drawing(services, job.id), "it is drawn")
        services.journal.cancel([job.id])
        wait_until(is_done(services), "it has ended", seconds=5)
    assert services.journal.job(job.id).state is JobState.CANCELLED


def test_a_worker_that_does_not_stop_when_asked_is_ended(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_engine, "CANCEL_SECONDS", 0.3)

    def deaf(place: Slot) -> PlainHost:
        return replace(slow(place), is_deaf=True)

    cluster = ThreadCluster(A, make=deaf)
    (job,) = services.journal.submit([request(1, steps=150)], "local")
    with driving(services, cluster):
        wait_until(is_drawing(services, job.id), "it is drawn")
        services.journal.cancel([job.id])
        wait_until(is_done(services), "it has ended", seconds=10)
    assert cluster.workers[A][0].is_dead.is_set()
    assert services.journal.job(job.id).state is JobState.CANCELLED


def test_a_machine_of_another_version_is_shown_with_the_reason_and_draws_nothing(services: Services) -> None:
    def make(place: Slot) -> PlainHost:
        other = replace(MANIFEST, versions={"python": "3.12"})
        return replace(slow(place), manifest=other) if place == A else slow(place)

    services.journal.submit([request(seed) for seed in range(3)], "local")
    with driving(services, ThreadCluster(A, B, make=make)):
        wait_until(lambda: len(services.workers()) == 2, "both are seen")
        refused = next(row for row in services.workers() if row.state is WorkerState.REFUSED)
        assert refused.trouble is not None
        assert "python is 3.12 there and 3.11 here" in refused.trouble
        wait_until(is_done(services), "all are done")
    assert {job.worker for job in services.journal.jobs()} == {
        next(iter({job.worker for job in services.journal.jobs()}))
    }


def test_a_machine_whose_device_is_taken_says_so(services: Services) -> None:
    def make(place: Slot) -> PlainHost:
        return replace(quick(place), trouble="Device GPU-1 already has a worker: stop it first.")

    with driving(services, ThreadCluster(A, make=make)):
        wait_until(lambda: len(services.workers()) == 1, "it is seen")
        assert services.workers()[0].trouble == "Device GPU-1 already has a worker: stop it first."


def test_machines_come_and_go_while_the_queue_runs(services: Services) -> None:
    cluster = ThreadCluster(A, make=slow)
    services.journal.submit([request(seed) for seed in range(12)], "local")
    with driving(services, cluster):
        wait_until(lambda: bool(services.journal.open_work().running), "one draws")
        cluster.here.add(B)
        wait_until(lambda: len({job.worker for job in services.journal.open_work().running}) == 2, "both draw")
        cluster.here.remove(A)
        cluster.workers[A][0].kill()
        wait_until(lambda: {job.worker for job in services.journal.open_work().running} == {"driver.2"}, "one is left")
        num_started = len(cluster.workers[A])
        wait_until(is_done(services), "all are done")
        assert len(cluster.workers[A]) == num_started, "none is started on a machine that is gone"
    assert Counter(job.state for job in services.journal.jobs()) == {JobState.DONE: 12}


def test_an_exception_over_one_picture_costs_that_one_alone(services: Services) -> None:
    def make(place: Slot) -> PlainHost:
        engine = PlainEngine()

        def explode(index: int, step: int) -> None:
            if engine.groups[-1][index] == 1:
                raise ZeroDivisionError

        engine.on_step = explode
        return PlainHost(engine, place.node)

    jobs = services.journal.submit([request(seed) for seed in range(3)], "local")
    with driving(services, ThreadCluster(A, make=make)):
        wait_until(is_done(services), "all have ended")
    states = [services.journal.job(job.id).state for job in jobs]
    assert states == [JobState.DONE, JobState.FAILED, JobState.DONE]


def test_runs_of_comparisons_are_left_to_workers_that_can_measure(services: Services) -> None:
    (trial,) = services.journal.submit_trials([(request(1), Trial("c", "k", "staged"))], "local")
    (job,) = services.journal.submit([request(2)], "local")
    with driving(services, ThreadCluster(A, make=quick)):
        wait_until(lambda: services.journal.job(job.id).state is JobState.DONE, "the picture is done")
        assert services.journal.job(trial.id).state is JobState.QUEUED


def test_a_drained_worker_ends_its_picture_and_the_others_take_the_rest(services: Services) -> None:
    jobs = services.journal.submit([request(seed, steps=8) for seed in range(4)], "local")
    with driving(services, ThreadCluster(A, make=slow)):
        wait_until(is_drawing(services, jobs[0].id), "the first is drawn")
        assert services.drain_worker(f"cpu:0@{A.node}")
        wait_until(lambda: services.journal.job(jobs[0].id).state is JobState.DONE, "the first is done")
        wait_until(lambda: not services.journal.open_work().running, "the rest went back")
        assert services.workers()[0].state is WorkerState.DRAINED
        assert services.journal.counts()[JobState.QUEUED] == 3
        assert services.resume_worker(f"cpu:0@{A.node}")
        wait_until(is_done(services), "all are done")
    assert all(job.phase is not Phase.ENCODE for job in services.journal.jobs())
