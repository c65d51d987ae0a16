"""The index of pictures: the room of the journal that makes search, filters and stars quick. It knows rows, no files.

Rows come into being with the jobs that finish (a trigger, in the same transaction) and with files that `records.py`
finds on the disk. A row outlasts its job. What must stay true: the file is the truth, a row where it was seen last.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixart_ui.access.viewer import LOCAL_OWNER
from pixart_ui.gallery.picture import Choices, Picture, PictureFilter, PicturePage
from pixart_ui.jobs.database import Database
from pixart_ui.request import ResolvedRequest

_COLUMNS = "id, name, owner, job, prompt, checkpoint, precision, style, width, height, made_at, is_starred, deleted_at"
_NEWEST_FIRST = "ORDER BY made_at DESC, id DESC"
# What the owner of the app shows to everybody who signs in.
_SHARED = "name IN (SELECT target FROM shared WHERE kind='picture')"


@dataclass(frozen=True)
class Found:
    """A picture that was found on the disk: its name, what it was made from, and when, as far as that can be told."""

    name: str
    request: ResolvedRequest
    job: int | None
    made_at: float


@dataclass(frozen=True)
class Seen:
    """Where the index believes a picture to be."""

    id: int
    is_deleted: bool
    is_gone: bool


class PictureIndex(Database):
    """What the gallery reads and marks. Every list leaves out pictures whose files are gone."""

    def pictures_page(self, wanted: PictureFilter, *, limit: int, offset: int = 0) -> PicturePage:
        condition, values = _condition(wanted)
        with self._moment() as db:
            _teach_case(db)
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM pictures WHERE {condition} {_NEWEST_FIRST} LIMIT :limit OFFSET :offset",
                values | {"limit": limit, "offset": offset},
            ).fetchall()
            total = db.execute(f"SELECT count(*) FROM pictures WHERE {condition}", values).fetchone()[0]
        return PicturePage(tuple(map(_picture_of, rows)), total)

    def picture_names(self, wanted: PictureFilter) -> tuple[str, ...]:
        """The files of all that match, newest first."""
        condition, values = _condition(wanted)
        with self._read() as db:
            _teach_case(db)
            rows = db.execute(f"SELECT name FROM pictures WHERE {condition} {_NEWEST_FIRST}", values)
            return tuple(row["name"] for row in rows)

    def picture_ids(self, wanted: PictureFilter) -> tuple[int, ...]:
        """All that match, newest first."""
        condition, values = _condition(wanted)
        with self._read() as db:
            _teach_case(db)
            rows = db.execute(f"SELECT id FROM pictures WHERE {condition} {_NEWEST_FIRST}", values)
            return tuple(row["id"] for row in rows)

    def pictures(self, ids: Sequence[int], *, owner: str | None = None, or_shared: bool = False) -> tuple[Picture, ...]:
        """Those of these that there are, of one owner or of all, newest first; `or_shared`: those shown to all too."""
        theirs = f"(owner=:owner OR {_SHARED} AND deleted_at IS NULL)" if or_shared else "owner=:owner"
        with self._read() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM pictures WHERE gone_at IS NULL AND (:owner IS NULL OR {theirs}) "
                f"AND id IN (SELECT value FROM json_each(:ids)) {_NEWEST_FIRST}",
                {"ids": json.dumps([*ids]), "owner": owner},
            ).fetchall()
        return tuple(map(_picture_of, rows))

    def picture_named(self, name: str) -> Picture | None:
        with self._read() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM pictures WHERE name=?", (name,)).fetchone()
        return None if row is None else _picture_of(row)

    def picture_choices(self, *, owner: str | None = None) -> Choices:
        """What the filters can offer."""
        live = "gone_at IS NULL AND (:owner IS NULL OR owner=:owner)"
        with self._moment() as db:

            def counts(column: str) -> Mapping[str, int]:
                query = f"SELECT {column}, count(*) FROM pictures WHERE {live} AND deleted_at IS NULL GROUP BY {column}"
                return {row[0]: row[1] for row in db.execute(query, {"owner": owner})}

            sums = db.execute(
                "SELECT count(*) FILTER (WHERE deleted_at IS NULL), "
                "count(*) FILTER (WHERE deleted_at IS NULL AND is_starred), "
                f"count(*) FILTER (WHERE deleted_at IS NOT NULL) FROM pictures WHERE {live}",
                {"owner": owner},
            ).fetchone()
            return Choices(counts("checkpoint"), counts("precision"), counts("style"), *sums)

    def star_pictures(self, ids: Sequence[int], is_starred: bool = True) -> None:
        """Mark pictures as worth keeping, or no longer; the jobs that made them are marked with them."""
        with self._change(is_durable=True) as db:
            db.execute(
                "UPDATE pictures SET is_starred=:is_starred "
                "WHERE is_starred != :is_starred AND id IN (SELECT value FROM json_each(:ids))",
                {"is_starred": int(is_starred), "ids": json.dumps([*ids])},
            )

    # What the disk says

    def seen_pictures(self) -> Mapping[str, Seen]:
        """Every picture that is known, by its file's name."""
        with self._read() as db:
            rows = db.execute("SELECT id, name, deleted_at IS NOT NULL, gone_at IS NOT NULL FROM pictures")
            return {row[1]: Seen(row[0], bool(row[2]), bool(row[3])) for row in rows}

    def add_pictures(self, found: Iterable[Found], *, are_deleted: bool = False) -> None:
        """Take up files that no job of this journal made, or whose jobs are gone; theirs is whoever's job it was.

        One that was taken up meanwhile stays as it is.
        """
        deleted_at = time.time() if are_deleted else None
        with self._change() as db:
            db.executemany(
                "INSERT OR IGNORE INTO pictures (name, job, prompt, checkpoint, precision, style, width, height, "
                "made_at, deleted_at, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                # A job that runs has written its file and not yet its name; another folder's jobs had numbers too.
                "coalesce((SELECT owner FROM jobs WHERE id=? AND (image=? OR state='running')), ?))",
                [(*_values(each), deleted_at, each.job, each.name, LOCAL_OWNER) for each in found],
            )

    def place_pictures(
        self, *, here: Collection[int] = (), deleted: Collection[int] = (), gone: Collection[int] = ()
    ) -> None:
        """Say where pictures are: among the others, in the trash, nowhere. What was so already is not written again."""
        now = time.time()
        with self._change(is_durable=True) as db:
            for ids, assignment, is_news in (
                (here, "deleted_at=NULL, gone_at=NULL", "(deleted_at IS NOT NULL OR gone_at IS NOT NULL)"),
                (deleted, "deleted_at=:now, gone_at=NULL", "(deleted_at IS NULL OR gone_at IS NOT NULL)"),
                (gone, "gone_at=:now", "gone_at IS NULL"),
            ):
                if ids:
                    db.execute(
                        f"UPDATE pictures SET {assignment} "
                        f"WHERE {is_news} AND id IN (SELECT value FROM json_each(:ids))",
                        {"now": now, "ids": json.dumps([*ids])},
                    )

    def forget_pictures(self, ids: Collection[int]) -> None:
        """Their files were removed for good."""
        with self._change(is_durable=True) as db:
            db.execute("DELETE FROM pictures WHERE id IN (SELECT value FROM json_each(?))", (json.dumps([*ids]),))

    def deleted_before(self, moment: float) -> tuple[Picture, ...]:
        """What lies in the trash since before that moment."""
        with self._read() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM pictures WHERE gone_at IS NULL AND deleted_at < ?", (moment,))
            return tuple(map(_picture_of, rows))


