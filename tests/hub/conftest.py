from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.hub import Hub
from tests.hub.parts import MAIN, SIBLING, repository
from tests.hub.server import FakeHub, serve


@pytest.fixture
def server() -> Iterator[FakeHub]:
    """A Hub with one complete repository and one that holds a transformer only."""
    hub = FakeHub()
    hub.push(MAIN, repository())
    hub.push(SIBLING, repository("transformer", seed=9))
    with serve(hub):
        yield hub


@pytest.fixture
def hub(server: FakeHub, tmp_path: Path) -> Hub:
    return Hub(tmp_path / "records", cache_dir=tmp_path / "cache", endpoint=server.endpoint)
