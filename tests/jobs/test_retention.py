"""Nothing is deleted by default; else what the settings do not keep, and only files that the journal names."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pixart_ui.jobs import retention
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine, request


def make(settings: Settings, journal: Journal, num_jobs: int) -> list[Job]:
    """Real pictures by a real worker, each with a thumbnail; the oldest first."""
    journal.submit([request(seed) for seed in range(num_jobs)], "local")
    Worker(settings, journal, PlainEngine(), name="one").serve(threading.Event(), is_draining=True)
    settings.thumbnails_dir.mkdir(parents=True, exist_ok=True)
    jobs = sorted(journal.jobs(states=[JobState.DONE]), key=lambda job: job.finished_at or 0)
    for job in jobs:
        settings.thumbnail_path(str(job.image)).touch()
    return jobs


def left(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def stems(jobs: list[Job]) -> set[str]:
    return {Path(str(job.image)).stem for job in jobs}


def test_by_default_nothing_is_deleted(settings: Settings, journal: Journal) -> None:
    jobs = make(settings, journal, 5)
    assert retention.apply(settings, journal) == 0
    assert left(settings.images_dir) == stems(jobs)


def test_the_newest_and_the_starred_stay_with_their_thumbnails(settings: Settings, journal: Journal) -> None:
    jobs = make(settings, journal, 6)
    journal.star([jobs[1].id])
    stranger = settings.images_dir / "holiday.png"
    stranger.touch()
    assert retention.apply(replace(settings, keep_images=2), journal) == 3
    kept = stems([jobs[1], *jobs[4:]])
    assert left(settings.images_dir) == kept | {"holiday"}
    assert left(settings.thumbnails_dir) == kept
    gone = journal.job(jobs[0].id)
    assert gone.state is JobState.DONE
    assert gone.image_removed_at == pytest.approx(time.time(), abs=60)


def test_pictures_go_after_so_many_days(settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make(settings, journal, 2)
    settings = replace(settings, keep_days=7)
    assert retention.apply(settings, journal) == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * retention.DAY_SECONDS)
    assert retention.apply(settings, journal) == len(jobs)
    assert left(settings.images_dir) == set()


def test_a_worker_keeps_to_the_settings_while_it_runs(settings: Settings, journal: Journal) -> None:
    jobs = make(replace(settings, keep_images=2, group_size=3), journal, 7)
    assert left(settings.images_dir) == stems(jobs[5:])


def test_the_picture_of_a_job_that_was_cleared_stays(settings: Settings, journal: Journal) -> None:
    jobs = make(settings, journal, 3)
    journal.clear_finished()
    assert retention.apply(replace(settings, keep_images=1, keep_days=1), journal) == 0
    assert left(settings.images_dir) == stems(jobs)


def test_nothing_outside_of_the_folder_is_deleted(settings: Settings, journal: Journal) -> None:
    outside = settings.data_dir / "precious.png"
    outside.touch()
    journal.submit([request(0)], "local")
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    journal.finish(job, image="../precious.png", facts={})
    retention.apply(replace(settings, keep_images=1, keep_days=1), journal)
    journal.submit([request(1)], "local")
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    journal.finish(job, image="b.png", facts={})
    assert retention.apply(replace(settings, keep_images=1), journal) == 1
    assert outside.exists()


def test_a_picture_that_cannot_be_deleted_is_no_reason_to_stop(
    settings: Settings, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make(settings, journal, 2)
    path = settings.images_dir / str(jobs[0].image)
    path.unlink()
    path.mkdir()  # what even root cannot unlink
    assert retention.apply(replace(settings, keep_images=1), journal) == 0
    assert "cannot be deleted" in caplog.text
    assert journal.job(jobs[0].id).image_removed_at is None, "it is tried again"
