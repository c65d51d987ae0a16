"""The page's watch over its worker: what it says when no worker can run, and how it ends."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pixart_ui.jobs import supervisor as supervisor_module
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.supervisor import Supervisor, backoff_seconds
from pixart_ui.settings import Settings
from tests.jobs.waiting import wait_until


def test_it_waits_longer_after_each_failure_in_a_row() -> None:
    assert [backoff_seconds(number) for number in range(1, 9)] == [0, 1, 2, 4, 8, 16, 30, 30]


def test_a_worker_that_cannot_start_says_why_and_is_tried_again(settings: Settings, tmp_path: Path) -> None:
    settings.journal_path.write_bytes(b"no database " * 500)
    journal = Journal(tmp_path / "page.sqlite3")
    supervisor = Supervisor(settings, journal)
    assert supervisor.status() is None
    supervisor.start()
    wait_until(lambda: supervisor.status() is not None, "it says why")
    status = supervisor.status()
    assert status is not None
    assert "move it away" in status
    first = supervisor.pid
    wait_until(lambda: supervisor.pid not in (None, first), "another try", seconds=10)
    supervisor.stop()
    assert supervisor.pid is None
    journal.close()


@pytest.mark.long  # `test_fleet.py` asks for one beside a device that is there
def test_the_device_that_was_asked_for_and_is_absent_is_named(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    supervisor = Supervisor(Settings(data_dir=settings.data_dir, device="cuda"), journal)
    supervisor.start()
    wait_until(lambda: supervisor.status() is not None, "it says why")
    supervisor.stop()
    status = supervisor.status()
    assert status is not None
    assert status.startswith("Device cuda was asked for, but")


def test_the_worker_gets_the_settings_that_are_its(settings: Settings, journal: Journal) -> None:
    limited = replace(settings, vram_budget=6 * 2**30, group_size=5, keep_images=100, keep_days=7)
    supervisor = Supervisor(limited, journal)
    supervisor.start()
    try:
        wait_until(lambda: supervisor.pid is not None, "a process is there")
        parts = [part.partition("=") for part in psutil.Process(supervisor.pid).cmdline() if "=" in part]
        flags = {name.removeprefix("--").replace("-", "_"): value for name, _, value in parts if name != "--name"}
        assert Settings.read({}, **flags) == limited
        wait_until(lambda: bool(journal.workers()), "it understands it")
    finally:
        supervisor.stop()
    assert "the VRAM budget is for GPUs only" in supervisor.log_path.read_text()


def test_stopping_while_the_worker_starts_leaves_no_process(settings: Settings, journal: Journal) -> None:
    supervisor = Supervisor(settings, journal)
    supervisor.start()
    wait_until(lambda: supervisor.pid is not None, "a process is there")
    started = time.monotonic()
    supervisor.stop()
    assert supervisor.pid is None
    assert time.monotonic() - started < 4 * supervisor_module.POLITE_SECONDS
    assert journal.workers() == ()


def test_a_log_that_grew_large_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "MAX_LOG_BYTES", 10)
    path = tmp_path / "logs" / "worker.log"
    for text in ("old " * 5, "new"):
        with supervisor_module._open_log(path) as log_file:
            log_file.write(text)
    assert path.read_text() == "new"
    assert path.with_suffix(".old.log").read_text() == "old " * 5
