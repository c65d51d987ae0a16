"""How jobs come into the journal: all of what is given or nothing, as far as there is room for it."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pixart_ui.errors import InputError
from pixart_ui.jobs.database import Database
from pixart_ui.jobs.job import NO_ALLOWANCE, Allowance, Caps, Job, JobState, Trial
from pixart_ui.jobs.listing import unknown_job
from pixart_ui.jobs.rows import group_key, job_of, trial_key
from pixart_ui.request import ResolvedRequest

NO_CAPS = Caps()
HOUR = 3600.0


class Submissions(Database):
    """What adds jobs to the queue, as far as `caps` leave room, and `allowance`, which is asked whenever something is.

    An allowance without end where nobody says otherwise.
    """

    def __init__(
        self, path: Path, caps: Caps = NO_CAPS, allowance: Callable[[], Allowance] = lambda: NO_ALLOWANCE
    ) -> None:
        super().__init__(path)
        self._caps = caps
        self._allowance = allowance

    def submit(self, requests: Sequence[ResolvedRequest], owner: str, *, is_urgent: bool = False) -> tuple[Job, ...]:
        """Accept the pictures of one request, all or none, as one batch; urgent ones go to the head of the queue.

        Raises InputError where they are more than there is room for.
        """
        return self.submit_many([requests], owner, is_urgent=is_urgent)

    def submit_many(
        self,
        batches: Sequence[Sequence[ResolvedRequest]],
        owner: str,
        *,
        is_urgent: bool = False,
    ) -> tuple[Job, ...]:
        """The same for several requests, each a batch of its own: all of them or none."""
        names = [secrets.token_hex(8) for _ in batches]
        pictures = [(name, request) for name, batch in zip(names, batches, strict=True) for request in batch]
        with self._change(is_durable=True) as db:
            now = time.time()  # not before the lock is ours: what comes later has a later time
            self._check_caps(db, {owner: len(pictures)})
            self._charge(db, owner, [request for _, request in pictures])
            db.execute("INSERT OR IGNORE INTO owners (name) VALUES (?)", (owner,))
            start = first_position(db, len(pictures)) if is_urgent else last_position(db)
            return tuple(
                _insert(db, start + index, name, owner, request, now) for index, (name, request) in enumerate(pictures)
            )

    def submit_trials(self, trials: Sequence[tuple[ResolvedRequest, Trial]], owner: str) -> tuple[Job, ...]:
        """Put runs of a comparison at the end of the queue as one batch, all or none. Raises InputError."""
        batch = secrets.token_hex(8)
        with self._change(is_durable=True) as db:
            now = time.time()
            self._check_caps(db, {owner: len(trials)})
            self._charge(db, owner, [request for request, _ in trials])
            db.execute("INSERT OR IGNORE INTO owners (name) VALUES (?)", (owner,))
            start = last_position(db)
            return tuple(
                _insert(db, start + index, batch, owner, request, now, trial)
                for index, (request, trial) in enumerate(trials)
            )

    def duplicate(self, job_ids: Sequence[int], owner: str) -> tuple[Job, ...]:
        """Put copies of jobs, whatever became of them, at the end of the queue as one batch of `owner`.

        Raises InputError where a job is unknown, or where there is no room.
        """
        batch = secrets.token_hex(8)
        with self._change(is_durable=True) as db:
            now = time.time()
            originals = [job_of(row) for row in named_rows(db, job_ids)]
            self._check_caps(db, {owner: len(originals)})
            self._charge(db, owner, [job.request for job in originals])
            db.execute("INSERT OR IGNORE INTO owners (name) VALUES (?)", (owner,))
            start = last_position(db)
            return tuple(
                _insert(db, start + index, batch, owner, job.request, now) for index, job in enumerate(originals)
            )

    def _check_caps(self, db: sqlite3.Connection, num_new: Mapping[str, int]) -> None:
        """Raises InputError if that many more jobs of these owners are more than may wait or run at a time."""
        most = self._allowance().open_jobs
        if self._caps == NO_CAPS and most is None:
            return
        open_jobs = Counter[str](
            dict(
                db.execute(
                    "SELECT owner, count(*) FROM jobs WHERE state IN ('queued', 'running') GROUP BY owner"
                ).fetchall()
            )
        )
        for owner, num in num_new.items():
            _check_cap(num, open_jobs[owner], self._caps.of_owner, "of yours")
            _check_cap(num, open_jobs[owner], most, "of yours")
        _check_cap(sum(num_new.values()), open_jobs.total(), self._caps.in_total, "in all")

    def _charge(self, db: sqlite3.Connection, owner: str, requests: Iterable[ResolvedRequest]) -> None:
        """Count work against the hour of an owner who has an allowance. Raises InputError where it is used up."""
        most = self._allowance().work_an_hour
        if most is None:
            return
        now, amount = time.time(), sum(_work(request) for request in requests)
        db.execute("DELETE FROM work WHERE asked_at < ?", (now - HOUR,))
        (used,) = db.execute("SELECT coalesce(sum(amount), 0) FROM work WHERE owner=?", (owner,)).fetchone()
        if used + amount > most:
            raise InputError(
                f"This is more than you may have within an hour, {used / most:.0%} of that is used and this is "
                f"{amount / most:.0%}: ask for fewer or smaller pictures, or wait."
            )
        db.execute("INSERT INTO work VALUES (?, ?, ?)", (owner, now, amount))


def _work(request: ResolvedRequest) -> float:
    return float(request.bin_width * request.bin_height * request.steps)


def _check_cap(num_new: int, num_open: int, cap: int | None, whose: str) -> None:
    if cap is not None and num_new + num_open > cap:
        jobs = "1 job is" if num_new == 1 else f"{num_new:,} jobs are"
        raise InputError(
            f"{jobs} more than the queue has room for, {num_open:,} {whose} are unfinished and {cap:,} may be: "
            "wait until some have ended, cancel some, or add fewer."
        )


def named_rows(db: sqlite3.Connection, job_ids: Sequence[int]) -> list[sqlite3.Row]:
    """The rows of those jobs in the queue's order. Raises InputError where there is no such job."""
    rows = db.execute(
        "SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY position, id",
        (json.dumps([*job_ids]),),
    ).fetchall()
    known = {row["id"] for row in rows}
    for job_id in job_ids:
        if job_id not in known:
            raise unknown_job(job_id)
    return rows


def first_position(db: sqlite3.Connection, num_jobs: int) -> int:
    """Where to put the first of that many jobs so that they all stand before every other."""
    return int(db.execute("SELECT coalesce(min(position), 0) FROM jobs").fetchone()[0]) - num_jobs


def last_position(db: sqlite3.Connection) -> int:
    """Where to put the first of some jobs so that they stand behind every other."""
    return int(db.execute("SELECT coalesce(max(position), 0) FROM jobs").fetchone()[0]) + 1


def _insert(
    db: sqlite3.Connection,
    position: int,
    batch: str,
    owner: str,
    request: ResolvedRequest,
    now: float,
    trial: Trial | None = None,
) -> Job:
    key = group_key(request) if trial is None else trial_key(trial)
    names = (None, None, None) if trial is None else (trial.comparison, trial.cell, trial.strategy)
    cursor = db.execute(
        "INSERT INTO jobs (batch, owner, state, position, request, group_key, created_at, comparison, cell, strategy) "
        "VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
        (batch, owner, position, request.model_dump_json(), key, now, *names),
    )
    assert cursor.lastrowid is not None
    return Job(
        id=cursor.lastrowid,
        batch=batch,
        owner=owner,
        state=JobState.QUEUED,
        request=request,
        created_at=now,
        trial=trial,
    )
