"""In which groups workers will claim what waits: the rules of `turns.py` and the journal's claims, played through.

Pure: it looks at the rows that were read and at nothing else. What must stay true: each group is the one that a claim
would take, if all before it were claimed one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pixart_ui.jobs.open_work import WaitingRow
from pixart_ui.jobs.turns import group_limit

Group = tuple[WaitingRow, ...]


@dataclass(frozen=True)
class Groups:
    """What waits, in the groups and the order in which workers will claim it."""

    groups: tuple[Group, ...] = ()

    @cached_property
    def number_of(self) -> Mapping[int, int]:
        """In which group each job is."""
        return {row[0]: number for number, group in enumerate(self.groups) for row in group}


def form_groups(by_owner: Sequence[Sequence[WaitingRow]], group_size: int) -> Groups:
    """What workers that claim so many jobs at once will take, group by group; see `jobs/turns.py`."""
    if len(by_owner) == 1:
        return Groups(tuple(_claims_of_one(by_owner[0], group_size)))
    return Groups(tuple(_claims([_Owner(rows) for rows in by_owner if rows], group_size)))


class _Owner:
    """What one owner has waiting: all in their order, and in it those that can share weights."""

    def __init__(self, rows: Sequence[WaitingRow]) -> None:
        self._rows = deque(rows)
        self._taken: set[int] = set()
        self._fitting: dict[tuple[str, int], deque[WaitingRow]] = {}
        for row in rows:
            fitting = self._fitting.get((row[2], row[1]))
            if fitting is None:
                fitting = self._fitting[row[2], row[1]] = deque()
            fitting.append(row)

    def first(self) -> WaitingRow | None:
        rows, taken = self._rows, self._taken
        while rows and rows[0][0] in taken:
            taken.remove(rows.popleft()[0])
        return rows[0] if rows else None

    def has_fitting(self, key: str, strikes: int) -> bool:
        return bool(self._fitting.get((key, strikes)))

    def take_fitting(self, key: str, strikes: int) -> WaitingRow | None:
        """The first that needs these weights and over which as many workers died."""
        fitting = self._fitting.get((key, strikes))
        if not fitting:
            return None
        row = fitting.popleft()
        self._taken.add(row[0])
        return row


def _claims_of_one(rows: Sequence[WaitingRow], group_size: int) -> Iterator[Group]:
    """With nobody to take turns with: what fits together is cut in pieces, each of which comes when its first would."""
    lines: dict[tuple[str, int], list[int]] = {}
    for index, (_, strikes, key, _) in enumerate(rows):
        line = lines.get((key, strikes))
        if line is None:
            line = lines[key, strikes] = []
        line.append(index)
    pieces = []
    for (_, strikes), line in lines.items():
        limit = group_limit(group_size, strikes, is_for_all=True)
        pieces += [line[start : start + limit] for start in range(0, len(line), limit)]
    for piece in sorted(pieces):
        yield tuple([rows[index] for index in piece])


def _claims(owners: list[_Owner], group_size: int) -> Iterator[Group]:
    """`owners` in their turn: whoever is served goes to the end, the one served last behind all."""
    while owners := [owner for owner in owners if owner.first() is not None]:
        first = owners[0].first()
        assert first is not None
        _, strikes, key, _ = first
        is_for_all = all(owner.has_fitting(key, strikes) for owner in owners)
        limit = group_limit(group_size, strikes, is_for_all=is_for_all)
        group, served = _one_claim(owners, key, strikes, limit)
        yield tuple(group)
        owners = [*(owner for owner in owners if owner not in served), *served]


def _one_claim(owners: Sequence[_Owner], key: str, strikes: int, limit: int) -> tuple[list[WaitingRow], list[_Owner]]:
    """A job of each owner in turn until the group is full; and who was served, the last one last."""
    group: list[WaitingRow] = []
    served: dict[_Owner, None] = {}
    asked: Sequence[_Owner] = owners
    while asked:
        having: list[_Owner] = []
        for owner in asked:
            if len(group) == limit:
                return group, list(served)
            if (row := owner.take_fitting(key, strikes)) is not None:
                group.append(row)
                having.append(owner)
                served.pop(owner, None)
                served[owner] = None
        asked = having
    return group, list(served)
