from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data", device="cpu")
    make_folders(settings)
    return settings


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    journal = Journal(settings.journal_path)
    yield journal
    journal.close()
