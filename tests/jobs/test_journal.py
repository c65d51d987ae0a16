"""What the journal promises: nothing accepted is lost, nothing runs twice, no stale write counts."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pixart_ui.errors import DiskFullError, InputError, JournalError
from pixart_ui.events import Phase
from pixart_ui.jobs import database
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.take_back import MAX_ATTEMPTS
from tests.jobs.parts import request

LEASE = 60.0


def claim(journal: Journal, worker: str = "one", limit: int = 8, lease_seconds: float = LEASE) -> tuple[Job, ...]:
    return journal.claim(worker, lease_seconds=lease_seconds, limit=limit)


# Submitting and reading


def test_a_submitted_request_comes_back_as_it_was(journal: Journal) -> None:
    asked = [request(seed) for seed in (5, 2**64 - 1)]
    jobs = journal.submit(asked, "local")
    assert [job.request for job in jobs] == asked
    assert len({job.batch for job in jobs}) == 1
    assert [journal.job(job.id) for job in jobs] == list(jobs)
    assert all(job.state is JobState.QUEUED and job.attempt == 0 for job in jobs)


def test_urgent_jobs_go_to_the_head_newest_request_first_in_their_own_order(journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    journal.submit([request(10), request(11)], "local", is_urgent=True)
    journal.submit([request(20), request(21)], "local", is_urgent=True)
    journal.submit([request(3)], "local")
    queued = journal.jobs(states=[JobState.QUEUED], newest_first=False)
    assert [job.request.seed for job in queued] == [20, 21, 10, 11, 1, 2, 3]
    assert [job.request.seed for job in claim(journal)] == [20, 21, 10, 11, 1, 2, 3]


def test_jobs_can_be_narrowed(journal: Journal) -> None:
    mine = journal.submit([request(1), request(2)], "me")
    journal.submit([request(3)], "you")
    assert {job.request.seed for job in journal.jobs(owner="me")} == {1, 2}
    assert {job.request.seed for job in journal.jobs(batch=mine[0].batch)} == {1, 2}
    assert [job.request.seed for job in journal.jobs(limit=2)] == [3, 2]
    assert journal.jobs(states=[JobState.DONE]) == ()
    assert journal.counts() == {state: 3 if state is JobState.QUEUED else 0 for state in JobState}


def test_an_unknown_job_is_an_input_error(journal: Journal) -> None:
    with pytest.raises(InputError, match="Job 99 is unknown"):
        journal.job(99)


def test_the_revision_grows_with_every_visible_change_and_only_then(journal: Journal) -> None:
    seen = [journal.revision()]

    def has_grown() -> bool:
        seen.append(journal.revision())
        return seen[-1] > seen[-2]

    journal.submit([request(0)], "local")
    assert has_grown()
    journal.register_worker("one", device="cpu", pid=1, info={"state": "ready"})
    assert has_grown()
    (job,) = claim(journal)
    assert has_grown()
    journal.renew("one", LEASE, {"state": "ready"})
    assert not has_grown()
    journal.renew("one", LEASE, {"state": "working"})
    assert has_grown()
    journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)
    assert has_grown()
    journal.finish(job, image="a.png", facts={})
    assert has_grown()
    journal.fail(job, "too late")
    journal.cancel([job.id])
    claim(journal)
    assert not has_grown()


# Claiming


def test_a_group_shares_checkpoint_precision_and_numerics(journal: Journal) -> None:
    journal.submit([request(1), request(2, precision="nf4"), request(3), request(4, numerics="exact")], "local")
    journal.submit([request(5, checkpoint="sigma-512"), request(6)], "local")
    assert [job.request.seed for job in claim(journal)] == [1, 3, 6]
    assert [job.request.seed for job in claim(journal)] == [2]
    assert [job.request.seed for job in claim(journal)] == [4]
    assert [job.request.seed for job in claim(journal)] == [5]
    assert claim(journal) == ()


def test_a_group_shares_the_precision_of_the_transformer(journal: Journal) -> None:
    journal.submit([request(1), request(2, transformer_precision="fp8"), request(3)], "local")
    journal.submit([request(4, transformer_precision="fp8"), request(5, transformer_precision="bf16")], "local")
    assert [[job.request.seed for job in claim(journal)] for _ in range(4)] == [[1, 3], [2, 4], [5], []]


def test_a_group_is_compiled_or_not(journal: Journal) -> None:
    """Where there is no compiler, only those that asked for one end."""
    journal.submit([request(1), request(2, compile_blocks=True), request(3)], "local")
    assert [[job.request.seed for job in claim(journal)] for _ in range(3)] == [[1, 3], [2], []]


def test_a_group_is_bounded_and_can_be_narrowed_to_given_jobs(journal: Journal) -> None:
    jobs = journal.submit([request(seed) for seed in range(5)], "local")
    assert [job.request.seed for job in claim(journal, limit=2)] == [0, 1]
    only = journal.claim("two", lease_seconds=LEASE, limit=8, only=[jobs[4].id])
    assert [job.request.seed for job in only] == [4]
    assert journal.claim("two", lease_seconds=LEASE, limit=8, only=[jobs[4].id]) == ()


def test_two_processes_claim_200_jobs_each_once(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(200)], "local")
    program = f"""
