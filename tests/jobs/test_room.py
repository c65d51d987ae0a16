"""Disks are finite: a queue pauses with a sentence where there is no room, and no job fails for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixart_ui.byte_size import MIB
from pixart_ui.errors import DiskFullError
from pixart_ui.events import Event, ImageReady
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.room import RESERVE_BYTES, Room, bound, room_for, work_bytes
from pixart_ui.jobs.worker import Worker
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine, request
from tests.jobs.small_disk import fill, small_disk

PIXELS = {"width": 1024, "height": 1024, "bin_width": 1024, "bin_height": 1024, "steps": 2}
A_JOB = bound(request(**PIXELS)) + work_bytes(request(**PIXELS))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Settings]:
    """A data folder on a disk with room for about three pictures."""
    with small_disk(tmp_path / "small", (RESERVE_BYTES + 3 * A_JOB) // MIB + 1) as folder:
        make_folders(settings := Settings(data_dir=folder, device="cpu"))
        yield settings


def drain(settings: Settings, journal: Journal, engine: PlainEngine) -> None:
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)


def states(journal: Journal) -> list[JobState]:
    return [job.state for job in journal.jobs(newest_first=False)]


def submit(journal: Journal, num_jobs: int) -> Sequence[Job]:
    return journal.submit([request(seed, **PIXELS) for seed in range(num_jobs)], "local")


class NoiseEngine(PlainEngine):
    """Draws what no file can make smaller."""

    def run(self, *args: Any) -> Iterator[Event]:
        for event in super().run(*args):
            if isinstance(event, ImageReady):
                pixels = np.random.default_rng(event.index).integers(0, 256, (*event.image.size, 3), dtype=np.uint8)
                event = replace(event, image=Image.fromarray(pixels))
            yield event


def test_a_queue_that_does_not_fit_is_paused_with_a_sentence_and_goes_on_once_there_is_room(small: Settings) -> None:
    journal, engine = Journal(small.journal_path), NoiseEngine()
    submit(journal, 12)
    drain(small, journal, engine)
    reason = journal.pause_reason()
    assert reason is not None
    assert f"free on the disk of {small.images_dir}" in reason
    assert "for the next picture it must be" in reason
    assert reason.endswith(": free some space, then resume the queue")
    assert set(states(journal)) == {JobState.DONE, JobState.QUEUED}, "none failed"
    assert len(engine.groups[0]) == 3, "no more was begun than there is room for"
    num_groups = len(engine.groups)
    journal.resume()
    drain(small, journal, engine)
    assert journal.pause_reason() is not None, "as long as there is no room it is paused again"
    assert len(engine.groups) == num_groups
    for path in small.images_dir.glob("*.png"):
        path.unlink()
    journal.resume()
    drain(small, journal, PlainEngine())
    assert set(states(journal)) == {JobState.DONE}
    journal.close()


def test_a_disk_that_fills_up_meanwhile_pauses_the_queue_and_keeps_what_is_drawn(
    settings: Settings, journal: Journal
) -> None:
    steps: list[tuple[int, int]] = []
    with small_disk(settings.images_dir, (RESERVE_BYTES + 20 * A_JOB) // MIB) as disk:

        def fill_in_second(index: int, step: int) -> None:
            seed = engine.groups[-1][index]
            steps.append((seed, step))
            if (seed, step) == (1, 2):
                fill(disk)

        engine = PlainEngine(fill_in_second)
        submit(journal, 4)
        drain(settings, journal, engine)
        reason = journal.pause_reason()
        assert reason is not None
        assert reason.endswith(f"does not fit on the disk of {disk}: free some space, then resume the queue")
        assert states(journal) == [JobState.DONE, *[JobState.QUEUED] * 3]
        assert [path.suffix for path in disk.iterdir()].count(".part") == 0
        assert steps.count((1, 1)) == 1
        (disk / "filler").unlink()
        journal.resume()
        drain(settings, journal, engine)
        assert states(journal) == [JobState.DONE] * 4
        assert steps.count((1, 1)) == 1, "its latents were kept: it was decoded, not drawn again"


def test_a_disk_without_room_for_the_journal_ends_the_worker_and_loses_nothing(small: Settings) -> None:
    journal = Journal(small.journal_path)

    def fill_all(index: int, step: int) -> None:
        fill(small.data_dir)

    submit(journal, 2)
    journal.pause("a")
    journal.resume()
    try:
        drain(small, journal, PlainEngine(fill_all))
    except DiskFullError as error:
        assert "nothing is lost" in error.message  # noqa: PT017 - whether the journal needs more room varies
    assert JobState.FAILED not in states(journal)
    (small.data_dir / "filler").unlink()
    journal.give_back("one", is_fault=False)
    journal.resume()
    drain(small, journal, PlainEngine())
    assert states(journal) == [JobState.DONE] * 2
    journal.close()


def test_room_is_counted_by_what_the_last_pictures_took_where_the_bound_does_not_fit(small: Settings) -> None:
    journal = Journal(small.journal_path)
    submit(journal, 100)
    jobs = journal.jobs(newest_first=False)
    first = room_for(jobs, small, journal).num_fitting
    assert 0 < first < 100
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    (small.images_dir / "a.png").write_bytes(bytes(1000))
    assert journal.finish(job, image="a.png", facts={})
    assert room_for(jobs, small, journal).num_fitting > first
    journal.close()


def test_a_group_that_fits_is_left_as_it_is(settings: Settings, journal: Journal) -> None:
    assert room_for(submit(journal, 64), settings, journal) == Room(64)
