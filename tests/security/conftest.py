"""One shared app for the tests of a file, with a picture of each person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.parts import Person, SharedServer, sharing


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    with sharing(tmp_path_factory.mktemp("shared") / "data") as server:
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