def _condition(wanted: PictureFilter) -> tuple[str, dict[str, Any]]:
    """The condition that a row meets the filter, and its values."""
    conditions = ["gone_at IS NULL", f"deleted_at IS {'NOT ' if wanted.is_deleted else ''}NULL"]
    if wanted.is_starred:
        conditions.append("is_starred")
    values: dict[str, Any] = {}
    if wanted.owner is not None:
        conditions.append(f"(owner=:owner OR {_SHARED} AND deleted_at IS NULL)")
        values["owner"] = wanted.owner
    for column, value in (
        ("checkpoint", wanted.checkpoint),
        ("precision", wanted.precision),
        ("style", wanted.style),
    ):
        if value is not None:
            conditions.append(f"{column}=:{column}")
            values[column] = value
    if wanted.since is not None:
        conditions.append("made_at >= :since")
        values["since"] = wanted.since
    if wanted.until is not None:
        conditions.append("made_at < :until")
        values["until"] = wanted.until
    for number, word in enumerate((wanted.text or "").casefold().split()):
        conditions.append(f"instr(casefold(prompt), :word{number})")
        values[f"word{number}"] = word
    return " AND ".join(conditions), values


def _teach_case(db: sqlite3.Connection) -> None:
    """SQLite's own `lower` knows the Latin alphabet only."""
    db.create_function("casefold", 1, str.casefold, deterministic=True)


def _values(found: Found) -> tuple[object, ...]:
    request = found.request
    style = request.style if request.style is not None else ""
    return (
        found.name,
        found.job,
        request.prompt,
        request.checkpoint,
        str(request.precision),
        style,
        request.width,
        request.height,
        found.made_at,
    )


def _picture_of(row: sqlite3.Row) -> Picture:
    return Picture(**{**dict(row), "is_starred": bool(row["is_starred"])})
