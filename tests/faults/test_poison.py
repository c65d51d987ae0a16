"""A job that kills its worker, in processes that really die: it neither blocks the others nor takes them with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.take_back import MAX_ATTEMPTS
from tests.jobs.parts import NUM_STEPS, request

ROOT = Path(__file__).resolve().parents[2]
POISON = 13
# Dies in the step that is asked for when it draws the poisonous seed, in step 0 of opening a group with it, before the
# engine has said anything; otherwise runs the queue to its end.
PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker, new_name
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine

def die(index, step):
    if engine.groups[-1][index] == 13 and step == int(sys.argv[2]):
        while journal.counts()["done"] < index:
            time.sleep(0.01)  # the pictures before it are written in a thread
        while max(job.step for job in journal.jobs()) < step - 1:
            time.sleep(0.01)  # so is how far it is
        os._exit(9)

class Opening(PlainEngine):
    def latents_keys(self, requests):
        if sys.argv[2] == "0" and any(request.seed == 13 for request in requests):
            os._exit(9)
        return super().latents_keys(requests)

settings = Settings(data_dir=Path(sys.argv[1]), device="cpu")
engine = Opening(die)
journal = Journal(settings.journal_path)
Worker(settings, journal, engine, name=new_name()).serve(threading.Event(), is_draining=True)
journal.close()
"""


def run_worker(journal: Journal, dies_in_step: int) -> int:
    arguments = [sys.executable, "-c", PROGRAM, str(journal.path.parent), str(dies_in_step)]
    return subprocess.run(arguments, cwd=ROOT, timeout=60, check=False).returncode


def test_a_poisonous_job_fails_after_three_workers_and_the_others_come(journal: Journal) -> None:
    journal.submit([request(seed) for seed in (1, POISON, 2, 3)], "local")
    codes = [run_worker(journal, dies_in_step=2) for _ in range(MAX_ATTEMPTS + 1)]
    assert codes == [9] * MAX_ATTEMPTS + [0]
    states = {job.request.seed: (job.state, job.attempt) for job in journal.jobs()}
    assert states.pop(POISON) == (JobState.FAILED, MAX_ATTEMPTS)
    assert {state for state, _ in states.values()} == {JobState.DONE}
    assert states[1] == (JobState.DONE, 1), "what was made before it is not made again"


def test_a_job_that_kills_its_worker_before_a_word_is_said_fails_too_and_the_others_come(journal: Journal) -> None:
    journal.submit([request(seed) for seed in (1, POISON, 2, 3)], "local")
    codes = [run_worker(journal, dies_in_step=0) for _ in range(MAX_ATTEMPTS + 1)]
    assert codes == [9] * MAX_ATTEMPTS + [0]
    jobs = {job.request.seed: job for job in journal.jobs()}
    poison = jobs.pop(POISON)
    assert (poison.state, poison.attempt) == (JobState.FAILED, MAX_ATTEMPTS)
    assert str(poison.error).startswith("The worker stopped 3 times while it made this picture")
    assert {job.state for job in jobs.values()} == {JobState.DONE}


def test_a_job_that_comes_further_each_time_is_made_in_the_end(journal: Journal) -> None:
    journal.submit([request(POISON)], "local")
    assert NUM_STEPS > MAX_ATTEMPTS
    assert [run_worker(journal, dies_in_step=step) for step in range(1, NUM_STEPS + 1)] == [9] * NUM_STEPS
    assert run_worker(journal, dies_in_step=NUM_STEPS + 1) == 0
    (job,) = journal.jobs()
    assert (job.state, job.attempt) == (JobState.DONE, NUM_STEPS + 1)
