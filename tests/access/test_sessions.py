"""Names of sessions belong to whoever named them first."""

from __future__ import annotations

from pixart_ui.access.sessions import MAX_NAME_CHARS, Names, in_address, in_json


def test_a_name_is_for_whoever_named_it_first() -> None:
    names = Names()
    assert names.claim("tab", "bob")
    assert not names.claim("tab", "eve")
    assert names.claim("tab", "bob")
    assert names.claim("another tab", "eve")


def test_the_oldest_name_of_a_viewer_is_forgotten_and_nobody_elses() -> None:
    names = Names(most=2)
    names.claim("bobs", "bob")
    for number in range(3):
        assert names.claim(f"eves {number}", "eve")
    assert names.claim("eves 0", "bob")
    assert not names.claim("eves 2", "bob")
    assert not names.claim("bobs", "eve")


def test_a_name_that_is_used_stays() -> None:
    names = Names(most=2)
    for name in ("tab", "x", "tab", "y"):
        names.claim(name, "bob")
    assert not names.claim("tab", "eve")
    assert names.claim("x", "eve")


def test_of_too_many_viewers_the_one_who_is_longest_away_is_forgotten() -> None:
    names = Names(most_viewers=2)
    for viewer in ("anna", "boris", "anna", "clara"):
        names.claim(f"{viewer}s", viewer)
    assert not names.claim("annas", "boris")
    assert names.claim("boriss", "clara")


def test_a_name_as_long_as_a_book_is_none() -> None:
    assert not Names().claim("x" * (MAX_NAME_CHARS + 1), "bob")


def test_names_are_found_in_addresses_and_bodies() -> None:
    def asked(path: str, query: bytes = b"") -> list[str]:
        return in_address({"path": path, "query_string": query})

    assert asked("/gradio_api/queue/data", b"session_hash=a&session_hash=b") == ["a", "b"]
    assert asked("/gradio_api/upload", b"upload_id=%61") == ["a"]
    assert asked("/gradio_api/heartbeat/a") == ["a"]
    assert asked("/gradio_api/call/list/a") == asked("/gradio_api/call/v2/list/a/") == ["a"]
    assert asked("/gradio_api/call/list") == []
    assert in_json(b'{"session\\u005fhash": "a", "event_id": "b", "data": ["c"]}') == ["a", "b"]
    for other in (b"", b"[", b"[]", b'{"session_hash": null, "event_id": 1}', b"[" * 100_000):
        assert in_json(other) == []
