"""Sessions and links: known by their hashes alone, and gone when they are ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.access.store import Kind, Session, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "journal.sqlite3")
    yield opened
    opened.close()


def test_a_session_lives_until_it_is_closed_and_survives_a_restart(store: Store) -> None:
    token = store.open_session("ada", "basis")
    assert store.session(token) == Session("ada", "basis")
    again = Store(store.path)
    assert again.session(token) == Session("ada", "basis")
    store.close_session(token)
    assert store.session(token) is None
    again.close()


def test_a_link_is_revoked_by_its_owner_or_the_apps(store: Store) -> None:
    token = store.add_link(Kind.PICTURE, "one.png", "bob")
    link = store.link(token)
    assert link is not None
    assert not store.revoke(link.id, "eve")
    assert store.link(token) == link
    assert store.revoke(link.id, None)
    assert store.link(token) is None
    assert store.links(None) == ()


def test_no_token_is_in_the_file(store: Store) -> None:
    tokens = [store.open_session("ada", "basis"), store.add_link(Kind.COMPARISON, "x", "ada")]
    store.close()
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert not any(token.encode() in content for token in tokens)
