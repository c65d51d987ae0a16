"""One full-size checkpoint, and one folder of converted weights, for all tests on a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixart_ui.engine.engine import EngineFiles


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bench.full_size import build

    prepared = os.environ.get("PIXART_UI_FULL_SIZE")
    return Path(prepared) if prepared else build(tmp_path_factory.mktemp("full") / "sigma", "cuda")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> EngineFiles:
    """Weights converted once for all tests, and what was measured; embeddings only in memory."""
    root = tmp_path_factory.mktemp("data")
    return EngineFiles(root / "weights", calibration_path=root / "calibration.json")
