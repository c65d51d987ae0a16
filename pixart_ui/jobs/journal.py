"""The journal: every job and every worker in one SQLite file, the only thing that page, command line and workers share.

It knows rows, not pictures, and imports no torch. What must stay true:

- every write is one `BEGIN IMMEDIATE` transaction, and a visible one raises the revision in the same transaction;
- a worker's write names the job's attempt (`WHERE id=? AND attempt=? AND state='running'`), so a worker that lost
  its lease changes nothing, whatever it still believes;
- what was accepted or finished is on the disk, not in its cache, before the method returns.

One object serves all threads (a connection each) and any number of processes. Its rooms: `database.py` opens the file,
`listing.py` reads, `submissions.py` adds, `queue_edits.py` changes what is there, `keeping.py` keeps what outlasts a
run, `gallery/index.py` knows the pictures, and here is what workers do.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pixart_ui.events import Phase
from pixart_ui.gallery.index import PictureIndex
from pixart_ui.jobs.database import raise_revision
from pixart_ui.jobs.draining import Draining
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.keeping import Keeping
from pixart_ui.jobs.queue_edits import QueueEdits
from pixart_ui.jobs.route import EVERYTHING, Route, among
from pixart_ui.jobs.rows import job_of
from pixart_ui.jobs.take_back import take_back
from pixart_ui.jobs.turns import choose_group, count_turns

# A worker that has not reported for so long is not counted on.
ALIVE_SECONDS = 10.0


class Journal(QueueEdits, Draining, Keeping, PictureIndex):
    """Opens or creates the journal at `path`; `caps` bound what it accepts.

    Raises JournalError or DiskFullError, here and in every method.
    """

    def register_worker(self, worker: str, *, device: str, pid: int, info: Mapping[str, Any]) -> None:
        now = time.time()
        with self._change() as db:
            db.execute(
                "INSERT OR REPLACE INTO workers (id, device, pid, started_at, heartbeat_at, info) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (worker, device, pid, now, now, json.dumps(info)),
            )

    def forget_worker(self, worker: str) -> None:
        with self._change() as db:
            db.execute("DELETE FROM workers WHERE id=?", (worker,))

    def next_job(self, worker: str, only: Sequence[int] | None = None, route: Route = EVERYTHING) -> Job | None:
        """The job that a claim would begin with now; None where nothing waits, or may start."""
        with self._moment() as db:
            chosen = choose_group(db, 1, among(route, only, worker, time.time() - ALIVE_SECONDS))
            rows = db.execute("SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(chosen),))
            return next((job_of(row) for row in rows), None)

    def coming(
        self, worker: str, key: str, *, limit: int, only: Sequence[int] | None = None, route: Route = EVERYTHING
    ) -> tuple[Job, ...]:
        """What a claim would take now, if all of it has that group key; it stays where it is.

        Nothing where a worker died over one of them: what it did alone it may do beside another. Nothing either for a
        worker whose device is drained.
        """
        with self._moment() as db:
            if _is_drained(db, worker):
                return ()
            chosen = choose_group(db, limit, among(route, only, worker, time.time() - ALIVE_SECONDS))
            rows = db.execute(
                "SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND group_key=? AND strikes=0",
                (json.dumps(chosen), key),
            )
            jobs = sorted(map(job_of, rows), key=lambda job: chosen.index(job.id))
        return tuple(jobs) if len(jobs) == len(chosen) else ()

    def claim(
        self,
        worker: str,
        *,
        lease_seconds: float,
        limit: int,
        only: Sequence[int] | None = None,
        route: Route = EVERYTHING,
    ) -> tuple[Job, ...]:
        """Take the first queued job, and up to `limit` in all that can share its weights.

        Owners take turns, and within an owner it goes by the queue's order; nothing is taken while it is paused. Jobs
        whose lease lapsed are taken back first. A job over which a worker died is claimed alone, so that a poisonous
        one takes no neighbour with it. `only` narrows the choice to those jobs, `route` to what is for this worker. A
        worker whose device is drained gets none.
        """
        if not self._is_work_waiting(time.time()):
            return ()
        with self._change() as db:
            now = time.time()  # not before the lock is ours: a job that is put before these later has a later time
            take_back(db, "lease_until < :now", {"now": now}, is_fault=True)
            chosen = (
                []
                if _is_drained(db, worker)
                else choose_group(db, limit, among(route, only, worker, now - ALIVE_SECONDS))
            )
            rows = db.execute(
                """
                UPDATE jobs SET state='running', attempt=attempt+1, worker=:worker, lease_until=:until,
                    started_at=:now, phase=NULL, step=0, preview=NULL, error=NULL
                WHERE id IN (SELECT value FROM json_each(:chosen)) RETURNING *
                """,
                {"worker": worker, "until": now + lease_seconds, "now": now, "chosen": json.dumps(chosen)},
            ).fetchall()
            rows.sort(key=lambda row: chosen.index(row["id"]))
            count_turns(db, [row["owner"] for row in rows])
        return tuple(job_of(row) for row in rows)

    def renew(self, worker: str, lease_seconds: float, info: Mapping[str, Any]) -> frozenset[int]:
        """The heartbeat: prolongs the leases of this worker and says which of its jobs somebody wants cancelled."""
        now = time.time()
        text = json.dumps(info)
        with self._change(is_visible=False) as db:
            row = db.execute("SELECT info FROM workers WHERE id=?", (worker,)).fetchone()
            db.execute("UPDATE workers SET heartbeat_at=?, info=? WHERE id=?", (now, text, worker))
            if row is not None and row["info"] != text:
                raise_revision(db)
            rows = db.execute(
                "UPDATE jobs SET lease_until=? WHERE worker=? AND state='running' RETURNING id, is_cancel_requested",
                (now + lease_seconds, worker),
            ).fetchall()
        return frozenset(row["id"] for row in rows if row["is_cancel_requested"])

    def should_stop(self, job: Job) -> bool:
        """Whether somebody wants this running job cancelled, or it is no longer this attempt's."""
        with self._read() as db:
            row = db.execute(
                "SELECT is_cancel_requested FROM jobs WHERE id=? AND attempt=? AND state='running'",
                (job.id, job.attempt),
            ).fetchone()
        return row is None or bool(row["is_cancel_requested"])

    def progress(self, job: Job, *, phase: Phase | None, step: int, preview: str | None) -> bool:
        """Say where a running job is; a preview of None keeps the last one. False: the job is no longer ours."""
        with self._change() as db:
            return _write_attempt(
                db,
                job,
                "phase=:phase, step=:step, preview=coalesce(:preview, preview)",
                {"phase": phase, "step": step, "preview": preview},
            )

    def report_group(self, jobs: Sequence[Job], phase: Phase | None) -> frozenset[int]:
        """Say that none of these has begun yet and all are in one phase, or wait; returns those that are still ours."""
        attempts = json.dumps([[job.id, job.attempt] for job in jobs])
        with self._change() as db:
            rows = db.execute(
                "UPDATE jobs SET phase=:phase, step=0 WHERE state='running' AND (id, attempt) IN "
                "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:attempts)) "
                "RETURNING id",
                {"phase": phase, "attempts": attempts},
            ).fetchall()
            return frozenset(row["id"] for row in rows)

    def finish(self, job: Job, *, image: str, facts: Mapping[str, Any]) -> bool:
        """The picture is on the disk. False: the job is no longer ours."""
        with self._change(is_durable=True) as db:
            is_ours = _write_attempt(
                db,
                job,
                "state='done', image=:image, facts=:facts, finished_at=:now, phase=NULL, preview=NULL, "
                "lease_until=NULL, image_removed_at=NULL",
                {"image": image, "facts": json.dumps(facts)},
            )
            if is_ours:
                db.execute("UPDATE queue SET num_pictures = num_pictures + 1")
            return is_ours

    def fail(self, job: Job, message: str, *, is_cancelled: bool = False) -> bool:
        """The picture will not come, for the reason given. False: the job is no longer ours."""
        with self._change(is_durable=True) as db:
            return _write_attempt(
                db,
                job,
                "state=:end, error=:error, finished_at=:now, phase=NULL, preview=NULL, lease_until=NULL",
                {
                    "end": JobState.CANCELLED if is_cancelled else JobState.FAILED,
                    "error": None if is_cancelled else message,
                },
            )

    def let_go(self, worker: str, job_ids: Sequence[int]) -> frozenset[int]:
        """Put jobs of a group back that have not begun, if the queue is paused or something urgent came.

        So it is where the device is drained, and where another worker stands idle that could share them. Called between
        two pictures, so that each waits for one picture and not for a group. Returns those put back.
        """
        if not job_ids or not (self._is_interrupted(job_ids) or self._is_to_share(worker, len(job_ids))):
            return frozenset()
        return self.put_back(worker, job_ids)

    def put_back(self, worker: str, job_ids: Sequence[int]) -> frozenset[int]:
        """Put some jobs of that worker back into the queue, with nothing held against them. Returns those that were."""
        condition = "worker=:worker AND id IN (SELECT value FROM json_each(:ids))"
        values = {"worker": worker, "ids": json.dumps([*job_ids])}
        with self._change(is_durable=True) as db:
            return frozenset(take_back(db, condition, values, is_fault=False))

    def give_back(self, worker: str, *, is_fault: bool = True) -> tuple[int, ...]:
        """Put the running jobs of a worker that is gone, or leaves, back into the queue; returns their ids.

        `is_fault`: the worker died, which counts against the jobs that were being worked on.
        """
        with self._change(is_durable=True) as db:
            return take_back(db, "worker=:worker", {"worker": worker}, is_fault=is_fault)

    def _is_interrupted(self, job_ids: Sequence[int]) -> bool:
        """Whether the queue is paused, or since those were claimed a job came whose turn is before theirs.

        That is one that was put before all of them, or one of an owner who has none among them.
        """
        with self._read() as db:
            return bool(
                db.execute(
                    """
                    WITH rest AS MATERIALIZED (
                        SELECT position, started_at, owner FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)))
                    SELECT pause_reason IS NOT NULL OR EXISTS (
                        SELECT 1 FROM jobs
                        WHERE created_at > (SELECT min(started_at) FROM rest) AND +state='queued'
                            AND (+position < (SELECT min(position) FROM rest)
                                OR +owner NOT IN (SELECT owner FROM rest)))
                    FROM queue
                    """,
                    {"ids": json.dumps([*job_ids])},
                ).fetchone()[0]
            )

    def _is_to_share(self, worker: str, num_left: int) -> bool:
        """Whether the device is drained; or nothing waits, somebody has nothing to do, and two are left to share.

        Somebody is a worker of the same kind of device, on which what it is given will run as it would here.
        """
        with self._read() as db:
            if _is_drained(db, worker):
                return True
            return num_left > 1 and bool(
                db.execute(
                    """
                    SELECT NOT EXISTS (SELECT 1 FROM jobs WHERE state='queued') AND EXISTS (
                        SELECT 1 FROM workers, workers AS mine
                        WHERE mine.id = :worker AND workers.id != :worker AND workers.heartbeat_at >= :alive_since
                            AND workers.device NOT IN (SELECT id FROM drained_devices)
                            AND json_extract(workers.info, '$.trouble') IS NULL
                            AND json_extract(workers.info, '$.name') = json_extract(mine.info, '$.name')
                            AND NOT EXISTS (SELECT 1 FROM jobs WHERE state='running' AND jobs.worker = workers.id))
                    """,
                    {"worker": worker, "alive_since": time.time() - ALIVE_SECONDS},
                ).fetchone()[0]
            )

    def _is_work_waiting(self, now: float) -> bool:
        """Lets an idle worker look without taking the write lock."""
        with self._read() as db:
            return bool(
                db.execute(
                    "SELECT EXISTS (SELECT 1 FROM jobs, queue WHERE state='queued' AND pause_reason IS NULL) "
                    "OR EXISTS (SELECT 1 FROM jobs WHERE state='running' AND lease_until < ?)",
                    (now,),
                ).fetchone()[0]
            )


def _is_drained(db: sqlite3.Connection, worker: str) -> bool:
    query = (
        "SELECT EXISTS (SELECT 1 FROM workers JOIN drained_devices ON drained_devices.id = device WHERE workers.id=?)"
    )
    return bool(db.execute(query, (worker,)).fetchone()[0])


def _write_attempt(db: sqlite3.Connection, job: Job, assignments: str, values: Mapping[str, Any]) -> bool:
    cursor = db.execute(
        f"UPDATE jobs SET {assignments} WHERE id=:id AND attempt=:attempt AND state='running'",
        {**values, "id": job.id, "attempt": job.attempt, "now": time.time()},
    )
    return cursor.rowcount == 1
