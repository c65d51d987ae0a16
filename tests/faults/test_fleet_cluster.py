"""A real Ray cluster of three nodes, real workers with PixArt-Tiny, and everything that can be killed, killed.

How quickly a loss is noticed is a promise, so it is asserted here: a killed worker within 3 seconds, a frozen machine
within 10.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pixart_ui.jobs.job import WorkerStatus
from tests.faults.cluster_parts import RayArena, ray_arena
from tests.jobs.waiting import wait_until

pytest.importorskip("ray", reason="Ray is not installed: `pip install -r requirements-cluster.txt`")
pytestmark = pytest.mark.long

NUM_NODES = 3
NUM_JOBS = 100
NUM_BLOWS = 8
# So many jobs wait at least while somebody is to be hurt at work.
FEW = 12
START_SECONDS = 600.0
KILLED_SECONDS = 3.0
FROZEN_SECONDS = 10.0
END_SECONDS = 1200.0


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[RayArena]:
    with ray_arena(tmp_path, NUM_NODES) as found:
        found.start_page()
        found.wait_for_workers(1)
        yield found


def victim(arena: RayArena, ids: list[int]) -> WorkerStatus:
    """A worker that is drawing, on a node that the cluster can do without; jobs are added so that one has something."""
    head = next(iter(arena.raylets))

    def drawing() -> list[WorkerStatus]:
        if len(arena.journal.open_work().waiting.order) < FEW:
            ids.extend(arena.submit(FEW, seed=len(ids)))
        busy = {job.worker for job in arena.journal.open_work().running if job.step > 0}
        return [worker for worker in arena.serving() if worker.id in busy and worker.info["node"] != head]

    found: list[WorkerStatus] = []
    wait_until(lambda: bool(found.extend(drawing()) or found), "a worker draws that may be hurt", seconds=START_SECONDS)
    return found[0]


def test_a_hundred_jobs_come_out_once_each_whatever_is_killed_at_random_moments(arena: RayArena) -> None:
    dice = random.Random(1)
    ids = arena.submit(NUM_JOBS)
    noticed: dict[str, list[float]] = {"worker": [], "node": [], "frozen": []}

    def hurt(kind: str, blow: Callable[[WorkerStatus], float]) -> None:
        noticed[kind].append(blow(victim(arena, ids)))

    def lose(kind: str, blow: Callable[[WorkerStatus], float]) -> None:
        hurt(kind, blow)
        arena.add_node()

    def restart_page() -> None:
        arena.kill_page()
        arena.start_page()

    blows: dict[str, Callable[[], None]] = {
        "worker": lambda: hurt("worker", arena.kill_worker),
        "node": lambda: lose("node", arena.kill_node),
        "frozen": lambda: lose("frozen", arena.freeze_node),
        "page": restart_page,
        "driver": arena.kill_driver,
    }
    order = [*blows, *dice.choices(["worker", "page"], k=NUM_BLOWS - len(blows))]
    dice.shuffle(order)
    for blow in order:
        time.sleep(dice.uniform(0.0, 2.0))
        blows[blow]()
        arena.wait_for_workers(1)
    arena.wait_for_end(END_SECONDS)
    given_up = arena.try_again_what_was_given_up()
    arena.wait_for_end(END_SECONDS)
    arena.check_exactly_one_result(ids)
    print("blows:", order, "jobs:", len(ids), "given up:", given_up, "seconds until noticed:", noticed)
    assert max(noticed["worker"]) <= KILLED_SECONDS, noticed
    assert max(noticed["frozen"]) <= FROZEN_SECONDS, noticed


def test_nothing_listens_beyond_this_machine_and_nothing_enters_without_the_token(arena: RayArena) -> None:
    assert arena.page is not None
    pids = [arena.page.pid, *arena.raylets.values()]
    processes = [psutil.Process(pid) for pid in pids]
    everything = [*processes, *(child for each in processes for child in each.children(recursive=True))]
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in everything
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    token = Path(arena.environ["RAY_AUTH_TOKEN_PATH"])
    assert token.stat().st_mode & 0o077 == 0
    refused = arena.ask_without_token()
    assert refused.returncode != 0, refused.stdout
    assert "manifest" not in refused.stdout


def test_pictures_of_a_cluster_are_those_of_one_worker_here(arena: RayArena) -> None:
    ids = arena.submit(6)
    arena.wait_for_end(END_SECONDS)
    arena.check_exactly_one_result(ids)
    assert arena.pixels(ids) == arena.pixels_drawn_here(ids)
