"""Pictures are written beside the drawing: in order, one at a time, and none is lost whatever ends the group."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixart_ui.errors import CheckpointError
from pixart_ui.events import Event, Phase, PhasePlan, Plan, Residency, SteppedDown, WeightsPrepared
from pixart_ui.gallery import images
from pixart_ui.jobs import worker as worker_module
from pixart_ui.jobs.group_run import image_name
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.request import ResolvedRequest
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT
from tests.jobs.parts import NUM_STEPS, PlainEngine, request
from tests.jobs.waiting import wait_until

SECONDS = 10.0


def serve(settings: Settings, journal: Journal, engine: PlainEngine, jobs: Sequence[Job]) -> list[Job]:
    Worker(settings, journal, engine, name="one").serve(threading.Event(), only=[job.id for job in jobs])
    return [journal.job(job.id) for job in jobs]


@dataclass
class Door:
    """Lets a save through only once it is open. `names` are the pictures in the order in which they were saved."""

    is_open: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    names: list[str] = field(default_factory=list)
    num_inside: int = 0
    most_inside: int = 0


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door, save = Door(), images.save

    def slowly(image: Image.Image, path: Path, *rest: Any) -> Path:
        door.num_inside += 1
        door.most_inside = max(door.most_inside, door.num_inside)
        door.reached.set()
        door.is_open.wait(SECONDS)
        door.names.append(path.name)
        door.num_inside -= 1
        return save(image, path, *rest)

    monkeypatch.setattr(images, "save", slowly)
    yield door
    door.is_open.set()


def test_the_next_picture_is_drawn_while_one_is_written(settings: Settings, journal: Journal, door: Door) -> None:
    jobs = journal.submit([request(0), request(1)], "local")
    seen: list[Job] = []

    def look(index: int, step: int) -> None:
        if (index, step) == (1, 3):
            assert door.reached.wait(SECONDS)
            seen.append(journal.job(jobs[0].id))
            assert list(settings.images_dir.iterdir()) == []
            door.is_open.set()

    ended = serve(settings, journal, PlainEngine(look), jobs)
    assert [job.state for job in seen] == [JobState.RUNNING], "it does not count before its file is there"
    assert (seen[0].phase, seen[0].step) == (None, NUM_STEPS), "the worker's death would not be held against it"
    assert [job.state for job in ended] == [JobState.DONE] * 2
    assert all((settings.images_dir / image_name(job)).is_file() for job in ended)


def test_pictures_are_written_in_order_and_one_at_a_time(settings: Settings, journal: Journal, door: Door) -> None:
    jobs = journal.submit([request(seed) for seed in range(5)], "local")

    def open_late(index: int, step: int) -> None:
        if index == 4:
            door.is_open.set()

    serve(settings, journal, PlainEngine(open_late), jobs)
    assert door.names == [image_name(job) for job in jobs]
    assert door.most_inside == 1
    finished = [journal.job(job.id).finished_at or 0 for job in jobs]
    assert finished == sorted(finished)


@pytest.mark.parametrize("ending", ["stop", "cancel", "error"])
def test_a_picture_that_is_made_is_kept_whatever_ends_the_group(
    settings: Settings, journal: Journal, door: Door, ending: str
) -> None:
    stop = threading.Event()
    jobs = journal.submit([request(0), request(1), request(2)], "local")
    threading.Timer(0.3, door.is_open.set).start()

    def end_in_second(index: int, step: int) -> None:
        if (index, step) != (1, 2):
            return
        assert not door.is_open.is_set()
        if ending == "stop":
            stop.set()
        elif ending == "cancel":
            journal.cancel([job.id for job in jobs])
        else:
            raise CheckpointError("It is damaged: get it again.")

    only = None if ending == "stop" else [job.id for job in jobs]
    Worker(settings, journal, PlainEngine(end_in_second), name="one").serve(stop, only=only)
    rest = {"stop": JobState.QUEUED, "cancel": JobState.CANCELLED, "error": JobState.FAILED}[ending]
    assert [journal.job(job.id).state for job in jobs] == [JobState.DONE, rest, rest]
    assert [path.name for path in settings.images_dir.iterdir()] == [image_name(jobs[0])]


def test_a_save_that_fails_fails_its_own_job(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = images.save

    def fail_second(image: Image.Image, path: Path, request: ResolvedRequest, facts: Any) -> Path:
        if request.seed == 1:
            raise TypeError("facts that are no JSON")
        return save(image, path, request, facts)

    monkeypatch.setattr(images, "save", fail_second)
    jobs = journal.submit([request(seed) for seed in range(4)], "local")
    first, bad, *rest = serve(settings, journal, PlainEngine(), jobs)
    assert [job.state for job in (first, *rest)] == [JobState.DONE] * 3
    assert bad.state is JobState.FAILED
    assert bad.error is not None
    assert "unexpected TypeError" in bad.error


def test_a_picture_knows_how_many_were_made_with_it(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(seed) for seed in range(3)], "local")
    facts = [job.facts for job in serve(settings, journal, PlainEngine(), jobs)]
    assert [entry["group_size"] for entry in facts if entry is not None] == [3, 3, 3]


KILLED = """
import sys, threading
from pathlib import Path
from pixart_ui.gallery import images
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine
def hang(*_):
    print("saving", flush=True)
    threading.Event().wait()
