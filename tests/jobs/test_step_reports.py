"""Steps are reported beside the drawing: nothing waits for them, the last one stands, and none comes too late."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from pixart_ui.errors import JournalError
from pixart_ui.jobs import database
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.step_reports import NUM_PREVIEWS, StepReports
from pixart_ui.settings import Settings
from tests.jobs.parts import request
from tests.jobs.waiting import wait_until

PREVIEW = Image.new("RGB", (8, 8), "red")


@pytest.fixture
def job(journal: Journal) -> Job:
    journal.submit([request()], "local")
    return journal.claim("one", lease_seconds=60, limit=1)[0]


@pytest.fixture
def reports(settings: Settings, journal: Journal) -> Iterator[StepReports]:
    reports = StepReports(journal, settings.previews_dir)
    yield reports
    reports.close()


@contextmanager
def somebody_writes(path: Path) -> Iterator[None]:
    """Holds the journal's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_whoever_draws_does_not_wait_for_whoever_writes(journal: Journal, job: Job, reports: StepReports) -> None:
    with somebody_writes(journal.path):
        for step in range(1, 21):
            reports.tell(job, step, None)
        assert journal.job(job.id).step == 0
    reports.settle()
    assert journal.job(job.id).step == 20


def test_every_report_comes_when_there_is_time(journal: Journal, job: Job, reports: StepReports) -> None:
    for step in range(1, 6):
        reports.tell(job, step, None)
        wait_until(lambda step=step: journal.job(job.id).step == step, "the step is reported")  # type: ignore[misc]


def test_the_last_previews_are_there_and_no_others(
    settings: Settings, journal: Journal, job: Job, reports: StepReports
) -> None:
    for step in range(1, 8):
        reports.tell(job, step, PREVIEW)
        reports.settle()
    names = sorted(path.name for path in settings.previews_dir.iterdir())
    assert names == [f"{job.id}-1-{step}.jpg" for step in range(8 - NUM_PREVIEWS, 8)]
    assert journal.job(job.id).preview == names[-1]


def test_a_preview_that_cannot_be_written_stops_nothing(settings: Settings, journal: Journal, job: Job) -> None:
    reports = StepReports(journal, settings.previews_dir / "absent")
    reports.tell(job, 1, PREVIEW)
    reports.settle()
    reports.close()
    assert (journal.job(job.id).step, journal.job(job.id).preview) == (1, None)


def test_a_journal_that_stays_locked_is_said(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, journal: Journal, job: Job
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    reports = StepReports(Journal(journal.path), settings.previews_dir)
    with somebody_writes(journal.path):
        reports.tell(job, 1, None)
        with pytest.raises(JournalError, match="is locked by another program"):
            reports.settle()
    reports.close()
