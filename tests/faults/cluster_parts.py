"""A page that draws on a real Ray cluster of this machine, and ways to hurt both.

Everything is a process of its own, as in life: the page's side, its driver, Ray's nodes, a worker on each.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from pixart_ui.cluster.environment import ray_environment
from pixart_ui.jobs.job import JobState, WorkerStatus
from pixart_ui.jobs.take_back import MAX_ATTEMPTS
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.faults.kills import PROMPTS, is_whole
from tests.jobs.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"checkpoint": "tiny", "width": 64, "height": 64, "steps": 3, "guidance_scale": 0}
READY_SECONDS = 600.0

PAGE = """
import os, sys, threading
from pixart_ui.jobs.fleet import Fleet
from pixart_ui.services import Services
from pixart_ui.settings import Settings
services = Services.open(Settings.read({}, data_dir=sys.argv[1], cluster=sys.argv[2]))
Fleet(services.settings, services.journal, os.environ).start()
sys.stdin.read()
"""


class RayArena:
    """One data folder, one cluster, one page at a time."""

    def __init__(self, folder: Path, num_nodes: int) -> None:
        self.folder = folder
        settings = Settings(data_dir=folder / "data", cluster="127.0.0.1:1")
        self.environ = {**os.environ, **ray_environment(settings, {}), "OMP_NUM_THREADS": "1"}
        self.services = Services.open(settings)
        self.journal = self.services.journal
        self._watch_ends()
        self._nodes_process = self._start("-m", "tests.faults.ray_nodes", str(folder), str(num_nodes))
        self.page: subprocess.Popen[str] | None = None
        self._hear()

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _hear(self) -> None:
        assert self._nodes_process.stdout is not None
        for line in self._nodes_process.stdout:
            if line.startswith('{"address"'):
                told = json.loads(line)
                self.address: str = told["address"]
                self.raylets: Mapping[str, int] = told["nodes"]
                return
        raise AssertionError(f"the cluster did not start: {(self.folder / 'log').read_text()[-3000:]}")

    def _watch_ends(self) -> None:
        """Note each time that a job becomes `done`, in the transaction that does it."""
        with sqlite3.connect(self.services.settings.journal_path) as db:
            db.execute("CREATE TABLE ends (id INTEGER)")
            db.execute(
                "CREATE TRIGGER ended AFTER UPDATE OF state ON jobs WHEN new.state='done' "
                "BEGIN INSERT INTO ends VALUES (new.id); END"
            )
        db.close()

    # What people do

    def start_page(self) -> None:
        self.page = self._start("-c", PAGE, str(self.services.settings.data_dir), self.address)

    def submit(self, num_jobs: int, **changes: Any) -> list[int]:
        values = SMALL | changes
        asked = [
            GenerationRequest.parse({"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, **values})
            for number in range(num_jobs)
        ]
        return [job.id for job in self.services.enqueue(asked)]

    def serving(self) -> list[WorkerStatus]:
        return [worker for worker in self.journal.workers() if worker.is_taking]

    def wait_for_workers(self, count: int) -> None:
        wait_until(lambda: len(self.serving()) >= count, f"{count} workers serve", seconds=READY_SECONDS)

    def wait_for_drawing(self, worker: str) -> None:
        wait_until(lambda: bool(self._steps(worker)), f"{worker} draws", seconds=READY_SECONDS)

    def _steps(self, worker: str) -> list[int]:
        return [job.step for job in self.journal.open_work().running if job.worker == worker and job.step > 0]

    # What happens to them

    def add_node(self) -> None:
        assert self._nodes_process.stdin is not None
        self._nodes_process.stdin.write("add\n")
        self._nodes_process.stdin.flush()
        self._hear()

    def kill_worker(self, worker: WorkerStatus) -> float:
        return self._hurt(worker, lambda: os.kill(worker.info["pid"], signal.SIGKILL))

    def kill_node(self, worker: WorkerStatus) -> float:
        return self._hurt(worker, lambda: os.kill(self.raylets[worker.info["node"]], signal.SIGKILL))

    def freeze_node(self, worker: WorkerStatus) -> float:
        """As if the power were cut, or the cable: nothing of it answers, and nothing says so."""
        raylet = self.raylets[worker.info["node"]]
        frozen = [psutil.Process(raylet), *psutil.Process(raylet).children(recursive=True)]

        def freeze() -> None:
            for process in frozen:
                process.suspend()

        seconds = self._hurt(worker, freeze)
        for process in frozen:
            process.kill()
        return seconds

    def kill_page(self) -> None:
        """With `kill -9`; the driver, whose lifeline it held, leaves by itself."""
        assert self.page is not None
        drivers = psutil.Process(self.page.pid).children()
        self.page.kill()
        self.page.communicate()
        self.page = None
        psutil.wait_procs(drivers, timeout=60)

    def kill_driver(self) -> None:
        assert self.page is not None
        for driver in psutil.Process(self.page.pid).children():
            driver.kill()

    def _hurt(self, worker: WorkerStatus, blow: Any) -> float:
        """Seconds until the journal knows that the worker is gone, and its jobs are another's to take."""
        blow()
        started = time.monotonic()
        wait_until(
            lambda: worker.id not in {other.id for other in self.journal.workers(alive_within=1e9)},
            f"{worker.id} is given up",
            seconds=90,
        )
        return time.monotonic() - started

    # What must hold

    def wait_for_end(self, seconds: float) -> None:
        wait_until(lambda: not self.journal.has_open(), "all jobs have ended", seconds=seconds)

    def try_again_what_was_given_up(self) -> int:
        """A job that was hit three times in the same step is given up with that reason: here it was not the cause."""
        errors = [job.error for job in self.journal.jobs(states=[JobState.FAILED])]
        assert all(str(error).startswith(f"The worker stopped {MAX_ATTEMPTS} times") for error in errors), errors
        return len(self.journal.retry_failed())

    def check_exactly_one_result(self, ids: list[int]) -> None:
        jobs = self.journal.jobs(ids=ids)
        assert Counter(job.state for job in jobs) == {JobState.DONE: len(ids)}, [job.error for job in jobs]
        with sqlite3.connect(self.services.settings.journal_path) as db:
            ends = Counter(row[0] for row in db.execute("SELECT id FROM ends"))
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        db.close()
        assert verdict == "ok"
        assert {job_id: ends[job_id] for job_id in ids} == dict.fromkeys(ids, 1), "each became done exactly once"
        images = sorted(self.services.settings.images_dir.iterdir())
        assert [path.name for path in images] == sorted(str(job.image) for job in self.journal.jobs())
        assert all(map(is_whole, images))

    def pixels(self, ids: Sequence[int]) -> list[bytes]:
        paths = [self.services.image_path(self.journal.job(job_id)) for job_id in ids]
        return [Image.open(path).tobytes() for path in paths if path is not None]

    def pixels_drawn_here(self, ids: Sequence[int]) -> list[bytes]:
        """What a worker of this machine makes of the same requests, in a data folder of its own."""
        alone = Services.open(Settings(data_dir=self.folder / "alone", device="cpu"))
        jobs = alone.journal.submit([self.journal.job(job_id).request for job_id in ids], "local")
        subprocess.run(
            [
                *(sys.executable, "-m", "pixart_ui", "queue", "run", "--drain"),
                *("--device=cpu", f"--data-dir={alone.settings.data_dir}"),
            ],
            cwd=ROOT,
            env=self.environ,
            check=True,
            capture_output=True,
            timeout=300,
        )
        paths = [alone.image_path(alone.journal.job(job.id)) for job in jobs]
        alone.journal.close()
        return [Image.open(path).tobytes() for path in paths if path is not None]

    def ask_without_token(self) -> subprocess.CompletedProcess[str]:
        """Read what the app published, as a stranger on this machine would."""
        program = (
            "import sys; from pixart_ui.cluster.ray_port import read_manifest; "
            "print('manifest', read_manifest(sys.argv[1], 5.0))"
        )
        stranger = {**self.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        stranger.pop("RAY_AUTH_TOKEN_PATH")
        return subprocess.run(
            [sys.executable, "-c", program, self.address],
            cwd=ROOT,
            env=stranger,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def close(self) -> None:
        for process in (self.page, self._nodes_process):
            if process is not None and process.stdin is not None:
                if process is self.page:
                    drivers = psutil.Process(process.pid).children()
                    process.kill()
                    psutil.wait_procs(drivers, timeout=60)
                process.communicate(timeout=60)
        self.journal.close()


@contextmanager
def ray_arena(folder: Path, num_nodes: int) -> Iterator[RayArena]:
    arena = RayArena(folder, num_nodes)
    try:
        yield arena
    finally:
        arena.close()