images.save = hang
settings = Settings(data_dir=Path(sys.argv[1]), device="cpu")
Worker(settings, Journal(settings.journal_path), PlainEngine(), name="killed").serve(threading.Event())
"""


def test_kill_9_while_a_picture_is_written_loses_nothing(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(0), request(1)], "local")
    command = [sys.executable, "-c", KILLED, str(settings.data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "saving\n"
        wait_until(lambda: journal.job(jobs[1].id).step == NUM_STEPS, "the second is drawn as well")
        os.kill(process.pid, signal.SIGKILL)
    assert list(settings.images_dir.iterdir()) == []
    ended = serve(settings, journal, PlainEngine(), jobs)
    assert [(job.state, job.attempt) for job in ended] == [(JobState.DONE, 2)] * 2
    assert sorted(path.name for path in settings.images_dir.iterdir()) == [image_name(job) for job in jobs]


# What the engine says beside pictures


class Talking(PlainEngine):
    """Says one thing before it draws, and waits until the page could have read it."""

    def __init__(self, event: Event, wait: Callable[[], None], seen: Callable[[], None]) -> None:
        super().__init__()
        self.event, self.wait, self.seen = event, wait, seen
        self.is_heard = False  # to be asked outside, as the worker outlives what is raised in here

    def run(self, requests: Sequence[ResolvedRequest], *rest: Any) -> Iterator[Event]:
        yield self.event
        self.wait()
        yield from super().run(requests, *rest)
        self.seen()
        self.is_heard = True


def info(journal: Journal) -> dict[str, Any]:
    return dict(journal.workers()[0].info)


def test_weights_that_are_prepared_are_told_until_they_are(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.02)
    told = {"component": "text_encoder", "done_bytes": 32, "total_bytes": 63}
    engine = Talking(
        WeightsPrepared("text_encoder", 32, 63),
        wait=lambda: wait_until(lambda: info(journal).get("preparing") == told, "it is told", SECONDS),
        seen=lambda: wait_until(lambda: "preparing" not in info(journal), "it is over", SECONDS),
    )
    (job,) = serve(settings, journal, engine, journal.submit([request(0)], "local"))
    assert job.state is JobState.DONE
    assert engine.is_heard


def test_a_smaller_plan_is_logged_and_told_for_as_long_as_its_group_runs(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.02)
    plan = Plan((PhasePlan(Phase.DECODE, Residency.STAGED, "in pieces"),))
    engine = Talking(
        SteppedDown(Phase.DECODE, plan, "decode: in pieces."),
        wait=lambda: wait_until(lambda: info(journal).get("notes") == ["decode: in pieces."], "it is told", SECONDS),
        seen=lambda: wait_until(lambda: info(journal).get("notes") == ["decode: in pieces."], "it stays", SECONDS),
    )
    worker, stop = Worker(settings, journal, engine, name="one"), threading.Event()
    (job,) = journal.submit([request(0)], "local")
    thread = threading.Thread(target=worker.serve, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: journal.job(job.id).state is JobState.DONE, "the picture came", SECONDS)
        wait_until(lambda: "notes" not in info(journal), "the next group begins without", SECONDS)
    finally:
        stop.set()
        thread.join()
    assert engine.is_heard
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["decode: in pieces." in record.getMessage() for record in warnings] == [True]


def test_small_changes_of_memory_wake_no_browser(settings: Settings, journal: Journal) -> None:
    class Shifting(PlainEngine):
        free, kept = 10 * 2**30, 0

        def info(self) -> dict[str, Any]:
            return {"memory_free_bytes": self.free, "weight_bytes": self.kept}

    engine = Shifting()
    worker = Worker(settings, journal, engine, name="one")
    seen = []
    for free, kept in ((10 * 2**30, 0), (9 * 2**30 - 1000, 2**30), (8 * 2**30, 2**30)):
        engine.free, engine.kept = free, kept
        worker._refresh_info("ready")
        seen.append(worker._info["memory_free_bytes"])
    assert seen == [10 * 2**30, 9 * 2**30, 8 * 2**30], "weights that came are no change of what can be used"
