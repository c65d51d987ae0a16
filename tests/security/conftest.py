"""One shared app for the tests of a file, with a picture of each person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pixart_ui.user_presets import UserPresets
from tests.security.parts import Person, SharedServer, sharing

# Kept by whoever used the app alone before it was shared.
LOCAL_STYLE = "A style of this machine"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    data_dir = tmp_path_factory.mktemp("shared") / "data"
    UserPresets(data_dir / "presets", tuple).save_style("local", LOCAL_STYLE, "drawing of {prompt}", "")
    with sharing(data_dir) as server:
        server.wait_for_worker()
        yield server


@pytest.fixture(scope="module")
def ada(shared: SharedServer) -> Person:
    """The owner."""
    return shared.person("ada")


@pytest.fixture(scope="module")
def bob(shared: SharedServer) -> Person:
    """A member."""
    return shared.person("bob")


@pytest.fixture(scope="module")
def eve(shared: SharedServer) -> Person:
    """Another member, who looks where she should not."""
    return shared.person("eve")


@pytest.fixture(scope="module")
def nobody(shared: SharedServer) -> Person:
    return shared.person()
