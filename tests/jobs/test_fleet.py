"""Several devices under one page: a process, a lock and a life of its own for each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pixart_ui.jobs.fleet import Fleet
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT
from tests.jobs.waiting import wait_until

READY_SECONDS = 120.0


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services.open(Settings.read({}, data_dir=str(tmp_path / "data"), devices="cpu,cpu"))
    yield services
    services.journal.close()


@pytest.mark.long
def test_a_device_that_cannot_be_had_does_not_keep_the_others_from_drawing(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    both = Settings(data_dir=settings.data_dir, devices=("cpu:0", "cuda:0"))
    fleet = Fleet(both, journal, os.environ)
    fleet.start()
    try:
        cpu, cuda = fleet.supervisors
        wait_until(lambda: cuda.status() is not None, "the absent device says so", seconds=READY_SECONDS)
        wait_until(lambda: len(journal.workers()) == 1, "the other is ready", seconds=READY_SECONDS)
        assert (cuda.status() or "").startswith("Device cuda was asked for, but")
        assert cpu.status() is None
        assert fleet.status() is None, "pictures can be drawn"
    finally:
        fleet.stop()
    assert journal.workers() == ()


def test_slots_of_a_processor_share_its_threads(settings: Settings, journal: Journal) -> None:
    both = Settings(data_dir=settings.data_dir, devices=("cpu:0", "cpu:1"))
    environ = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    fleet = Fleet(both, journal, environ)
    fleet.start()
    try:
        wait_until(lambda: all(each.pid is not None for each in fleet.supervisors), "both processes are there")
        processes = [psutil.Process(each.pid) for each in fleet.supervisors]
        wanted = max(1, len(os.sched_getaffinity(0)) // 2)
        assert [int(process.environ()["OMP_NUM_THREADS"]) for process in processes] == [wanted, wanted]
        devices = [part for process in processes for part in process.cmdline() if part.startswith("--device=")]
        assert devices == ["--device=cpu:0", "--device=cpu:1"]
    finally:
        fleet.stop()


@pytest.mark.long
def test_two_workers_share_a_queue_survive_each_other_and_draw_what_one_would(services: Services) -> None:
    values = {"prompt": "a red boat by the sea", "checkpoint": "tiny", "width": 64, "height": 64, "steps": 20}
    asked = [GenerationRequest.parse({**values, "seed": seed}) for seed in range(12)]
    fleet = Fleet(services.settings, services.journal, os.environ)
    fleet.start()
    try:
        wait_until(lambda: len(services.journal.workers()) == 2, "both are ready", seconds=READY_SECONDS)
        assert sorted(worker.device for worker in services.journal.workers()) == ["cpu:0", "cpu:1"]
        third = subprocess.run(
            [sys.executable, "-m", "pixart_ui", "worker", "--device=cpu:1", f"--data-dir={services.settings.data_dir}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "cpu:1 already has a worker" in third.stderr
        ids = [job.id for job in services.enqueue(asked)]
        one, two = services.journal.workers()
        wait_until(
            lambda: {job.worker for job in services.journal.open_work().running if job.step > 0} == {one.id, two.id},
            "both draw",
        )
        os.kill(two.pid, signal.SIGKILL)
        wait_until(lambda: not services.journal.has_open(), "all have ended", seconds=READY_SECONDS)
        assert one.id in {worker.id for worker in services.journal.workers()}, "the other went on undisturbed"
        wait_until(lambda: len(services.journal.workers()) == 2, "it came again", seconds=READY_SECONDS)
    finally:
        fleet.stop()
    jobs = services.journal.jobs(ids=ids, newest_first=False)
    assert [job.state for job in jobs] == [JobState.DONE] * len(asked)
    assert len(list(services.settings.images_dir.iterdir())) == len(asked)
    alone = Services.open(Settings(data_dir=services.settings.data_dir.parent / "alone", device="cpu"))
    alone.enqueue(asked)
    environ = {"OMP_NUM_THREADS": "1", **os.environ}
    subprocess.run(
        [sys.executable, "-m", "pixart_ui", "queue", "run", "--drain", f"--data-dir={alone.settings.data_dir}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        env=environ,
    )
    assert pixels(services) == pixels(alone)
    alone.journal.close()


def pixels(services: Services) -> list[bytes]:
    paths = [services.image_path(job) for job in services.journal.jobs(newest_first=False)]
    return [Image.open(path).tobytes() for path in paths if path is not None]
