"""What sharing keeps in the journal's file: who is signed in, links that were handed out, and what everybody may see.

Cookies and links are known by their hashes alone: whoever reads the file can use none of them.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from pixart_ui.jobs.database import Database

SESSION_SECONDS = 30 * 24 * 3600
LINK_SECONDS = 7 * 24 * 3600
MAX_LINKS = 1000


class Kind(StrEnum):
    """What can be linked to, or shared to all: a picture by its file's name, a comparison by its id."""

    PICTURE = "picture"
    COMPARISON = "comparison"


@dataclass(frozen=True)
class Session:
    """`basis` stands for the password that it was opened with: another password ends it."""

    user: str
    basis: str


@dataclass(frozen=True)
class Link:
    """`id` is what it is revoked by; its token is known to nobody any more. Times are seconds since 1970."""

    id: int
    kind: Kind
    target: str
    owner: str
    created_at: float
    expires_at: float


class Store(Database):
    """One for each server. Sessions are held in memory too: each request asks for one."""

    _known: dict[str, Session] | None = None

    def open_session(self, user: str, basis: str) -> str:
        """Returns the token for the cookie."""
        token, now = secrets.token_urlsafe(32), time.time()
        with self._change(is_visible=False, is_durable=True) as db:
            db.execute("DELETE FROM sessions WHERE created_at < ?", (now - SESSION_SECONDS,))
            db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (_hash(token), user, basis, now))
        self._known = None
        return token

    def session(self, token: str) -> Session | None:
        if self._known is None:
            with self._read() as db:
                rows = db.execute("SELECT * FROM sessions WHERE created_at >= ?", (time.time() - SESSION_SECONDS,))
                self._known = {row["token"]: Session(row["user"], row["basis"]) for row in rows}
        return self._known.get(_hash(token))

    def close_session(self, token: str) -> None:
        with self._change(is_visible=False, is_durable=True) as db:
            db.execute("DELETE FROM sessions WHERE token=?", (_hash(token),))
        self._known = None

    def add_link(self, kind: Kind, target: str, owner: str) -> str:
        """Returns its token, for the address; it is not kept."""
        token, now = secrets.token_urlsafe(24), time.time()
        with self._change(is_visible=False, is_durable=True) as db:
            db.execute("DELETE FROM links WHERE expires_at < ?", (now,))
            db.execute(
                "INSERT INTO links (token, kind, target, owner, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (_hash(token), kind, target, owner, now, now + LINK_SECONDS),
            )
            db.execute(
                "DELETE FROM links WHERE owner=:owner AND id NOT IN "
                "(SELECT id FROM links WHERE owner=:owner ORDER BY id DESC LIMIT :most)",
                {"owner": owner, "most": MAX_LINKS},
            )
        return token

    def link(self, token: str) -> Link | None:
        """None for one that was never made, was revoked or has run out."""
        with self._read() as db:
            row = db.execute(
                "SELECT * FROM links WHERE token=? AND expires_at > ?", (_hash(token), time.time())
            ).fetchone()
        return None if row is None else _link(row)

    def links(self, owner: str | None) -> tuple[Link, ...]:
        """Those that are valid, of one owner or of all; the newest first."""
        with self._read() as db:
            rows = db.execute(
                "SELECT * FROM links WHERE expires_at > :now AND (:owner IS NULL OR owner=:owner) ORDER BY id DESC",
                {"now": time.time(), "owner": owner},
            )
            return tuple(_link(row) for row in rows)

    def revoke(self, link_id: int, owner: str | None) -> bool:
        """False where there is no such link of that owner; None is anybody's."""
        with self._change(is_visible=False, is_durable=True) as db:
            return (
                db.execute(
                    "DELETE FROM links WHERE id=:id AND (:owner IS NULL OR owner=:owner)",
                    {"id": link_id, "owner": owner},
                ).rowcount
                == 1
            )

    def share(self, kind: Kind, target: str, *, is_shared: bool) -> None:
        """Let everybody who signs in see it, or no longer."""
        with self._change(is_durable=True) as db:
            if is_shared:
                db.execute("INSERT OR IGNORE INTO shared VALUES (?, ?, ?)", (kind, target, time.time()))
            else:
                db.execute("DELETE FROM shared WHERE kind=? AND target=?", (kind, target))


def _link(row: object) -> Link:
    values = dict(row)  # type: ignore[call-overload]
    return Link(
        values["id"],
        Kind(values["kind"]),
        values["target"],
        values["owner"],
        values["created_at"],
        values["expires_at"],
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