import sys, time
from pathlib import Path
from pixart_ui.jobs.journal import Journal
journal = Journal(Path({str(journal.path)!r}))
print("ready", flush=True)
sys.stdin.readline()
while jobs := journal.claim(sys.argv[1], lease_seconds=60, limit=3):
    time.sleep(0.005)
    for job in jobs:
        assert journal.finish(job, image=f"{{job.id}}.png", facts={{"by": sys.argv[1]}})
        print(job.id)
journal.close()
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ran = [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert all(ran), "both took part"
    assert sorted(int(job_id) for output in ran for job_id in output) == [job.id for job in reversed(journal.jobs())]
    assert journal.counts()[JobState.DONE] == 200
    assert all(job.attempt == 1 for job in journal.jobs())


def test_processes_that_create_the_journal_together_all_succeed(tmp_path: Path) -> None:
    program = (
        f"from pathlib import Path; from pixart_ui.jobs.journal import Journal; Journal(Path({str(tmp_path)!r}) / 'j')"
    )
    processes = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", program]) for _ in range(6)]
    assert [process.wait(60) for process in processes] == [0] * 6


def test_one_journal_serves_many_threads(journal: Journal) -> None:
    threads = [
        threading.Thread(target=lambda: [journal.submit([request(seed)], "local") for seed in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.counts()[JobState.QUEUED] == 40


# Fencing and taking back


def test_a_worker_that_lost_its_job_writes_nothing(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    (stale,) = claim(journal, "one", lease_seconds=-1)
    (current,) = claim(journal, "two")
    assert (stale.attempt, current.attempt) == (1, 2)
    assert not journal.progress(stale, phase=Phase.DECODE, step=9, preview="x.jpg")
    assert not journal.finish(stale, image="stale.png", facts={})
    assert not journal.fail(stale, "stale")
    assert journal.should_stop(stale)
    assert not journal.should_stop(current)
    assert journal.job(current.id) == current
    assert journal.finish(current, image="current.png", facts={"a": 1})
    assert not journal.finish(current, image="twice.png", facts={})
    done = journal.job(current.id)
    assert (done.state, done.image, done.facts) == (JobState.DONE, "current.png", {"a": 1})


def test_a_lease_that_is_renewed_does_not_lapse(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    journal.register_worker("one", device="cpu", pid=1, info={})
    (job,) = claim(journal, "one", lease_seconds=0.2)
    journal.renew("one", LEASE, {})
    time.sleep(0.3)
    assert claim(journal, "two") == ()
    assert journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)


def test_give_back_touches_only_that_workers_running_jobs(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(4)], "local")
    (finished, mine), (other,) = claim(journal, "one", 2), claim(journal, "two", 1)
    journal.finish(finished, image="a.png", facts={})
    assert journal.give_back("one") == (mine.id,)
    assert journal.job(mine.id).state is JobState.QUEUED
    assert journal.job(other.id) == other
    assert journal.job(finished.id).state is JobState.DONE


def test_a_job_over_which_the_worker_died_three_times_fails_with_the_reason(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    for _ in range(MAX_ATTEMPTS):
        (job,) = claim(journal)
        journal.progress(job, phase=Phase.DENOISE, step=2, preview=None)
        journal.give_back("one")
    failed = journal.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert "stopped 3 times" in failed.error
    assert "denoise" in failed.error
    assert failed.finished_at is not None


def die(journal: Journal, phase: Phase, step: int) -> Job:
    """A worker dies over the only job, that far."""
    (job,) = claim(journal)
    journal.progress(job, phase=phase, step=step, preview=None)
    journal.give_back("one")
    return journal.job(job.id)


def test_an_attempt_that_came_further_than_the_last_does_not_count(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    further = [(Phase.ENCODE, 0), (Phase.DENOISE, 0), (Phase.DENOISE, 2), (Phase.DENOISE, 3), (Phase.DECODE, 4)]
    for phase, step in further:
        assert die(journal, phase, step).state is JobState.QUEUED
    assert die(journal, Phase.DECODE, 4).state is JobState.QUEUED, "the second that counts"
    assert die(journal, Phase.DECODE, 4).state is JobState.FAILED


def test_what_was_gained_once_is_not_gained_again(journal: Journal) -> None:
    """A job that ends now here, now there, ends for good."""
    journal.submit([request(0)], "local")
    states = [die(journal, Phase.DENOISE, step).state for step in (3, 1, 2)]
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]


def test_a_polite_stop_is_no_gain(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    die(journal, Phase.DENOISE, 1)
    (job,) = claim(journal)
    journal.progress(job, phase=Phase.DECODE, step=4, preview=None)
    journal.give_back("one", is_fault=False)
    assert die(journal, Phase.DENOISE, 1).state is JobState.QUEUED
    assert die(journal, Phase.DENOISE, 1).state is JobState.FAILED


@pytest.mark.parametrize("is_fault", [True, False])
def test_waiting_in_a_group_or_a_polite_stop_is_not_held_against_a_job(journal: Journal, is_fault: bool) -> None:
    journal.submit([request(0)], "local")
    for _ in range(MAX_ATTEMPTS + 2):
        (job,) = claim(journal)
        if not is_fault:
            journal.progress(job, phase=Phase.DENOISE, step=2, preview=None)
        journal.give_back("one", is_fault=is_fault)
    assert journal.job(job.id).state is JobState.QUEUED


@pytest.mark.parametrize("place", [0, 1])
def test_a_suspect_job_is_claimed_alone(journal: Journal, place: int) -> None:
    suspect = journal.submit([request(seed) for seed in range(3)], "local")[place]
    claimed = {job.id: job for job in claim(journal)}
    journal.progress(claimed[suspect.id], phase=Phase.DENOISE, step=1, preview=None)
    journal.give_back("one")
    groups = [[job.request.seed for job in claim(journal)] for _ in range(3)]
    assert groups == ([[0], [1, 2], []] if place == 0 else [[0, 2], [1], []])


# Cancelling


def begin(journal: Journal, job: Job) -> None:
    assert journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)


def test_cancel_ends_queued_jobs_at_once_and_asks_for_running_ones(journal: Journal) -> None:
    journal.submit([request(0), request(1), request(2)], "local")
    running, done = claim(journal, limit=2)
    begin(journal, running)
    journal.finish(done, image="a.png", facts={})
    everything = [job.id for job in journal.jobs()]
    journal.register_worker("one", device="cpu", pid=1, info={})
    journal.cancel(everything)
    assert journal.job(done.id).state is JobState.DONE
    assert journal.job(everything[0]).state is JobState.CANCELLED
    assert journal.job(running.id).state is JobState.RUNNING
    assert journal.job(running.id).is_cancel_requested
    assert journal.should_stop(running)
    assert journal.renew("one", LEASE, {}) == frozenset([running.id])
    assert journal.fail(running, "Cancelled.", is_cancelled=True)
    ended = journal.job(running.id)
    assert (ended.state, ended.error) == (JobState.CANCELLED, None)


def test_a_cancelled_job_of_a_dead_worker_does_not_come_back(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    (job,) = claim(journal)
    begin(journal, job)
    journal.cancel([job.id])
    assert journal.job(job.id).state is JobState.RUNNING
    journal.give_back("one")
    assert journal.job(job.id).state is JobState.CANCELLED


# Workers


def test_workers_are_seen_while_they_report(journal: Journal) -> None:
    journal.register_worker("one", device="GPU-1", pid=42, info={"name": "Card"})
    (status,) = journal.workers()
    assert (status.id, status.device, status.pid, status.info) == ("one", "GPU-1", 42, {"name": "Card"})
    time.sleep(0.05)
    assert journal.workers(alive_within=0.01) == ()
    journal.renew("one", LEASE, {"name": "Card", "state": "working"})
    (status,) = journal.workers(alive_within=0.05)
    assert status.info["state"] == "working"
    journal.forget_worker("one")
    assert journal.workers(alive_within=float("inf")) == ()


# What can be wrong with the file


def test_everything_is_there_after_reopening(journal: Journal) -> None:
    jobs = journal.submit([request(0)], "local")
    journal.close()
    assert Journal(journal.path).jobs() == jobs


def test_a_database_of_a_newer_version_is_refused(journal: Journal) -> None:
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO migrations VALUES ('9999 from the future', 0)")
    db.close()
    with pytest.raises(JournalError, match=r"newer version.*9999 from the future.*update the app"):
        Journal(journal.path)


def test_missing_migrations_are_applied_to_an_older_database(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = journal.submit([request(0)], "local")
    journal.close()
    later = database.MIGRATIONS[0].__class__("9000 stars", ("ALTER TABLE jobs ADD COLUMN stars INTEGER",))
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, later))
    reopened = Journal(journal.path)
    assert reopened.jobs() == jobs
    with reopened._read() as db:
        assert db.execute("SELECT stars FROM jobs").fetchall()[0][0] is None


def test_jobs_from_before_there_were_owners_turns_are_claimed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with sqlite3.connect(path) as db:
        for statement in database.MIGRATIONS[0].statements:
            db.execute(statement)
        db.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL) STRICT")
        db.execute("INSERT INTO migrations VALUES ('0001 jobs and workers', 0)")
        db.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
        db.executemany(
            "INSERT INTO jobs (batch, owner, state, position, request, group_key, created_at) "
            "VALUES ('b', ?, 'queued', ?, ?, 'k', 0)",
            [("a", 1, request(1).model_dump_json()), ("b", 2, request(2).model_dump_json())],
        )
    db.close()
    journal = Journal(path)
    assert [job.request.seed for job in claim(journal)] == [1, 2]
    assert journal.pause_reason() is None
    journal.close()


def test_a_migration_that_fails_leaves_nothing_behind(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = database.MIGRATIONS[0].__class__("9000 bad", ("CREATE TABLE half (id INTEGER)", "NOT SQL"))
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, broken))
    with pytest.raises(JournalError):
        Journal(journal.path)
    with journal._read() as db:
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name='half'").fetchone()[0] == 0


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged or not a journal.*move it away"):
        Journal(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (id INTEGER)")
    db.close()
    with pytest.raises(JournalError, match="another program"):
        Journal(path)


def test_a_locked_journal_is_one_sentence_and_readable_meanwhile(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    impatient = Journal(journal.path)
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=r"locked by another program.*close that program"):
        impatient.submit([request(0)], "local")
    assert impatient.jobs() == ()
    other.close()
    assert len(impatient.submit([request(0)], "local")) == 1


def test_a_read_only_journal_is_one_sentence(journal: Journal) -> None:
    with journal._read() as db:
        db.execute("PRAGMA query_only=ON")
    with pytest.raises(JournalError, match=r"read-only.*permissions"):
        journal.submit([request(0)], "local")


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path / "absent" / "journal.sqlite3")


def test_a_full_disk_accepts_all_or_nothing(journal: Journal) -> None:
    with journal._read() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages + 3}")
    with pytest.raises(DiskFullError, match="free some space"):
        journal.submit([request(seed) for seed in range(200)], "local")
    assert journal.jobs() == ()
    with journal._read() as db:
        db.execute("PRAGMA max_page_count=1000000")
    assert len(journal.submit([request(0)], "local")) == 1
