"""What everybody sees of the journal: jobs one by one and page by page, totals, workers, the pause. Writes nothing."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from pixart_ui.errors import InputError
from pixart_ui.jobs.database import Database
from pixart_ui.jobs.job import Job, JobState, QueuePage, WorkerStatus
from pixart_ui.jobs.open_work import COST_KEY, OpenWork, Waiting, read_waiting, running_of
from pixart_ui.jobs.paging import Filter, ids_of_page
from pixart_ui.jobs.prompts import Prompts
from pixart_ui.jobs.rows import job_of, worker_of


class Listing(Database):
    """The reading half of the journal."""

    # What waits, as this object last read it.
    _known_waiting = Waiting(0)

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts()

    def revision(self) -> int:
        """A number that grows with every visible change of a job or a worker."""
        with self._read() as db:
            return int(db.execute("SELECT revision FROM queue").fetchone()[0])

    def pause_reason(self) -> str | None:
        """Why the queue is paused; None where it is not."""
        with self._read() as db:
            reason: str | None = db.execute("SELECT pause_reason FROM queue").fetchone()[0]
        return reason

    def job(self, job_id: int) -> Job:
        """Raises InputError where there is no such job."""
        with self._read() as db:
            row = db.execute("SELECT * FROM jobs WHERE id=?", (job_id,)).fetchone()
        if row is None:
            raise unknown_job(job_id)
        return job_of(row)

    def jobs(
        self,
        *,
        states: Iterable[JobState] | None = None,
        batch: str | None = None,
        owner: str | None = None,
        ids: Sequence[int] | None = None,
        comparison: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
    ) -> tuple[Job, ...]:
        """The jobs that match everything given: newest first, or in the order of their positions."""
        condition, values = _matching(states=states, batch=batch, owner=owner, ids=ids, comparison=comparison)
        order = "id DESC" if newest_first else "position, id"
        with self._read() as db:
            rows = db.execute(
                # Chosen by id first: sorting whole rows would read them all.
                f"SELECT * FROM jobs WHERE id IN (SELECT id FROM jobs WHERE {condition} ORDER BY {order} LIMIT :limit) "
                f"ORDER BY {order}",
                values | {"limit": -1 if limit is None else limit},
            ).fetchall()
        return tuple(job_of(row) for row in rows)

    def page(
        self,
        *,
        states: Iterable[JobState] | None = None,
        text: str | None = None,
        owner: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> QueuePage:
        """A page of the list: what runs, then what waits in its order, then what ended, the latest first.

        `text` must be in the prompt, in capitals or not. All is read at one moment.
        """
        with self._moment() as db:
            waiting = self._waiting(db)
            found = None if text is None else self._prompts.matching(db, text)
            wanted = Filter(frozenset(JobState if states is None else states), owner, found)
            shown, total = ids_of_page(db, waiting, wanted, limit, offset)
            query = "SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
            rows = {row["id"]: job_of(row) for row in db.execute(query, (json.dumps(shown),))}
        places = {id_: waiting.places[id_] for id_ in shown if id_ in waiting.places}
        return QueuePage(tuple(rows[id_] for id_ in shown), places, total)

    def places(self) -> Mapping[int, int]:
        """Where each waiting job stands, from 1, in the order in which owners take turns."""
        return self.open_work().waiting.places

    def open_work(self) -> OpenWork:
        """All that runs or waits, in short. What waits is read again only once it has changed."""
        with self._moment() as db:
            queue = db.execute("SELECT revision, pause_reason FROM queue").fetchone()
            running = db.execute(
                f"SELECT id, worker, attempt, phase, step, is_cancel_requested, group_key, {COST_KEY} AS cost_key "
                "FROM jobs WHERE state='running' ORDER BY position, id"
            )
            return OpenWork(
                queue["revision"], queue["pause_reason"], tuple(map(running_of, running)), self._waiting(db)
            )

    def _waiting(self, db: sqlite3.Connection) -> Waiting:
        waiting = self._known_waiting = read_waiting(db, self._known_waiting)
        return waiting

    def is_shared(self, kind: str, target: str) -> bool:
        """Whether everybody who signs in may see it."""
        with self._read() as db:
            found = db.execute("SELECT 1 FROM shared WHERE kind=? AND target=?", (kind, target)).fetchone()
        return found is not None

    def shared(self, kind: str) -> frozenset[str]:
        """Everything of a kind that everybody who signs in may see."""
        with self._read() as db:
            return frozenset(row[0] for row in db.execute("SELECT target FROM shared WHERE kind=?", (kind,)))

    def counts(self, *, owner: str | None = None) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        condition, values = _matching(owner=owner)
        with self._read() as db:
            rows = db.execute(f"SELECT state, count(*) FROM jobs WHERE {condition} GROUP BY state", values).fetchall()
        found = dict(rows)
        return {state: found.get(state, 0) for state in JobState}

    def has_open(self, job_ids: Sequence[int] | None = None) -> bool:
        """Whether any job, or any of those, waits or runs; one that was removed had ended."""
        condition, values = _matching(states=[JobState.QUEUED, JobState.RUNNING], ids=job_ids)
        with self._read() as db:
            return bool(db.execute(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {condition})", values).fetchone()[0])

    def ended_by(self, worker: str, *, since: float = 0.0) -> tuple[Job, ...]:
        """The jobs that ended under that worker after the moment `since`, in the order in which they did."""
        with self._read() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE worker=? AND state IN ('done', 'failed', 'cancelled') AND finished_at > ? "
                "ORDER BY finished_at, id",
                (worker, since),
            ).fetchall()
        return tuple(job_of(row) for row in rows)

    def workers(self, *, alive_within: float = 10.0) -> tuple[WorkerStatus, ...]:
        """The workers that reported within the last `alive_within` seconds."""
        since = time.time() - alive_within if math.isfinite(alive_within) else 0.0
        with self._read() as db:
            rows = db.execute(
                "SELECT *, device IN (SELECT id FROM drained_devices) AS is_drained FROM workers "
                "WHERE heartbeat_at >= ? ORDER BY started_at, id",
                (since,),
            ).fetchall()
        return tuple(worker_of(row) for row in rows)


def unknown_job(job_id: int) -> InputError:
    return InputError(f"Job {job_id} is unknown, it may have been removed: choose one from the list.")


def _matching(
    *,
    states: Iterable[JobState] | None = None,
    batch: str | None = None,
    owner: str | None = None,
    ids: Sequence[int] | None = None,
    comparison: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The condition that a row meets all that is given, and its values."""
    given: dict[str, tuple[str, Any]] = {
        "states": (
            "state IN (SELECT value FROM json_each(:states))",
            None if states is None else json.dumps([*states]),
        ),
        "batch": ("batch=:batch", batch),
        "owner": ("owner=:owner", owner),
        "comparison": ("comparison=:comparison", comparison),
        "ids": ("jobs.id IN (SELECT value FROM json_each(:ids))", None if ids is None else json.dumps([*ids])),
    }
    asked = {name: (condition, value) for name, (condition, value) in given.items() if value is not None}
    conditions = [condition for condition, _ in asked.values()]
    return " AND ".join(["true", *conditions]), {name: value for name, (_, value) in asked.items()}
