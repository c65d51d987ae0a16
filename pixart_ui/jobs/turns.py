"""Whose job comes next: owners take turns, and within an owner it goes by the queue's order.

Every owner has a turn, a number; whoever was served the longest ago has the lowest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

# A worker that dies while it encodes makes a suspect of each job of its group: they are tried again few at a time, and
# one by one only if that goes wrong as well.
SUSPECTS_TOGETHER = {1: 8}
# A group is no longer than this while other owners wait for something that it cannot hold.
MOST_BEFORE_OTHERS = 8
# A job lets so many places behind it pass that a worker has the weights for, while another worker has those it needs.
MOST_PASSING = 64


@dataclass(frozen=True)
class Among:
    """The waiting jobs to choose from: a condition on their rows, and its values.

    `warm` is the group key of the weights that are on the device, `elsewhere` are those on the devices of others.
    """

    condition: str = "true"
    values: Mapping[str, Any] = field(default_factory=dict)
    warm: str | None = None
    elsewhere: frozenset[str] = frozenset()


ALL = Among()


def choose_group(db: sqlite3.Connection, limit: int, among: Among = ALL) -> list[int]:
    """The ids of the group to run next, in its order: a job of each owner in turn while they can share the weights.

    Jobs over which a worker died make no group with others. Empty while the queue is paused.
    """
    if db.execute("SELECT pause_reason IS NOT NULL FROM queue").fetchone()[0]:
        return []
    owners = owners_in_turn(db, among)
    if not owners:
        return []
    first = _first(db, among, owners[0])
    strikes = first["strikes"]
    fitting = [_fitting(db, among, owner, first["group_key"], strikes, limit) for owner in owners]
    return list(islice(in_turn(fitting), group_limit(limit, strikes, is_for_all=all(fitting))))


def group_limit(limit: int, strikes: int, *, is_for_all: bool) -> int:
    """How many of those that fit a group takes; `is_for_all` says that it holds jobs of every owner who waits."""
    if strikes > 0:
        limit = min(limit, SUSPECTS_TOGETHER.get(strikes, 1))
    return limit if is_for_all else min(limit, MOST_BEFORE_OTHERS)


def count_turns(db: sqlite3.Connection, owners: Sequence[str]) -> None:
    """Those served now come after all others, whoever was served last in the group comes last."""
    for owner in owners:
        db.execute("UPDATE owners SET turn=(SELECT max(turn) FROM owners) + 1 WHERE name=?", (owner,))


def owners_in_turn(db: sqlite3.Connection, among: Among = ALL) -> list[str]:
    """The owners of queued jobs, or of those, the one served the longest ago first."""
    rows = db.execute(
        "SELECT name FROM owners WHERE EXISTS "
        f"(SELECT 1 FROM jobs WHERE owner=owners.name AND state='queued' AND {among.condition}) "
        "ORDER BY turn, (SELECT min(position) FROM jobs WHERE owner=owners.name AND state='queued')",
        among.values,
    ).fetchall()
    return [row["name"] for row in rows]


def _first(db: sqlite3.Connection, among: Among, owner: str) -> sqlite3.Row:
    """The job that the owner's turn is for: the first, or one close behind it whose weights are on the device already.

    The first is passed only while another worker has its weights, which will come for it.
    """
    query = (
        "SELECT id, group_key, strikes, position FROM jobs "
        f"WHERE owner=:owner AND state='queued' AND {among.condition} {{}} ORDER BY position, id LIMIT 1"
    )
    values = {**among.values, "owner": owner}
    first: sqlite3.Row = db.execute(query.format(""), values).fetchone()
    if among.warm in (None, first["group_key"]) or first["group_key"] not in among.elsewhere or first["strikes"] > 0:
        return first
    last = {"warm": among.warm, "last": first["position"] + MOST_PASSING}
    condition = "AND group_key=:warm AND strikes=0 AND position <= :last"
    warm: sqlite3.Row | None = db.execute(query.format(condition), {**values, **last}).fetchone()
    return first if warm is None else warm


def _fitting(db: sqlite3.Connection, among: Among, owner: str, key: str, strikes: int, limit: int) -> list[int]:
    """The owner's first jobs that can share a load of the weights and over which as many workers died."""
    rows = db.execute(
        "SELECT id FROM jobs WHERE owner=:owner AND state='queued' AND group_key=:key AND strikes=:strikes "
        f"AND {among.condition} ORDER BY position, id LIMIT :limit",
        {**among.values, "owner": owner, "key": key, "strikes": strikes, "limit": limit},
    ).fetchall()
    return [row["id"] for row in rows]


def in_turn(rows: Sequence[Sequence[int]]) -> Iterator[int]:
    """The first of each row, then the second of each that has one, and so on."""
    place = 0
    while len(rows) > 1:
        rows = [row for row in rows if len(row) > place]
        yield from (row[place] for row in rows)
        place += 1
    for row in rows:
        yield from row[place:]
