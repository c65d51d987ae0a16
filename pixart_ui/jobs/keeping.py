"""What is kept of finished jobs and counted of all: stars, pictures that may go, and how often T5 was loaded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence

from pixart_ui.jobs.database import Database
from pixart_ui.jobs.job import LoadCount
from pixart_ui.jobs.submissions import named_rows

# How many pictures are removed in one transaction: nobody waits longer for the journal than that takes.
REMOVED_AT_A_TIME = 100


class Keeping(Database):
    """The room of the journal for what outlasts a job's run."""

    def star(self, job_ids: Sequence[int], is_starred: bool = True) -> None:
        """Mark jobs as worth keeping, or no longer. Raises InputError where there is no such job."""
        with self._change(is_durable=True) as db:
            named_rows(db, job_ids)
            db.execute(
                "UPDATE jobs SET is_starred=:is_starred "
                "WHERE is_starred != :is_starred AND id IN (SELECT value FROM json_each(:ids))",
                {"is_starred": int(is_starred), "ids": json.dumps([*job_ids])},
            )

    def remove_images(self, *, keep: int | None, before: float | None, remove: Callable[[str], None]) -> int:
        """Call `remove` with the names of pictures beyond the newest `keep`, or older than the moment `before`.

        Starred ones stay and are not counted. The jobs stay as well, with the moment at which the picture went. A star
        comes before all of that or after it; a picture whose removal was cut short is found again. Returns how many.
        """
        num_removed = 0
        while True:
            with self._change(is_durable=True) as db:
                rows = db.execute(
                    """
                    SELECT id, image FROM (
                        SELECT id, image, finished_at, row_number() OVER (ORDER BY finished_at DESC, id DESC) AS place
                        FROM jobs WHERE state='done' AND comparison IS NULL AND NOT is_starred
                            AND image_removed_at IS NULL)
                    WHERE place > :keep OR finished_at < :before ORDER BY finished_at, id LIMIT :limit
                    """,
                    {"keep": keep, "before": before, "limit": REMOVED_AT_A_TIME},
                ).fetchall()
                for row in rows:
                    remove(row["image"])
                ids = json.dumps([row["id"] for row in rows])
                db.execute(
                    "UPDATE jobs SET image_removed_at=? WHERE id IN (SELECT value FROM json_each(?))",
                    (time.time(), ids),
                )
            num_removed += len(rows)
            if len(rows) < REMOVED_AT_A_TIME:
                return num_removed

    def open_among(self, job_ids: Collection[int]) -> frozenset[int]:
        """Which of those jobs wait or run."""
        with self._read() as db:
            rows = db.execute(
                "SELECT id FROM jobs WHERE state IN ('queued', 'running') AND id IN (SELECT value FROM json_each(?))",
                (json.dumps([*job_ids]),),
            )
            return frozenset(row["id"] for row in rows)

    def count_load(self) -> None:
        """T5 was brought to a device."""
        with self._change() as db:
            db.execute("UPDATE queue SET num_loads = num_loads + 1")

    def loads(self) -> LoadCount:
        """How often T5 was loaded, and how often that was saved because pictures shared a load or a kept embedding."""
        with self._read() as db:
            row = db.execute("SELECT num_loads, num_pictures FROM queue").fetchone()
        return LoadCount(row["num_loads"], max(0, row["num_pictures"] - row["num_loads"]))
