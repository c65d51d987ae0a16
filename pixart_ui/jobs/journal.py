"""The journal: every job and every worker in one SQLite file, the only thing that page, command line and workers share.

It knows rows, not pictures, and imports no torch. What must stay true:

- every write is one `BEGIN IMMEDIATE` transaction, and a visible one raises the revision in the same transaction;
- a worker's write names the job's attempt (`WHERE id=? AND attempt=? AND state='running'`), so a worker that lost
  its lease changes nothing, whatever it still believes;
- what was accepted or finished is on the disk, not in its cache, before the method returns.

One object serves all threads (a connection each) and any number of processes. Its rooms: `database.py` opens the file,
`listing.py` reads, `submissions.py` adds, `queue_edits.py` changes what is there, and here is what workers do.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pixart_ui.events import Phase
from pixart_ui.jobs.database import raise_revision
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.listing import Listing
from pixart_ui.jobs.queue_edits import QueueEdits
from pixart_ui.jobs.rows import job_of
from pixart_ui.jobs.submissions import Submissions
from pixart_ui.jobs.turns import choose_group, count_turns

# How often a worker may die over one job, without getting further, before the job is taken for the cause.
MAX_ATTEMPTS = 3

# How far a running job is, as one number: first by phase, then by step.
_FAR = "(CASE phase WHEN 'encode' THEN 1000 WHEN 'denoise' THEN 2000 ELSE 3000 END + step)"
_WAS_ACTIVE = "(:is_fault AND phase IS NOT NULL)"
# A strike: the worker died in this job's step, and this time it came no further than it had before.
_IS_STRIKE = f"({_WAS_ACTIVE} AND coalesce({_FAR} <= gained, 1))"


class Journal(Listing, Submissions, QueueEdits):
    """Opens or creates the journal at `path`. Raises JournalError or DiskFullError, here and in every method."""

    def register_worker(self, worker: str, *, device: str, pid: int, info: Mapping[str, Any]) -> None:
        now = time.time()
        with self._change() as db:
            db.execute(
                "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?, ?, ?)",
                (worker, device, pid, now, now, json.dumps(info)),
            )

    def forget_worker(self, worker: str) -> None:
        with self._change() as db:
            db.execute("DELETE FROM workers WHERE id=?", (worker,))

    def claim(
        self, worker: str, *, lease_seconds: float, limit: int, only: Sequence[int] | None = None
    ) -> tuple[Job, ...]:
        """Take the first queued job, and up to `limit` in all that can share its weights.

        Owners take turns, and within an owner it goes by the queue's order; nothing is taken while it is paused. Jobs
        whose lease lapsed are taken back first. A job over which a worker died is claimed alone, so that a poisonous
        one takes no neighbour with it. `only` narrows the choice to those jobs.
        """
        now = time.time()
        if not self._is_work_waiting(now):
            return ()
        with self._change() as db:
            _take_back(db, "lease_until < :now", {"now": now}, is_fault=True)
            chosen = choose_group(db, limit, only)
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
        return self._write_attempt(
            job,
            "phase=:phase, step=:step, preview=coalesce(:preview, preview)",
            {"phase": phase, "step": step, "preview": preview},
        )

    def finish(self, job: Job, *, image: str, facts: Mapping[str, Any]) -> bool:
        """The picture is on the disk. False: the job is no longer ours."""
        return self._write_attempt(
            job,
            "state='done', image=:image, facts=:facts, finished_at=:now, phase=NULL, preview=NULL, lease_until=NULL",
            {"image": image, "facts": json.dumps(facts)},
            is_durable=True,
        )

    def fail(self, job: Job, message: str, *, is_cancelled: bool = False) -> bool:
        """The picture will not come, for the reason given. False: the job is no longer ours."""
        return self._write_attempt(
            job,
            "state=:end, error=:error, finished_at=:now, phase=NULL, preview=NULL, lease_until=NULL",
            {
                "end": JobState.CANCELLED if is_cancelled else JobState.FAILED,
                "error": None if is_cancelled else message,
            },
            is_durable=True,
        )

    def let_go(self, worker: str, job_ids: Sequence[int]) -> frozenset[int]:
        """Put jobs of a group back that have not begun, if the queue is paused or something urgent came.

        Called between two pictures, so that either waits for one picture and not for a group. Returns those put back.
        """
        if not job_ids or not self._is_interrupted(job_ids):
            return frozenset()
        condition = "worker=:worker AND id IN (SELECT value FROM json_each(:ids))"
        values = {"worker": worker, "ids": json.dumps([*job_ids])}
        with self._change(is_durable=True) as db:
            return frozenset(_take_back(db, condition, values, is_fault=False))

    def give_back(self, worker: str, *, is_fault: bool = True) -> tuple[int, ...]:
        """Put the running jobs of a worker that is gone, or leaves, back into the queue; returns their ids.

        `is_fault`: the worker died, which counts against the jobs that were being worked on.
        """
        with self._change(is_durable=True) as db:
            return _take_back(db, "worker=:worker", {"worker": worker}, is_fault=is_fault)

    def _write_attempt(
        self, job: Job, assignments: str, values: Mapping[str, Any], *, is_durable: bool = False
    ) -> bool:
        with self._change(is_durable=is_durable) as db:
            cursor = db.execute(
                f"UPDATE jobs SET {assignments} WHERE id=:id AND attempt=:attempt AND state='running'",
                {**values, "id": job.id, "attempt": job.attempt, "now": time.time()},
            )
            return cursor.rowcount == 1

    def _is_interrupted(self, job_ids: Sequence[int]) -> bool:
        """Whether the queue is paused, or a job came in before all of those since they were claimed."""
        with self._read() as db:
            return bool(
                db.execute(
                    """
                    SELECT pause_reason IS NOT NULL OR EXISTS (
                        SELECT 1 FROM jobs, (
                            SELECT min(position) AS head, min(started_at) AS since FROM jobs
                            WHERE id IN (SELECT value FROM json_each(:ids))) AS rest
                        WHERE state='queued' AND position < rest.head AND created_at > rest.since)
                    FROM queue
                    """,
                    {"ids": json.dumps([*job_ids])},
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


def _take_back(db: sqlite3.Connection, condition: str, values: Mapping[str, Any], *, is_fault: bool) -> tuple[int, ...]:
    """Running jobs that meet the condition go back to the queue: cancelled where asked for, failed at the third strike.

    A job that waited in its group (no phase) gets no strike: it was not what the worker died of. Neither does one that
    came further than when a worker last died over it: what it does then may still be done.
    """
    rows = db.execute(
        f"""
        UPDATE jobs SET
            strikes = strikes + {_IS_STRIKE},
            gained = CASE WHEN {_WAS_ACTIVE} THEN max(coalesce(gained, 0), {_FAR}) ELSE gained END,
            state = CASE
                WHEN is_cancel_requested THEN 'cancelled'
                WHEN strikes + {_IS_STRIKE} >= :max THEN 'failed'
                ELSE 'queued' END,
            error = CASE
                WHEN NOT is_cancel_requested AND strikes + {_IS_STRIKE} >= :max
                THEN 'The worker stopped ' || :max || ' times while it made this picture, last in the phase '
                    || coalesce(phase, 'start') || ': try a smaller size or another precision.' END,
            finished_at = CASE WHEN is_cancel_requested OR strikes + {_IS_STRIKE} >= :max THEN :at END,
            worker=NULL, lease_until=NULL, started_at=NULL, phase=NULL, step=0, preview=NULL
        WHERE state='running' AND {condition}
        RETURNING id
        """,
        {**values, "is_fault": is_fault, "max": MAX_ATTEMPTS, "at": time.time()},
    ).fetchall()
    return tuple(sorted(row["id"] for row in rows))
