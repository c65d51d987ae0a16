"""What runs and what waits, in short: who comes when, how far it is, and what decides how long it takes.

A journal of 10,000 jobs changes with every step of the one that runs; what waits does not. `queue.waiting_revision`
tells the two apart (triggers raise it), so that whoever follows a running job reads no waiting row again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from pixart_ui.events import Phase
from pixart_ui.jobs.turns import in_turn, owners_in_turn
from pixart_ui.request import Numerics, Precision, TransformerPrecision, usual_transformer_precision

# Everything of a request that its seconds depend on, as JSON. The index `jobs_waiting` holds it under these very words.
COST_KEY = """json_array(
    json_extract(request, '$.checkpoint'), json_extract(request, '$.precision'),
    json_extract(request, '$.transformer_precision'), json_extract(request, '$.numerics'),
    json_extract(request, '$.bin_width'), json_extract(request, '$.bin_height'),
    json_extract(request, '$.guidance_scale') > 1, json_extract(request, '$.max_tokens'),
    json_extract(request, '$.steps'))"""

# From so many new jobs on it is quicker to read all from the index than these from the table.
MANY = 200

# Id, strikes, group key and cost key. There are thousands: plain tuples, as SQLite gives them.
WaitingRow = tuple[int, int, str, str]


class Cost(NamedTuple):
    """A cost key, read."""

    checkpoint: str
    precision: Precision
    transformer_precision: TransformerPrecision
    numerics: Numerics
    width: int
    height: int
    is_guided: bool
    max_tokens: int
    steps: int


@dataclass(frozen=True)
class Waiting:
    """All queued jobs: a row of each owner's in their order; first the owner whose turn is next.

    `edit_revision` is the journal's: while it stays, so does the row of each job.
    """

    revision: int
    edit_revision: int = 0
    by_owner: tuple[tuple[WaitingRow, ...], ...] = ()

    @cached_property
    def order(self) -> Sequence[int]:
        """The ids as they come when everybody takes turns; which of them share a group is left aside."""
        ids = [[row[0] for row in rows] for rows in self.by_owner]
        return ids[0] if len(ids) == 1 else list(in_turn(ids))

    @cached_property
    def places(self) -> Mapping[int, int]:
        """Where each stands in that order, from 1."""
        return {id_: place for place, id_ in enumerate(self.order, start=1)}

    @cached_property
    def cost_keys(self) -> frozenset[str]:
        return frozenset(row[3] for row in chain.from_iterable(self.by_owner))


@dataclass(frozen=True)
class RunningJob:
    """A claimed job; `phase` is None while it waits in its group, and again while its picture is written."""

    id: int
    worker: str
    attempt: int
    phase: Phase | None
    step: int
    is_cancel_requested: bool
    group_key: str
    cost_key: str


@dataclass(frozen=True)
class OpenWork:
    """All open jobs at one moment; those that run by their place in the queue."""

    revision: int
    pause_reason: str | None
    running: tuple[RunningJob, ...]
    waiting: Waiting


def running_of(row: sqlite3.Row) -> RunningJob:
    phase = Phase(row["phase"]) if row["phase"] is not None else None
    values = (row["id"], row["worker"], row["attempt"], phase, row["step"], bool(row["is_cancel_requested"]))
    return RunningJob(*values, row["group_key"], row["cost_key"])


def read_waiting(db: sqlite3.Connection, before: Waiting) -> Waiting:
    """The queued jobs, in a transaction; `before` itself where nothing changed, else its rows for the jobs it had."""
    revision, edit_revision = db.execute("SELECT waiting_revision, edit_revision FROM queue").fetchone()
    if revision == before.revision:
        return before
    is_edited = edit_revision != before.edit_revision
    rows = {} if is_edited else {row[0]: row for row in chain.from_iterable(before.by_owner)}
    owners = owners_in_turn(db)
    ids = [_ids_of(db, owner) for owner in owners]
    new = [id_ for id_ in chain.from_iterable(ids) if id_ not in rows]
    rows |= _read_rows(db, new if len(new) < MANY else None)
    return Waiting(revision, edit_revision, tuple(tuple([rows[id_] for id_ in own]) for own in ids))


def _ids_of(db: sqlite3.Connection, owner: str) -> list[int]:
    query = "SELECT id FROM jobs WHERE state='queued' AND owner=? ORDER BY position, id"
    return [row[0] for row in db.execute(query, (owner,))]


def _read_rows(db: sqlite3.Connection, ids: Sequence[int] | None) -> dict[int, WaitingRow]:
    """Of these jobs, or of all that wait. Equal keys are one object: there are few of them, and they are compared."""
    cursor = db.cursor()
    cursor.row_factory = None
    keys: dict[str, str] = {}
    query = f"SELECT id, strikes, group_key, {COST_KEY} FROM jobs"
    if ids is None:
        found = cursor.execute(f"{query} INDEXED BY jobs_waiting WHERE state='queued'")
    else:
        found = cursor.execute(f"{query} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    return {
        id_: (id_, strikes, keys.setdefault(group, group), keys.setdefault(cost, cost))
        for id_, strikes, group, cost in found
    }


def read_cost(key: str) -> Cost:
    checkpoint, precision, transformer, numerics, width, height, is_guided, max_tokens, steps = json.loads(key)
    return Cost(
        checkpoint,
        Precision(precision),
        usual_transformer_precision(precision) if transformer is None else TransformerPrecision(transformer),
        Numerics(numerics),
        width,
        height,
        bool(is_guided),
        max_tokens,
        steps,
    )
