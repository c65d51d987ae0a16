"""What people do to jobs that are in the journal already, and to the queue as a whole.

Each verb is one transaction that looks at the jobs' states and changes them under the same write lock, so that neither
a worker nor a second browser comes between. A verb does what it was asked for all the jobs named, or refuses with a
sentence and does nothing; those without names take what they find.

Workers claim whole groups. A job that waits in one has not begun, so it is changed like one that waits in the queue:
it is taken back first, and its worker finds that it is not its any more.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Job, JobState, Move
from pixart_ui.jobs.rows import group_key, job_of
from pixart_ui.jobs.submissions import Submissions, first_position, last_position, named_rows
from pixart_ui.jobs.take_back import NOT_BEGUN, take_back
from pixart_ui.request import ResolvedRequest

OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
UNSUCCESSFUL = frozenset({JobState.FAILED, JobState.CANCELLED})
PAUSED_BY_HAND = "somebody paused it"
# Its worker is gone, and none has come that would take it back.
_ABANDONED = "(state='running' AND lease_until < :now)"
# Its picture is being written: there is nothing to cancel any more.
_DRAWN = "(phase IS NULL AND step > 0)"


class QueueEdits(Submissions):
    """What changes jobs on behalf of people."""

    # The queue as a whole

    def pause(self, reason: str = PAUSED_BY_HAND) -> bool:
        """Let no job start until `resume`; those that run go on. False: it was paused for this reason already."""
        with self._change(is_durable=True) as db:
            cursor = db.execute(
                "UPDATE queue SET pause_reason=:reason WHERE pause_reason IS NOT :reason", {"reason": reason}
            )
            return cursor.rowcount == 1

    def resume(self) -> bool:
        """Let jobs start again. False: the queue was not paused."""
        with self._change(is_durable=True) as db:
            cursor = db.execute("UPDATE queue SET pause_reason=NULL WHERE pause_reason IS NOT NULL")
            return cursor.rowcount == 1

    def clear_finished(self, *, owner: str | None = None) -> int:
        """Remove the jobs that have ended from the list; their pictures stay. Returns how many there were."""
        with self._change(is_durable=True) as db:
            return db.execute(
                "DELETE FROM jobs WHERE state IN ('done', 'failed', 'cancelled') AND (:owner IS NULL OR owner=:owner)",
                {"owner": owner},
            ).rowcount

    # Ending and beginning anew

    def cancel(self, job_ids: Sequence[int], *, is_strict: bool = False) -> tuple[int, ...]:
        """Cancel jobs that have not begun at once and ask the workers of others; returns those for which this is news.

        Jobs that ended or were removed stay as they are, and those whose picture is being written; `is_strict` refuses
        the ended and removed instead, with InputError.
        """
        with self._change(is_durable=True) as db:
            if is_strict:
                _require(named_rows(db, job_ids), OPEN, "only waiting and running jobs can be cancelled: leave it out")
            return _cancel(db, job_ids)

    def cancel_all(self, *, owner: str | None = None) -> tuple[int, ...]:
        """Cancel everything that waits or runs, of one owner or of all."""
        with self._change(is_durable=True) as db:
            return _cancel(db, _ids_in(db, OPEN, owner))

    def retry(self, job_ids: Sequence[int], *, at_end: bool = False) -> tuple[Job, ...]:
        """Queue failed and cancelled jobs again, each at its old place or all at the end, with a clean record.

        Raises InputError where one is in another state or unknown, or where there is no room.
        """
        with self._change(is_durable=True) as db:
            rows = named_rows(db, job_ids)
            _require(rows, UNSUCCESSFUL, "only failed and cancelled jobs can be tried again: duplicate it instead")
            self._check_rows(db, rows)
            return _retry(db, [row["id"] for row in rows], at_end=at_end)

    def retry_failed(self, *, owner: str | None = None) -> tuple[Job, ...]:
        """The same for every failed job, of one owner or of all."""
        with self._change(is_durable=True) as db:
            rows = named_rows(db, _ids_in(db, [JobState.FAILED], owner))
            self._check_rows(db, rows)
            return _retry(db, [row["id"] for row in rows], at_end=False)

    def restore(self, job_ids: Sequence[int]) -> int:
        """Queue those that were cancelled again, at their old places, and leave the others; returns how many.

        Raises InputError where there is no room.
        """
        with self._change(is_durable=True) as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE state='cancelled' AND id IN (SELECT value FROM json_each(?))",
                (json.dumps([*job_ids]),),
            ).fetchall()
            self._check_rows(db, rows)
            _queue_again(db, [row["id"] for row in rows])
            return len(rows)

    def _check_rows(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> None:
        """Whether there is room for these jobs once more. Raises InputError."""
        self._check_caps(db, Counter(row["owner"] for row in rows))
        for owner in {row["owner"] for row in rows}:
            self._charge(db, owner, (job_of(row).request for row in rows if row["owner"] == owner))

    # While they wait

    def edit(self, job_id: int, request: ResolvedRequest, *, seen: ResolvedRequest | None = None) -> Job:
        """Give a queued job another request; its place stays.

        `seen` is the request that the change was made from. Raises InputError once the job runs or has ended, or where
        it has another request than `seen` by now.
        """
        with self._change(is_durable=True) as db:
            take_back(db, f"{NOT_BEGUN} AND id=:id", {"id": job_id}, is_fault=False)
            rows = named_rows(db, [job_id])
            _require(rows, [JobState.QUEUED], "only a waiting job can be changed: duplicate it and change the copy")
            if rows[0]["comparison"] is not None:
                raise InputError(
                    f"Job {job_id} is a run of a comparison and stays as it is: duplicate it and change the copy."
                )
            if seen is not None and job_of(rows[0]).request != seen:
                raise InputError(
                    f"Job {job_id} was changed by somebody else meanwhile: leave it and look at it again, "
                    "or add yours as a new job."
                )
            self._charge(db, rows[0]["owner"], [request])
            row = db.execute(
                "UPDATE jobs SET request=?, group_key=?, strikes=0, gained=NULL WHERE id=? AND state='queued' "
                "RETURNING *",
                (request.model_dump_json(), group_key(request), job_id),
            ).fetchone()
        return job_of(row)

    def move(self, job_ids: Sequence[int], where: Move) -> None:
        """Move queued jobs among those of their owner; several keep their order among themselves.

        Whatever has not begun is taken back from the groups of workers, as the order of all is a new one then. Raises
        InputError where one runs, has ended or is unknown.
        """
        with self._change(is_durable=True) as db:
            take_back(db, NOT_BEGUN, {}, is_fault=False)
            rows = named_rows(db, job_ids)
            _require(rows, [JobState.QUEUED], "only waiting jobs can be moved: leave it out")
            chosen = [row["id"] for row in rows]
            if where is Move.FIRST:
                _put(db, chosen, first_position(db, len(chosen)))
            elif where is Move.LAST:
                _put(db, chosen, last_position(db))
            else:
                for owner in {row["owner"] for row in rows}:
                    _shift(db, owner, frozenset(chosen), is_up=where is Move.UP)


def shifted(order: Sequence[int], chosen: Collection[int], *, is_up: bool) -> list[int]:
    """`order` with each of the chosen one place nearer to the front, or to the end; at the edge they gather.

    >>> shifted([1, 2, 3, 4], {1, 3}, is_up=True)
    [1, 3, 2, 4]
    """
    result = list(order) if is_up else list(reversed(order))
    for index in range(1, len(result)):
        if result[index] in chosen and result[index - 1] not in chosen:
            result[index - 1], result[index] = result[index], result[index - 1]
    return result if is_up else result[::-1]


def _require(rows: Iterable[sqlite3.Row], states: Collection[JobState], rule_and_remedy: str) -> None:
    for row in rows:
        if row["state"] not in states:
            raise InputError(f"Job {row['id']} is {row['state']}, {rule_and_remedy}.")


def _ids_in(db: sqlite3.Connection, states: Iterable[JobState], owner: str | None) -> list[int]:
    rows = db.execute(
        "SELECT id FROM jobs "
        "WHERE state IN (SELECT value FROM json_each(:states)) AND (:owner IS NULL OR owner=:owner)",
        {"states": json.dumps([*states]), "owner": owner},
    )
    return [row["id"] for row in rows]


def _cancel(db: sqlite3.Connection, job_ids: Sequence[int]) -> tuple[int, ...]:
    ids = json.dumps([*job_ids])
    ended = db.execute(
        "UPDATE jobs SET state='cancelled', finished_at=:now, phase=NULL, lease_until=NULL "
        f"WHERE (state='queued' OR {NOT_BEGUN} OR {_ABANDONED}) AND id IN (SELECT value FROM json_each(:ids)) "
        "RETURNING id",
        {"now": time.time(), "ids": ids},
    ).fetchall()
    asked = db.execute(
        "UPDATE jobs SET is_cancel_requested=1 WHERE state='running' AND is_cancel_requested=0 "
        f"AND NOT {_DRAWN} AND id IN (SELECT value FROM json_each(:ids)) RETURNING id",
        {"ids": ids},
    ).fetchall()
    return tuple(sorted(row["id"] for row in (*ended, *asked)))


def _retry(db: sqlite3.Connection, job_ids: Sequence[int], *, at_end: bool) -> tuple[Job, ...]:
    _queue_again(db, job_ids)
    if at_end:
        _put(db, job_ids, last_position(db))
    return tuple(job_of(row) for row in named_rows(db, job_ids))


def _queue_again(db: sqlite3.Connection, job_ids: Sequence[int]) -> None:
    """The attempt is not set back: whoever held an older one must go on finding that it is not theirs.

    What has not begun is taken back from the groups of workers: these may come before it now.
    """
    take_back(db, NOT_BEGUN, {}, is_fault=False)
    db.execute(
        "UPDATE jobs SET state='queued', error=NULL, finished_at=NULL, started_at=NULL, worker=NULL, step=0, "
        "is_cancel_requested=0, strikes=0, gained=NULL "
        "WHERE state IN ('failed', 'cancelled') AND id IN (SELECT value FROM json_each(?))",
        (json.dumps([*job_ids]),),
    )


def _put(db: sqlite3.Connection, job_ids: Sequence[int], start: int) -> None:
    db.executemany("UPDATE jobs SET position=? WHERE id=?", [(start + index, id_) for index, id_ in enumerate(job_ids)])


def _shift(db: sqlite3.Connection, owner: str, chosen: Collection[int], *, is_up: bool) -> None:
    """Exchange the positions of the owner's queued jobs; nobody else's change."""
    rows = db.execute(
        "SELECT id, position FROM jobs WHERE owner=? AND state='queued' ORDER BY position, id", (owner,)
    ).fetchall()
    order = shifted([row["id"] for row in rows], chosen, is_up=is_up)
    changes = [(row["position"], id_) for row, id_ in zip(rows, order, strict=True) if row["id"] != id_]
    db.executemany("UPDATE jobs SET position=? WHERE id=?", changes)
