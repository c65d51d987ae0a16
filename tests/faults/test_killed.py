"""Real processes, the real engine, and `kill -9` at the worst moment."""

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

from pixart_ui.events import Phase
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.supervisor import Supervisor
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.jobs.waiting import wait_until
from tests.toy import make_toy_checkpoint

ROOT = Path(__file__).resolve().parents[2]
MANY_STEPS = 150

PAGE = """
import sys, threading
from pathlib import Path
from pixart_ui.jobs.supervisor import Supervisor
from pixart_ui.services import Services
from pixart_ui.settings import Settings
services = Services.open(Settings(data_dir=Path(sys.argv[1]), device="cpu"))
supervisor = Supervisor(services.settings, services.journal)
supervisor.start()
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_checkpoint(tmp_path_factory.mktemp("toy") / "toy")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services.open(Settings(data_dir=tmp_path / "data", device="cpu"))
    yield services
    services.journal.close()


def submit(services: Services, toy: Path, num_images: int = 1) -> tuple[Job, ...]:
    values = {"prompt": "a", "checkpoint": str(toy), "steps": MANY_STEPS, "seed": 1, "num_images": num_images}
    return services.submit(GenerationRequest.parse(values))


@pytest.mark.long
def test_a_worker_killed_in_mid_step_is_replaced_and_every_picture_comes_once(services: Services, toy: Path) -> None:
    supervisor = Supervisor(services.settings, services.journal)
    supervisor.start()
    try:
        jobs = submit(services, toy, num_images=3)
        wait_until(
            lambda: (
                services.journal.job(jobs[1].id).phase is Phase.DENOISE and services.journal.job(jobs[1].id).step > 5
            ),
            "the second picture is being made",
        )
        killed = supervisor.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: all(services.journal.job(job.id).state.is_end for job in jobs),
            "all have ended",
        )
        assert supervisor.pid not in (None, killed)
        assert supervisor.status() is None
        assert [worker.pid for worker in services.journal.workers()] == [supervisor.pid]
    finally:
        supervisor.stop()
    ended = [services.journal.job(job.id) for job in jobs]
    assert [job.state for job in ended] == [JobState.DONE] * 3
    assert [job.attempt for job in ended] == [1, 2, 2]
    assert sorted(path.name for path in services.settings.images_dir.iterdir()) == sorted(
        job.image for job in ended if job.image is not None
    )
    for job in ended:
        path = services.image_path(job)
        assert path is not None
        assert images.read_request(path) == job.request
        with Image.open(path) as image:
            image.load()
    assert list(services.settings.previews_dir.iterdir()) == []
    assert services.journal.workers() == ()


@pytest.mark.long
def test_a_page_that_is_killed_takes_its_worker_along_and_the_next_page_goes_on(services: Services, toy: Path) -> None:
    (job,) = submit(services, toy)
    with subprocess.Popen([sys.executable, "-c", PAGE, str(services.settings.data_dir)], cwd=ROOT) as page:
        wait_until(lambda: services.journal.job(job.id).phase is Phase.DENOISE, "the picture is being made")
        (worker,) = services.journal.workers()
        process = psutil.Process(worker.pid)
        page.send_signal(signal.SIGKILL)
        # A second page at once: its worker has to wait for the device, quietly.
        supervisor = Supervisor(services.settings, services.journal)
        supervisor.start()
        try:
            wait_until(lambda: not process.is_running(), "the orphan has left", seconds=15)
            wait_until(lambda: services.journal.job(job.id).state is JobState.DONE, "the picture came")
            assert supervisor.status() is None
        finally:
            supervisor.stop()
    assert services.journal.job(job.id).state is JobState.DONE


@pytest.mark.long
def test_a_second_page_on_the_same_folder_shares_the_worker_and_inherits_its_device(services: Services) -> None:
    first = Supervisor(services.settings, services.journal)
    second = Supervisor(services.settings, services.journal)
    first.start()
    try:
        wait_until(lambda: bool(services.journal.workers()), "the first is ready")
        second.start()
        wait_until(lambda: second.pid is not None, "the second tries")
        wait_until(lambda: second.pid is None, "the second is refused")
        assert second.status() is None, "there is a worker: nothing to complain of"
        assert [worker.pid for worker in services.journal.workers()] == [first.pid]
        first.stop()
        wait_until(lambda: bool(services.journal.workers()), "the second has it")
        assert [worker.pid for worker in services.journal.workers()] == [second.pid]
    finally:
        first.stop()
        second.stop()
