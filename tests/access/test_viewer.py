"""Who asks where no request is at hand: the owner in a process of their own, nobody in one that serves others."""

from __future__ import annotations

import threading

import pytest

from pixart_ui.access import viewer
from pixart_ui.access.viewer import LOCAL, NOBODY, Role, Viewer, current, seen_by, serve_others


def in_a_new_thread() -> Viewer:
    found: list[Viewer] = []
    thread = threading.Thread(target=lambda: found.append(current()))
    thread.start()
    thread.join()
    return found[0]


def test_alone_everything_is_the_owners() -> None:
    assert current() == in_a_new_thread() == LOCAL


def test_where_others_are_served_what_lost_its_request_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer.DEFAULT, "viewer", LOCAL)  # put back at the end
    serve_others()
    assert current() == in_a_new_thread() == NOBODY
    assert not NOBODY.is_owner
    assert not NOBODY.may_see(LOCAL.name)
    with seen_by(Viewer("ada", Role.OWNER)):
        assert current().is_owner
        assert in_a_new_thread() == NOBODY
