"""`queue`: the same journal as the page's, from the command line, while the app runs or not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixart_ui import cli
from pixart_ui.gallery import images
from pixart_ui.jobs import database
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.lock import device_lock
from tests.cli.commands import ROOT, Ended
from tests.jobs.parts import request
from tests.jobs.waiting import wait_until

Queue = Callable[..., Ended]
# What `kill -9` leaves behind is the same for every worker; see `tests/faults`.
KILLS = [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]


@pytest.fixture
def queue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Queue:
    """`queue …` on a data folder of its own, in this process."""

    def run(*arguments: str) -> Ended:
        code = cli.main(["queue", *arguments, "--data-dir", str(tmp_path)])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


def as_json(ended: Ended) -> Any:
    assert (ended.code, ended.err) == (0, ""), ended.err
    return json.loads(ended.out)


# Adding and listing


def test_each_prompt_becomes_a_job_with_the_settings_given(queue: Queue, toy: Path, journal: Journal) -> None:
    settings = ["--checkpoint", str(toy), "--steps", "3", "--seed", "0", "--guidance", "0", "--size", "256x256"]
    added = as_json(queue("add", "a red circle", "a house", *settings, "--num-images", "2", "--json"))
    assert [(job["prompt"], job["seed"]) for job in added] == [
        ("a red circle", 0),
        ("a red circle", 1),
        ("a house", 0),
        ("a house", 1),
    ]
    assert [job["position"] for job in added] == [1, 2, 3, 4]
    assert len({job["batch"] for job in added}) == 2
    stored = journal.job(added[0]["id"])
    assert (stored.owner, stored.request.steps, stored.request.guidance_scale) == ("local", 3, 0)
    assert added[0]["request"] == stored.request.model_dump(mode="json")


def test_jobs_are_added_behind_those_that_wait(queue: Queue, journal: Journal) -> None:
    journal.submit([request(1)], "local")
    ended = queue("add", "a house", "--checkpoint", "tiny", "--seed", "2")
    assert (ended.code, ended.err) == (0, "")
    assert "place 2" in ended.out
    assert [job.request.seed for job in journal.jobs(newest_first=False)] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["PROMPT", "--help"]),
        (["a", "  "], ["prompt is empty"]),
        (["a", "b", "--steps", "0"], ["Steps", "1 to 150"]),
        (["a", "--checkpoint", "tiney"], ["did you mean 'tiny'"]),
        (["a", "--out", "a.png"], ["--out"]),
    ],
)
def test_a_wrong_addition_adds_nothing(queue: Queue, journal: Journal, arguments: list[str], words: list[str]) -> None:
    ended = queue("add", *arguments)
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert journal.jobs() == ()


def test_the_list_is_json_with_what_there_is_to_know(queue: Queue, journal: Journal, tmp_path: Path) -> None:
    journal.submit([request(seed) for seed in range(4)], "local")
    done, failed, _ = journal.claim("one", lease_seconds=60, limit=3)
    (tmp_path / "images").mkdir(exist_ok=True)
    images.save(_picture(), tmp_path / "images" / "a.png", done.request, {})
    journal.finish(done, image="a.png", facts={})
    journal.fail(failed, "It broke.")
    jobs = as_json(queue("list", "--json"))
    assert [(job["state"], job["position"], job["attempt"], job["owner"]) for job in jobs] == [
        ("running", None, 1, "local"),
        ("queued", 1, 0, "local"),
        ("failed", None, 1, "local"),
        ("done", None, 1, "local"),
    ]
    assert jobs[3]["image"] == str(tmp_path / "images" / "a.png")
    assert [job["image"] for job in jobs[:3]] == [None] * 3
    assert jobs[2]["error"] == "It broke."
    assert jobs[1]["prompt"] == "a red circle"
    lines = queue("list").out.splitlines()
    assert [word in line for line, word in zip(lines, ("running", "place 1", "It broke.", "a.png"), strict=True)] == [
        True
    ] * 4


def _picture() -> Any:
    from PIL import Image

    return Image.new("RGB", (8, 8))


def test_the_list_is_narrowed_by_state_text_and_owner(queue: Queue, journal: Journal) -> None:
    house = request(2, prompt="A House", full_prompt="A House")
    journal.submit([request(1), house], "local")
    journal.submit([house], "guest")
    (first, *_) = journal.claim("one", lease_seconds=60, limit=1)
    found = as_json(queue("list", "--json", "--text", "house", "--state", "queued", "--owner", "guest"))
    assert [(job["prompt"], job["owner"]) for job in found] == [("A House", "guest")]
    assert [job["id"] for job in as_json(queue("list", "--json", "--state", "running"))] == [first.id]
    assert as_json(queue("list", "--json", "--text", "tree")) == []


# Changing


def test_pause_and_resume_are_seen_in_the_journal(queue: Queue, journal: Journal) -> None:
    assert queue("pause", "the card is needed").out == "paused (the card is needed)\n"
    assert journal.pause_reason() == "the card is needed"
    assert queue("list").err == "The queue is paused (the card is needed).\n"
    assert as_json(queue("pause", "--json")) == {"is_paused": True, "reason": "somebody paused it"}
    assert as_json(queue("resume", "--json")) == {"is_paused": False, "reason": None}
    assert journal.pause_reason() is None


def test_cancel_and_retry_take_numbers_or_all(queue: Queue, journal: Journal) -> None:
    first, second, third = (job.id for job in journal.submit([request(seed) for seed in range(3)], "local"))
    assert [job["state"] for job in as_json(queue("cancel", str(second), "--json"))] == ["cancelled"]
    assert [job["id"] for job in as_json(queue("cancel", "--all", "--json"))] == [first, third]
    retried = as_json(queue("retry", str(third), str(first), "--json"))
    assert [(job["id"], job["state"], job["position"]) for job in retried] == [
        (first, "queued", 1),
        (third, "queued", 2),
    ]
    assert queue("retry", "--failed").out == "no jobs\n"
    (job, _) = journal.claim("one", lease_seconds=60, limit=2)
    journal.fail(job, "It broke.")
    assert [job["id"] for job in as_json(queue("retry", "--failed", "--json"))] == [first]


def test_a_job_is_moved(queue: Queue, journal: Journal) -> None:
    ids = [job.id for job in journal.submit([request(seed) for seed in range(3)], "local")]
    assert as_json(queue("move", str(ids[2]), "first", "--json"))[0]["position"] == 1
    assert "place 2" in queue("move", str(ids[2]), "down").out
    assert [job.id for job in journal.jobs(newest_first=False)] == [ids[0], ids[2], ids[1]]


def test_clear_takes_what_ended_off_the_list(queue: Queue, journal: Journal) -> None:
    journal.submit([request(0), request(1)], "local")
    journal.cancel([1])
    assert as_json(queue("clear", "--json")) == {"removed": 1}
    assert queue("clear").out == "0 jobs removed\n"
    assert [job.id for job in journal.jobs()] == [2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["VERB", "--help"]),
        (["cancel", "99"], ["Job 99 is unknown"]),
        (["cancel", "2", "99"], ["Job 99 is unknown"]),
        (["cancel", "1"], ["Job 1 is done", "only waiting and running"]),
        (["cancel"], ["--all"]),
        (["cancel", "2", "--all"], ["--all", "one of the two"]),
        (["cancel", "2", "--owner", "me"], ["--owner goes with --all"]),
        (["cancel", "two"], ["'two'", "whole numbers", "queue list"]),
        (["cancel", "-2"], ["-2"]),
        (["cancel", "9" * 30], ["whole numbers"]),
        (["retry", "2"], ["Job 2 is queued", "failed and cancelled"]),
        (["retry", "99"], ["Job 99 is unknown"]),
        (["retry"], ["--failed"]),
        (["move", "1", "up"], ["Job 1 is done", "only waiting jobs"]),
        (["move", "99", "up"], ["Job 99 is unknown"]),
        (["move", "2", "upp"], ["'upp'", "did you mean 'up'"]),
        (["move", "2"], ["WHERE"]),
        (["list", "--state", "runing"], ["'runing'", "did you mean 'running'"]),
        (["pause", " "], ["Reason", "line of text"]),
        (["pause", "\x1b[31m"], ["Reason", "line of text"]),
        (["run", "--device", "tpu"], ["'tpu'"]),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    queue: Queue, journal: Journal, arguments: list[str], words: list[str]
) -> None:
    journal.submit([request(0), request(1)], "local")
    (done,) = journal.claim("one", lease_seconds=60, limit=1)
    journal.finish(done, image="a.png", facts={})
    before = (journal.revision(), journal.jobs())
    ended = queue(*arguments)
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err
    assert (journal.revision(), journal.jobs()) == before


# What can be wrong with the file


def test_a_journal_of_a_newer_version_is_one_sentence(queue: Queue, journal: Journal) -> None:
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO migrations VALUES ('9999 from the future', 0)")
    db.close()
    ended = queue("list")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert "newer version" in ended.err


@pytest.mark.parametrize("verb", [["list"], ["pause"], ["cancel", "--all"], ["add", "a", "--checkpoint", "tiny"]])
def test_a_journal_that_cannot_be_opened_is_one_sentence(queue: Queue, tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "journal.sqlite3").mkdir()
    ended = queue(*verb)
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert "cannot be opened" in ended.err


def test_a_read_only_journal_is_one_sentence(queue: Queue, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite is told so: these tests may run as root, for whom no file is read-only."""
    connect = database.Database._connection

    def read_only(self: database.Database) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute("PRAGMA query_only=ON")
        return connection

    monkeypatch.setattr(database.Database, "_connection", read_only)
    ended = queue("pause")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert "read-only" in ended.err


