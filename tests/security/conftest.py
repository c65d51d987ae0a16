"""One shared app for all files, each of which finds its queue empty, and people who sign in to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from pixart_ui.jobs.journal import Journal
from pixart_ui.user_presets import UserPresets
from tests.browser.parts import wait_for
from tests.security.parts import Person, SharedServer, sharing

# Kept by whoever used the app alone before it was shared.
LOCAL_STYLE = "A style of this machine"


# Members who are in nobody else's way.
CROWD = tuple(f"member{number}" for number in range(6))
CROWDS_PASSWORD = "a-long-password"


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    data_dir = tmp_path_factory.mktemp("shared") / "data"
    UserPresets(data_dir / "presets", tuple).save_style("local", LOCAL_STYLE, "drawing of {prompt}", "")
    crowd = [part for name in CROWD for part in ("--auth", f"{name}:{CROWDS_PASSWORD}")]
    with sharing(data_dir, *crowd) as server:
        server.wait_for_worker()
        yield server


@pytest.fixture(scope="package")
def sessions(running: SharedServer) -> dict[str, httpx.Client]:
    """People who have signed in before anybody tries wrong passwords."""
    return {name: running.person(name).http for name in ("ada", "bob", "eve")}


@pytest.fixture(scope="module")
def shared(running: SharedServer, sessions: dict[str, httpx.Client]) -> Iterator[SharedServer]:
    yield running
    with closing(Journal(running.settings.journal_path)) as journal:
        journal.cancel_all()
        wait_for(lambda: not journal.has_open(), "the queue to be empty", 60)
        journal.clear_finished()


@pytest.fixture(scope="module")
def ada(shared: SharedServer, sessions: dict[str, httpx.Client]) -> Person:
    """The owner."""
    return Person(sessions["ada"])


@pytest.fixture(scope="module")
def bob(shared: SharedServer, sessions: dict[str, httpx.Client]) -> Person:
    """A member."""
    return Person(sessions["bob"])


@pytest.fixture(scope="module")
def eve(shared: SharedServer, sessions: dict[str, httpx.Client]) -> Person:
    """Another member, who looks where she should not."""
    return Person(sessions["eve"])


@pytest.fixture(scope="module")
def nobody(shared: SharedServer) -> Person:
    return shared.person()
