"""A worker whose engine never returns, and one that is frozen as a whole, in processes that really hang.

What counts as too long is shortened in them: nobody waits for minutes here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pixart_ui.jobs import silence
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.supervisor import Supervisor, Task
from pixart_ui.jobs.take_back import MAX_ATTEMPTS
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.jobs.parts import request
from tests.jobs.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
POISON = 13
START_SECONDS = 120.0
# The engine waits for ever in the second step of the poisonous seed; otherwise it runs the queue to its end.
PROGRAM = """
import sys, threading
from pathlib import Path
from pixart_ui.jobs import deadline
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker, leave, new_name
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine

deadline.UNPLANNED_SECONDS = 2.0

def hang(index, step):
    if engine.groups[-1][index] == 13 and step == 2:
        threading.Event().wait()

settings = Settings(data_dir=Path(sys.argv[1]), device="cpu")
engine = PlainEngine(hang)
journal = Journal(settings.journal_path)
Worker(settings, journal, engine, name=new_name(), on_hang=leave).serve(threading.Event(), is_draining=True)
journal.close()
"""
# Makes the engine of a real worker wait for ever at the first attempt of the poisonous seed.
CUSTOMIZE = """
import threading
from pixart_ui.jobs import deadline
from pixart_ui.jobs.group_run import GroupRun

deadline.UNPLANNED_SECONDS = deadline.SPARE_SECONDS = 5.0
find = GroupRun._find_latents

def hang(run):
    if any(job.request.seed == 13 and job.attempt == 1 for job in run._jobs):
        threading.Event().wait()
    return find(run)

GroupRun._find_latents = hang
"""


def test_a_worker_that_hangs_ends_itself_and_its_job_is_given_up_after_three(journal: Journal) -> None:
    journal.submit([request(seed) for seed in (1, POISON, 2)], "local")

    def run_worker() -> tuple[int, str]:
        arguments = [sys.executable, "-c", PROGRAM, str(journal.path.parent)]
        ended = subprocess.run(arguments, cwd=ROOT, timeout=120, check=False, capture_output=True, text=True)
        return ended.returncode, ended.stderr

    ends = [run_worker() for _ in range(MAX_ATTEMPTS + 1)]
    assert [code for code, _ in ends] == [1] * MAX_ATTEMPTS + [0], ends
    assert "The worker said nothing for 2 s in the phase denoise" in ends[0][1]
    states = {job.request.seed: (job.state, job.attempt) for job in journal.jobs()}
    assert states.pop(POISON) == (JobState.FAILED, MAX_ATTEMPTS)
    assert {state for state, _ in states.values()} == {JobState.DONE}


@pytest.mark.long
def test_the_page_starts_a_worker_anew_that_hung_or_froze_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 8.0)
    (tmp_path / "sitecustomize.py").write_text(CUSTOMIZE)
    services = Services.open(Settings(data_dir=tmp_path / "data", device="cpu"))
    journal = services.journal
    supervisor = Supervisor(services.settings, journal, Task(environ={"PYTHONPATH": f"{tmp_path}:{ROOT}"}))
    values = {"prompt": "a red boat", "checkpoint": "tiny", "width": 64, "height": 64, "steps": 100}
    supervisor.start()
    try:
        (hung,) = services.enqueue([GenerationRequest.parse({**values, "seed": POISON})])
        wait_until(lambda: supervisor.status() is not None, "it hung", seconds=START_SECONDS)
        assert str(supervisor.status()).startswith("The worker said nothing for 5 s before it drew anything")
        wait_until(lambda: journal.job(hung.id).step > 0, "another draws the job", seconds=START_SECONDS)
        assert supervisor.status() is None
        assert supervisor.pid is not None
        os.kill(supervisor.pid, signal.SIGSTOP)
        wait_until(lambda: supervisor.status() is not None, "it froze", seconds=START_SECONDS)
        assert supervisor.status() == "The worker did not report for 8 s and was ended. It is started anew."
        wait_until(lambda: not journal.has_open(), "the job is done all the same", seconds=START_SECONDS)
    finally:
        supervisor.stop()
    job = journal.job(hung.id)
    assert (job.state, job.attempt) == (JobState.DONE, 3)
    journal.close()