def test_a_locked_journal_is_one_sentence(queue: Queue, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ended = queue("pause")
    other.close()
    assert ended.code == 1
    assert ended.is_one_sentence, ended.err
    assert "locked by another program" in ended.err
    assert journal.pause_reason() is None


# Running


def add(queue: Queue, toy: Path, *prompts: str, steps: int = 2) -> list[int]:
    jobs = as_json(queue("add", *prompts, "--checkpoint", str(toy), "--steps", str(steps), "--seed", "1", "--json"))
    return [job["id"] for job in jobs]


def test_run_drains_the_queue_without_the_page(queue: Queue, toy: Path, journal: Journal, tmp_path: Path) -> None:
    ids = add(queue, toy, "a", "b")
    ended = queue("run", "--drain", "--device", "cpu")
    assert (ended.code, ended.err) == (0, "")
    made = [journal.job(job_id) for job_id in ids]
    assert [job.state for job in made] == [JobState.DONE] * 2
    assert ended.out.splitlines() == [str(tmp_path / "images" / str(job.image)) for job in made]
    assert all(Path(line).is_file() for line in ended.out.splitlines())
    assert journal.workers() == ()
    assert as_json(queue("run", "--drain", "--device", "cpu", "--json")) == [], "there is nothing left"


def test_run_tells_of_what_failed_and_of_the_rest_as_json(queue: Queue, toy: Path, journal: Journal) -> None:
    (good,) = add(queue, toy, "a")
    lost = str(toy / "absent")
    (bad,) = journal.submit([journal.job(good).request.model_copy(update={"checkpoint": lost})], "local")
    ended = queue("run", "--drain", "--device", "cpu", "--json")
    assert ended.code == 1
    assert ended.err.startswith(f"Job {bad.id}: ")
    assert [(job["id"], job["state"]) for job in json.loads(ended.out)] == [(good, "done"), (bad.id, "failed")]


def test_a_paused_queue_is_not_drained(queue: Queue, journal: Journal) -> None:
    journal.submit([request(0)], "local")
    journal.pause("the disk is full")
    ended = queue("run", "--drain", "--device", "cpu")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert ended.err == "The queue is paused (the disk is full), 1 job is left: use `queue resume` first.\n"
    assert journal.counts()[JobState.QUEUED] == 1


def test_run_is_refused_where_the_device_has_a_worker(queue: Queue, journal: Journal, tmp_path: Path) -> None:
    journal.submit([request(0)], "local")
    with device_lock("cpu", tmp_path):
        ended = queue("run", "--drain", "--device", "cpu")
    assert ended.code == 1
    assert ended.is_one_sentence, ended.err
    assert "already has a worker" in ended.err
    assert journal.counts()[JobState.QUEUED] == 1


@pytest.mark.parametrize("number", KILLS if os.name == "posix" else [])
def test_run_resumes_where_it_was_stopped(
    queue: Queue, toy: Path, journal: Journal, tmp_path: Path, number: signal.Signals
) -> None:
    ids = [*add(queue, toy, "a"), *add(queue, toy, "b", steps=150)]
    with subprocess.Popen(
        [sys.executable, "-m", "pixart_ui", "queue", "run", "--device", "cpu", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        out = process.stdout.readline()
        wait_until(lambda: journal.job(ids[1]).step > 0, "the second is begun")
        os.kill(process.pid, number)
        rest, err = process.communicate(timeout=30)
    assert out + rest == f"{tmp_path / 'images' / str(journal.job(ids[0]).image)}\n"
    assert "Traceback" not in err
    if number is signal.SIGINT:
        assert process.returncode == 0
        assert journal.job(ids[1]).state is JobState.QUEUED, "it is back at once"
    made = as_json(queue("run", "--drain", "--device", "cpu", "--json"))
    assert [job["id"] for job in made] == [ids[1]], "what was made is not made again"
    assert [(job.state, job.attempt) for job in map(journal.job, ids)] == [(JobState.DONE, 1), (JobState.DONE, 2)]
