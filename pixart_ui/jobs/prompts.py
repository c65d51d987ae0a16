"""Finds jobs by words of their prompts, without reading 10,000 requests again at each look.

Prompts are kept in memory as they are compared: without case, in any alphabet. A job's prompt changes only when
somebody edits it: `queue.edit_revision` counts that, and the job says which edit was its last. Jobs that were edited or
came since are read on top. Ids are never used again, so jobs that were removed do no harm. Safe to use from several
threads.
"""

from __future__ import annotations

import sqlite3
import threading


class Prompts:
    """The prompts of one journal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folded: dict[int, str] = {}
        self._edit_revision = 0
        self._last_id = 0

    def matching(self, db: sqlite3.Connection, text: str) -> frozenset[int]:
        """The ids of the jobs, some of them gone by now, whose prompts hold that text, in capitals or not."""
        wanted = text.casefold()
        with self._lock:
            self._catch_up(db)
            return frozenset(id_ for id_, prompt in self._folded.items() if wanted in prompt)

    def _catch_up(self, db: sqlite3.Connection) -> None:
        columns = "SELECT id, json_extract(request, '$.prompt') FROM jobs"
        revision = db.execute("SELECT edit_revision FROM queue").fetchone()[0]
        if revision != self._edit_revision:
            edited = db.execute(f"{columns} WHERE edited > 0 AND edited > ?", (self._edit_revision,))
            self._folded.update((id_, prompt.casefold()) for id_, prompt in edited)
            self._edit_revision = revision
        for id_, prompt in db.execute(f"{columns} WHERE id > ? ORDER BY id", (self._last_id,)):
            self._folded[id_] = prompt.casefold()
            self._last_id = id_
