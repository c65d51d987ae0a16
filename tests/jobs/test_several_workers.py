"""Several workers on one journal: who takes what, how a queue is shared, and a device that takes nothing."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pixart_ui import tiny
from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.catalog import Catalog, hub_checkpoints
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState, Trial, WorkerStatus
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.overview import WorkerState, worker_rows
from pixart_ui.jobs.route import Route
from pixart_ui.jobs.routing import Router
from pixart_ui.jobs.rows import group_key
from pixart_ui.jobs.turns import MOST_PASSING
from pixart_ui.jobs.worker import Worker
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine, request
from tests.jobs.waiting import wait_until

GIB = 2**30
GPU = {"device": "cuda:0", "name": "GPU", "weight_bytes": 0, "ram_bytes": 64 * GIB}
LARGE = {"checkpoint": "sigma-1024", "width": 1024, "height": 1024, "bin_width": 1024, "bin_height": 1024}


@contextmanager
def workers(settings: Settings, journal: Journal, *engines: PlainEngine) -> Iterator[list[Worker]]:
    """In threads, as they would be in processes."""
    stop, found = threading.Event(), [Worker(settings, journal, each, name=each.device_id) for each in engines]
    threads = [threading.Thread(target=worker.serve, args=(stop,)) for worker in found]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(journal.workers()) == len(found), "all are there")
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def slow(name: str, seconds: float = 0.05) -> PlainEngine:
    return PlainEngine(lambda index, step: time.sleep(seconds), device_id=name)


def all_done(journal: Journal) -> bool:
    return not journal.has_open()


# Sharing


def test_idle_workers_share_a_queue_instead_of_one_taking_it_all(settings: Settings, journal: Journal) -> None:
    engines = [slow("one"), slow("two")]
    with workers(settings, journal, *engines):
        journal.submit([request(seed) for seed in range(12)], "local")
        wait_until(lambda: all_done(journal), "all are done")
    drawn = [sum(map(len, engine.groups)) for engine in engines]
    assert min(drawn) >= 4, drawn


def test_workers_that_begin_together_take_equal_parts_and_not_ever_smaller_ones(
    settings: Settings, journal: Journal
) -> None:
    engines = [slow("one"), slow("two")]
    journal.pause("until all are there")
    with workers(settings, journal, *engines):
        journal.submit([request(seed) for seed in range(32)], "local")
        journal.resume()
        wait_until(lambda: all(engine.groups for engine in engines), "both draw")
    assert [len(engine.groups[0]) for engine in engines] == [16, 16]


def test_a_slow_worker_gives_the_rest_of_its_group_to_one_that_is_idle(settings: Settings, journal: Journal) -> None:
    with workers(settings, journal, slow("slow", 0.2), slow("quick", 0.01)):
        journal.submit([request(seed) for seed in range(16)], "local")
        wait_until(lambda: all_done(journal), "all are done")
    by_worker = Counter(job.worker for job in journal.jobs())
    assert by_worker["quick"] > 8 > by_worker["slow"]


def test_each_owner_gets_a_turn_with_several_workers_too(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(20)], "many")
    with workers(settings, journal, slow("one"), slow("two")):
        wait_until(lambda: journal.counts()[JobState.DONE] >= 2, "some are done")
        (late,) = journal.submit([request(100)], "few")
        wait_until(lambda: all_done(journal), "all are done")
    ended = {job.id: job.finished_at or 0 for job in journal.jobs()}
    meanwhile = sum(late.created_at < at < ended[late.id] for at in ended.values())
    assert meanwhile <= 6, "it did not wait for the others' queue"


# Draining


def test_a_drained_device_ends_its_picture_and_takes_no_other_also_after_a_restart(
    settings: Settings, journal: Journal
) -> None:
    with workers(settings, journal, slow("one", 0.1)):
        jobs = journal.submit([request(seed) for seed in range(4)], "local")
        wait_until(lambda: journal.job(jobs[0].id).step > 0, "the first is drawn")
        assert journal.drain_device("one")
        assert not journal.drain_device("one"), "it was drained already"
        wait_until(lambda: journal.job(jobs[0].id).state is JobState.DONE, "it is done all the same")
        wait_until(lambda: not journal.open_work().running, "the others went back")
    with workers(settings, journal, slow("one")):
        time.sleep(0.5)
        assert journal.counts()[JobState.QUEUED] == 3
        (row,) = worker_rows(journal)
        assert row.state is WorkerState.DRAINED
        assert journal.resume_device("one")
        wait_until(lambda: all_done(journal), "all are done")


def test_only_a_device_that_has_a_worker_can_be_drained(journal: Journal) -> None:
    with pytest.raises(InputError, match="start the app first"):
        journal.drain_device("cuda:0")
    journal.register_worker("w", device="GPU-1", pid=1, info={})
    with pytest.raises(InputError, match="did you mean 'GPU-1'"):
        journal.drain_device("GPU-2")
    assert not journal.resume_device("GPU-1")


def test_draining_is_for_the_owner_of_the_app(tmp_path: Path) -> None:
    services = Services.open(Settings(data_dir=tmp_path))
    services.journal.register_worker("w", device="GPU-1", pid=1, info={})
    with seen_by(Viewer("ann", Role.MEMBER)), pytest.raises(InputError, match="for the owner of this app"):
        services.drain_worker("GPU-1")
    assert services.drain_worker("GPU-1")
    services.journal.close()


# Routing


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog([tiny_checkpoint(tiny.checkpoint_dir()), *hub_checkpoints()])


def status(name: str, gib: float, **info: Any) -> WorkerStatus:
    told: Mapping[str, Any] = {**GPU, "memory_free_bytes": int(gib * GIB), **info}
    return WorkerStatus(name, name, 1, 0.0, 0.0, told)


def routed(catalog: Catalog, journal: Journal, tmp_path: Path, *found: WorkerStatus) -> Route:
    router = Router(catalog, tmp_path / "none.json")
    return router.route(found[0].id, found, journal.open_work().waiting.cost_keys)


def test_what_does_not_fit_here_is_left_to_a_worker_where_it_does(
    journal: Journal, catalog: Catalog, tmp_path: Path
) -> None:
    large, small = journal.submit([request(1, **LARGE), request(2)], "local")
    route = routed(catalog, journal, tmp_path, status("small", 0.3), status("large", 16))
    assert len(route.refused) == 1
    claimed = journal.claim("small", lease_seconds=60, limit=1, route=route)
    assert [job.id for job in claimed] == [small.id]
    other = routed(catalog, journal, tmp_path, status("large", 16), status("small", 0.3))
    assert [job.id for job in journal.claim("large", lease_seconds=60, limit=1, route=other)] == [large.id]


def test_where_nobody_can_make_it_the_first_one_says_why(journal: Journal, catalog: Catalog, tmp_path: Path) -> None:
    journal.submit([request(1, **LARGE)], "local")
    assert routed(catalog, journal, tmp_path, status("one", 0.3), status("two", 0.2)).refused == frozenset()


def test_a_worker_that_is_alone_takes_everything(journal: Journal, catalog: Catalog, tmp_path: Path) -> None:
    journal.submit([request(1, **LARGE)], "local")
    assert routed(catalog, journal, tmp_path, status("one", 0.3)) == Route()


def test_a_checkpoint_that_a_node_lacks_is_for_others(journal: Journal, catalog: Catalog, tmp_path: Path) -> None:
    journal.submit([request(1, **LARGE)], "local")
    here, there = status("here", 16, checkpoints=["tiny"]), status("there", 16, checkpoints=["tiny", "sigma-1024"])
    assert len(routed(catalog, journal, tmp_path, here, there).refused) == 1
    assert routed(catalog, journal, tmp_path, there, here).refused == frozenset()


def test_warm_weights_come_first_while_another_worker_has_the_others(journal: Journal) -> None:
    cold = [request(seed, precision="nf4") for seed in range(2)]
    journal.submit([*cold, request(10)], "local")
    warm, other = group_key(request(10)), group_key(cold[0])
    route = Route(warm=warm, elsewhere=frozenset({other}))
    claimed = journal.claim("one", lease_seconds=60, limit=8, route=route)
    assert [job.request.seed for job in claimed] == [10]
    nowhere = Route(warm=warm)
    assert [job.request.seed for job in journal.claim("one", lease_seconds=60, limit=1, route=nowhere)] == [0]


def test_a_job_lets_only_so_many_pass(journal: Journal) -> None:
    cold = request(0, precision="nf4")
    journal.submit([cold, *[request(seed) for seed in range(1, MOST_PASSING + 10)]], "local")
    route = Route(warm=group_key(request(1)), elsewhere=frozenset({group_key(cold)}))
    passing = 0
    while (job := journal.claim("one", lease_seconds=60, limit=1, route=route)[0]).request.seed != 0:
        passing += 1
    assert job.request.seed == 0
    assert passing == MOST_PASSING


def test_a_comparison_stays_with_the_worker_that_ran_some_of_it(journal: Journal) -> None:
    for name in ("one", "two"):
        journal.register_worker(name, device=name, pid=1, info={})
    journal.submit_trials([(request(seed), Trial("c", str(seed), "staged")) for seed in range(3)], "local")
    (first,) = journal.claim("one", lease_seconds=60, limit=8)
    assert journal.claim("two", lease_seconds=60, limit=8) == ()
    assert journal.finish(first, image="0.png", facts={})
    assert journal.claim("two", lease_seconds=60, limit=8) == ()
    journal.forget_worker("one")
    assert len(journal.claim("two", lease_seconds=60, limit=8)) == 1, "nobody else is left"


# What is shown


def test_a_row_says_where_a_worker_is_what_it_draws_and_when_it_reported(journal: Journal) -> None:
    info = {**GPU, "host": "box", "place": "cuda:1", "memory_free_bytes": 5, "memory_total_bytes": 9}
    journal.register_worker("w", device="GPU-1", pid=1, info=info | {"watch": {"jobs_done": 4}})
    journal.submit([request(1)], "local")
    (job,) = journal.claim("w", lease_seconds=60, limit=1)
    (row,) = worker_rows(journal)
    assert (row.host, row.device, row.place, row.name) == ("box", "GPU-1", "cuda:1", "GPU")
    assert (row.state, row.job, row.num_claimed, row.num_done) == (WorkerState.WORKING, job.id, 1, 4)
    assert (row.free_bytes, row.total_bytes) == (5, 9)
    assert row.silent_seconds < 5
    assert json.dumps(row.state) == '"working"'
