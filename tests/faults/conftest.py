"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    make_folders(settings := Settings(data_dir=tmp_path, device="cpu"))
    journal = Journal(settings.journal_path)
    yield journal
    journal.close()
