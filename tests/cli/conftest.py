from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import make_toy_checkpoint


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint with random weights."""
    return make_toy_checkpoint(tmp_path_factory.mktemp("toy") / "toy")
