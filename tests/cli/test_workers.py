"""`workers`: a device is named by the id that the list shows, or by its first letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.cli import main
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings

GPU = "58ca22cc-fdd4-dae5-1509-f57387200af8"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    make_folders(settings := Settings(data_dir=tmp_path))
    journal = Journal(settings.journal_path)
    journal.register_worker("one", device=GPU, pid=1, info={"name": "GPU"})
    yield journal
    journal.close()


@pytest.mark.parametrize("name", [GPU, "58ca"])
def test_a_gpu_is_drained_and_resumed_by_its_id(
    journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["workers", "drain", name, f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == f"{GPU} takes no new jobs\n"
    assert [worker.is_drained for worker in journal.workers()] == [True]
    assert main(["workers", "resume", name, f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == f"{GPU} takes jobs again\n"
    assert [worker.is_drained for worker in journal.workers()] == [False]
