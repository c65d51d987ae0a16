"""The journal's file: opening it, its layout, its transactions, and SQLite's errors as sentences.

It knows no job. Every room of the journal stands on it; one object serves all threads, with a connection each.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pixart_ui.errors import DiskFullError, JournalError, JournalUnusable
from pixart_ui.jobs.migrations import APPLICATION_ID, MIGRATIONS

BUSY_SECONDS = 10.0


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly, and that closes with the thread it belongs to."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it never opened
            self.close()


class Database:
    """Opens or creates the file at `path`. Raises JournalError or DiskFullError, here and in every method."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The visible changes that were made through this object, to see at once that one's own went in. Threads may
        # count two as one: it only has to become another number.
        self.num_changes = 0
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._migrate()

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._connections):
            connection.close()
        self._local = threading.local()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._sentences():
            yield self._connection()

    @contextmanager
    def _moment(self) -> Iterator[sqlite3.Connection]:
        """Several reads of the same state, whatever others write meanwhile."""
        with self._read() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")

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
                has_news = is_visible and db.total_changes != before
                if has_news:
                    raise_revision(db)
                db.execute("COMMIT")
                self.num_changes += has_news
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
                raise JournalUnusable(
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
            raise JournalUnusable(
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
            return JournalUnusable(
                f"The journal {self.path} is read-only or cannot be opened ({error}): correct the permissions of its "
                "folder, or choose another with --data-dir."
            )
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return JournalUnusable(
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


def raise_revision(db: sqlite3.Connection) -> None:
    db.execute("UPDATE queue SET revision=revision+1")
