"""The journal: every job and every worker in one SQLite file, the only thing that page, command line and workers share.

It knows rows, not pictures, and imports no torch. What must stay true:

- every write is one `BEGIN IMMEDIATE` transaction, and a visible one raises the revision in the same transaction;
- a worker's write names the job's attempt (`WHERE id=? AND attempt=? AND state='running'`), so a worker that lost
  its lease changes nothing, whatever it still believes;
- what was accepted or finished is on the disk, not in its cache, before the method returns.

One object serves all threads (a connection each) and any number of processes.
"""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pixart_ui.errors import DiskFullError, InputError, JournalError
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState, WorkerStatus
from pixart_ui.jobs.migrations import APPLICATION_ID, MIGRATIONS
from pixart_ui.request import ResolvedRequest

# How often a worker may die over one job before the job is taken for the cause.
MAX_ATTEMPTS = 3
BUSY_SECONDS = 10.0


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly, and that closes with the thread it belongs to."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it never opened
            self.close()


class Journal:
    """Opens or creates the journal at `path`. Raises JournalError or DiskFullError, here and in every method."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._migrate()

    # What people do

    def submit(self, requests: Sequence[ResolvedRequest], owner: str, *, is_urgent: bool = False) -> tuple[Job, ...]:
        """Accept the pictures of one request, all or none, as one batch; urgent ones go to the head of the queue."""
        batch = secrets.token_hex(8)
        now = time.time()
        with self._change(is_durable=True) as db:
            first, last = db.execute(
                "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM jobs"
            ).fetchone()
            start = first - len(requests) if is_urgent else last + 1
            rows = [
                db.execute(
                    "INSERT INTO jobs (batch, owner, state, position, request, group_key, created_at) "
                    "VALUES (?, ?, 'queued', ?, ?, ?, ?) RETURNING *",
                    (batch, owner, start + index, request.model_dump_json(), _group_key(request), now),
                ).fetchone()
                for index, request in enumerate(requests)
            ]
        return tuple(_job(row) for row in rows)

    def cancel(self, job_ids: Sequence[int]) -> None:
        """Cancel queued jobs at once and ask the workers of running ones; jobs that ended stay as they are."""
        ids = json.dumps(list(job_ids))
        with self._change(is_durable=True) as db:
            db.execute(
                "UPDATE jobs SET state='cancelled', finished_at=? "
                "WHERE state='queued' AND id IN (SELECT value FROM json_each(?))",
                (time.time(), ids),
            )
            db.execute(
                "UPDATE jobs SET is_cancel_requested=1 "
                "WHERE state='running' AND is_cancel_requested=0 AND id IN (SELECT value FROM json_each(?))",
                (ids,),
            )

    # What everybody sees

    def revision(self) -> int:
        """A number that grows with every visible change of a job or a worker."""
        with self._read() as db:
            return int(db.execute("SELECT revision FROM queue").fetchone()[0])

    def job(self, job_id: int) -> Job:
        """Raises InputError where there is no such job."""
        with self._read() as db:
            row = db.execute("SELECT * FROM jobs WHERE id=?", (job_id,)).fetchone()
        if row is None:
            raise InputError(f"Job {job_id} is unknown, it may have been removed: choose one from the list.")
        return _job(row)

    def jobs(
        self,
        *,
        states: Iterable[JobState] | None = None,
        batch: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> tuple[Job, ...]:
        """The jobs that match everything given: newest first, or in the order in which the queue runs them."""
        query = "SELECT * FROM jobs WHERE true"
        values: dict[str, Any] = {"limit": -1 if limit is None else limit}
        if states is not None:
            query += " AND state IN (SELECT value FROM json_each(:states))"
            values["states"] = json.dumps(list(states))
        if batch is not None:
            query += " AND batch=:batch"
            values["batch"] = batch
        if owner is not None:
            query += " AND owner=:owner"
            values["owner"] = owner
        query += f" ORDER BY {'id DESC' if newest_first else 'position, id'} LIMIT :limit"
        with self._read() as db:
            rows = db.execute(query, values).fetchall()
        return tuple(_job(row) for row in rows)

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        with self._read() as db:
            found = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in JobState}

    def workers(self, *, alive_within: float = 10.0) -> tuple[WorkerStatus, ...]:
        """The workers that reported within the last `alive_within` seconds."""
        since = time.time() - alive_within if math.isfinite(alive_within) else 0.0
        with self._read() as db:
            rows = db.execute("SELECT * FROM workers WHERE heartbeat_at >= ? ORDER BY started_at", (since,)).fetchall()
        return tuple(_worker(row) for row in rows)

    # What workers do

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
        """Take the first queued job, and up to `limit` in all that can share its weights, in the queue's order.

        Jobs whose lease lapsed are taken back first. A job over which a worker died is claimed alone, so that a
        poisonous one takes no neighbour with it. `only` narrows the choice to those jobs.
        """
        now = time.time()
        if not self._is_work_waiting(now):
            return ()
        among = {"only": None if only is None else json.dumps(list(only)), "limit": limit}
        is_among = "(:only IS NULL OR id IN (SELECT value FROM json_each(:only)))"
        with self._change() as db:
            _take_back(db, "lease_until < :now", {"now": now}, is_fault=True)
            first = db.execute(
                f"SELECT id, group_key, strikes FROM jobs WHERE state='queued' AND {is_among} "
                "ORDER BY position, id LIMIT 1",
                among,
            ).fetchone()
            if first is None:
                return ()
            rows = db.execute(
                f"""
                UPDATE jobs SET state='running', attempt=attempt+1, worker=:worker, lease_until=:until,
                    started_at=:now, phase=NULL, step=0, preview=NULL, error=NULL
                WHERE id IN (
                    SELECT id FROM jobs
                    WHERE state='queued' AND group_key=:key AND (strikes=0 OR id=:first) AND {is_among}
                    ORDER BY position, id LIMIT :limit)
                RETURNING *
                """,
                among
                | {
                    "worker": worker,
                    "until": now + lease_seconds,
                    "now": now,
                    "key": first["group_key"],
                    "first": first["id"],
                    "limit": limit if first["strikes"] == 0 else 1,
                },
            ).fetchall()
        return tuple(_job(row) for row in sorted(rows, key=lambda row: (row["position"], row["id"])))

    def renew(self, worker: str, lease_seconds: float, info: Mapping[str, Any]) -> frozenset[int]:
        """The heartbeat: prolongs the leases of this worker and says which of its jobs somebody wants cancelled."""
        now = time.time()
        text = json.dumps(info)
        with self._change(is_visible=False) as db:
            row = db.execute("SELECT info FROM workers WHERE id=?", (worker,)).fetchone()
            db.execute("UPDATE workers SET heartbeat_at=?, info=? WHERE id=?", (now, text, worker))
            if row is not None and row["info"] != text:
                _raise_revision(db)
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

    def give_back(self, worker: str, *, is_fault: bool = True) -> tuple[int, ...]:
        """Put the running jobs of a worker that is gone, or leaves, back into the queue; returns their ids.

        `is_fault`: the worker died, which counts against the jobs that were being worked on.
        """
        with self._change(is_durable=True) as db:
            return _take_back(db, "worker=:worker", {"worker": worker}, is_fault=is_fault)

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._connections):
            connection.close()
        self._local = threading.local()

    # How it is done

    def _write_attempt(
        self, job: Job, assignments: str, values: Mapping[str, Any], *, is_durable: bool = False
    ) -> bool:
        with self._change(is_durable=is_durable) as db:
            cursor = db.execute(
                f"UPDATE jobs SET {assignments} WHERE id=:id AND attempt=:attempt AND state='running'",
                {**values, "id": job.id, "attempt": job.attempt, "now": time.time()},
            )
            return cursor.rowcount == 1

    def _is_work_waiting(self, now: float) -> bool:
        """Lets an idle worker look without taking the write lock."""
        with self._read() as db:
            return bool(
                db.execute(
                    "SELECT EXISTS (SELECT 1 FROM jobs WHERE state='queued') "
                    "OR EXISTS (SELECT 1 FROM jobs WHERE state='running' AND lease_until < ?)",
                    (now,),
                ).fetchone()[0]
            )

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._sentences():
            yield self._connection()

    @contextmanager
    def _change(self, *, is_visible: bool = True, is_durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One write transaction. It raises the revision if it is visible and changed a row."""
        with self._sentences():
            db = self._connection()
            # In WAL mode NORMAL survives a killed process, FULL a power cut as well; FULL waits for the disk.
            db.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                before = db.total_changes
                yield db
                if is_visible and db.total_changes != before:
                    _raise_revision(db)
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            # Shared across threads only to be closed.
            connection = _Connection(
                self.path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys=ON")
            self._local.connection = connection
            self._connections.add(connection)
        return connection

    def _migrate(self) -> None:
        with self._sentences():
            db = self._connection()
            self._check_it_is_ours(db)
            _enter_wal(db)
        with self._change(is_visible=False, is_durable=True) as db:
            db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL) STRICT")
            applied = {row["name"] for row in db.execute("SELECT name FROM migrations")}
            if unknown := sorted(applied - {migration.name for migration in MIGRATIONS}):
                raise JournalError(
                    f"The journal {self.path} was written by a newer version of this app ({unknown[-1]!r} is unknown "
                    "here): update the app, or choose another folder with --data-dir."
                )
            for migration in MIGRATIONS:
                if migration.name not in applied:
                    for statement in migration.statements:
                        db.execute(statement)
                    db.execute("INSERT INTO migrations VALUES (?, ?)", (migration.name, time.time()))
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")

    def _check_it_is_ours(self, db: sqlite3.Connection) -> None:
        application_id = db.execute("PRAGMA application_id").fetchone()[0]
        has_tables = db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0]
        if has_tables and application_id != APPLICATION_ID:
            raise JournalError(
                f"{self.path} is a database of another program, not a journal of this app: "
                "move it away, or choose another folder with --data-dir."
            )

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turns SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> JournalError | DiskFullError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return DiskFullError(
                f"The journal {self.path} does not fit on its disk: free some space and try again; nothing is lost."
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return JournalError(
                f"The journal {self.path} is locked by another program for more than {BUSY_SECONDS:g} seconds: "
                "close that program and try again."
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return JournalError(
                f"The journal {self.path} is read-only or cannot be opened ({error}): correct the permissions of its "
                "folder, or choose another with --data-dir."
            )
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return JournalError(
                f"{self.path} is damaged or not a journal of this app ({error}): "
                "move it away, or choose another folder with --data-dir."
            )
        return JournalError(f"The journal {self.path} cannot be used ({error}): check its disk and try again.")


def _enter_wal(db: sqlite3.Connection) -> None:
    """Readers and a writer at the same time; the mode stays in the file.

    Two processes that create the file together collide here without SQLite's own waiting, hence the loop.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _raise_revision(db: sqlite3.Connection) -> None:
    db.execute("UPDATE queue SET revision=revision+1")


def _take_back(db: sqlite3.Connection, condition: str, values: Mapping[str, Any], *, is_fault: bool) -> tuple[int, ...]:
    """Running jobs that meet the condition go back to the queue: cancelled where asked for, failed at the third strike.

    A job that waited in its group (no phase) gets no strike: it was not what the worker died of.
    """
    rows = db.execute(
        f"""
        UPDATE jobs SET
            strikes = strikes + (:is_fault AND phase IS NOT NULL),
            state = CASE
                WHEN is_cancel_requested THEN 'cancelled'
                WHEN strikes + (:is_fault AND phase IS NOT NULL) >= :max THEN 'failed'
                ELSE 'queued' END,
            error = CASE
                WHEN NOT is_cancel_requested AND strikes + (:is_fault AND phase IS NOT NULL) >= :max
                THEN 'The worker stopped ' || :max || ' times while it made this picture, last in the phase '
                    || coalesce(phase, 'start') || ': try a smaller size or another precision.' END,
            finished_at = CASE
                WHEN is_cancel_requested OR strikes + (:is_fault AND phase IS NOT NULL) >= :max THEN :at END,
            worker=NULL, lease_until=NULL, started_at=NULL, phase=NULL, step=0, preview=NULL
        WHERE state='running' AND {condition}
        RETURNING id
        """,
        {**values, "is_fault": is_fault, "max": MAX_ATTEMPTS, "at": time.time()},
    ).fetchall()
    return tuple(sorted(row["id"] for row in rows))


def _group_key(request: ResolvedRequest) -> str:
    shared = (request.checkpoint, request.precision, request.transformer_precision)
    return json.dumps([*shared, request.numerics, request.compile_blocks])


def _job(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        batch=row["batch"],
        owner=row["owner"],
        state=JobState(row["state"]),
        request=ResolvedRequest.parse(json.loads(row["request"])),
        created_at=row["created_at"],
        attempt=row["attempt"],
        worker=row["worker"],
        phase=Phase(row["phase"]) if row["phase"] is not None else None,
        step=row["step"],
        preview=row["preview"],
        image=row["image"],
        error=row["error"],
        facts=json.loads(row["facts"]) if row["facts"] is not None else None,
        is_cancel_requested=bool(row["is_cancel_requested"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _worker(row: sqlite3.Row) -> WorkerStatus:
    return WorkerStatus(
        id=row["id"],
        device=row["device"],
        pid=row["pid"],
        started_at=row["started_at"],
        heartbeat_at=row["heartbeat_at"],
        info=json.loads(row["info"]),
    )
