"""Which jobs a page of the list shows: what runs, then what waits in its order, then what ended, the latest first.

It reads ids alone, from indexes, and of what ended only those of the page: a long history costs next to nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.open_work import Waiting

_ENDED = "FROM jobs INDEXED BY jobs_ended WHERE state IN ('done', 'failed', 'cancelled')"
_OWNED = "(:owner IS NULL OR owner=:owner)"


@dataclass(frozen=True)
class Filter:
    """What the list is narrowed to. `found` are the jobs that a search found, None where none was made."""

    states: frozenset[JobState] = frozenset(JobState)
    owner: str | None = None
    found: frozenset[int] | None = None


def ids_of_page(
    db: sqlite3.Connection, waiting: Waiting, wanted: Filter, limit: int | None, offset: int
) -> tuple[list[int], int]:
    """The jobs of the page, from `offset` on, and how many the filter lets through in all."""
    ahead = _open_ids(db, waiting, wanted)
    if wanted.found is not None:
        ahead = [id_ for id_ in ahead if id_ in wanted.found]
    end = None if limit is None else offset + limit
    shown = ahead[offset:end]
    after = None if end is None else max(0, end - len(ahead))
    ended, num_ended = _ended_ids(db, wanted, max(0, offset - len(ahead)), after)
    return shown + ended, len(ahead) + num_ended


def _open_ids(db: sqlite3.Connection, waiting: Waiting, wanted: Filter) -> list[int]:
    query = f"SELECT id FROM jobs WHERE state=:state AND {_OWNED} ORDER BY position, id"
    found: list[int] = []
    if JobState.RUNNING in wanted.states:
        found += [row[0] for row in db.execute(query, {"state": JobState.RUNNING, "owner": wanted.owner})]
    if JobState.QUEUED in wanted.states and wanted.owner is None:
        found += waiting.order
    elif JobState.QUEUED in wanted.states:
        own = frozenset(row[0] for row in db.execute(query, {"state": JobState.QUEUED, "owner": wanted.owner}))
        found += [id_ for id_ in waiting.order if id_ in own]
    return found


def _ended_ids(db: sqlite3.Connection, wanted: Filter, start: int, end: int | None) -> tuple[list[int], int]:
    """Those from `start` to before `end`, and how many there are in all."""
    states = ", ".join(f"'{state}'" for state in wanted.states if state.is_end)
    if not states:
        return [], 0
    part = f"{_ENDED} AND state IN ({states}) AND {_OWNED}"
    latest = f"SELECT id {part} ORDER BY finished_at DESC, position, id"
    owner = {"owner": wanted.owner}
    if wanted.found is not None:
        found = [row[0] for row in db.execute(latest, owner) if row[0] in wanted.found]
        return found[start:end], len(found)
    window = {"length": -1 if end is None else max(0, end - start), "start": start}
    rows = db.execute(f"{latest} LIMIT :length OFFSET :start", owner | window).fetchall()
    return [row[0] for row in rows], db.execute(f"SELECT count(*) {part}", owner).fetchone()[0]
