"""Several workers and several people on one journal: each job is run once, and whatever people do, nothing is lost."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState, Move
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings
from tests.faults.plain_worker import plain_workers
from tests.jobs.parts import request

NUM_JOBS = 500
NUM_ACTS = 120


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    make_folders(settings := Settings(data_dir=tmp_path / "data", device="cpu"))
    return settings


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    journal = Journal(settings.journal_path)
    with sqlite3.connect(settings.journal_path) as db:
        db.execute("CREATE TABLE ends (id INTEGER)")
        db.execute(
            "CREATE TRIGGER ended AFTER UPDATE OF state ON jobs WHEN new.state='done' "
            "BEGIN INSERT INTO ends VALUES (new.id); END"
        )
    db.close()
    yield journal
    journal.close()


def times_done(settings: Settings) -> Counter[int]:
    """How often each job became `done`."""
    with sqlite3.connect(settings.journal_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = Counter(row[0] for row in db.execute("SELECT id FROM ends"))
    db.close()
    return found


def test_two_workers_run_each_of_500_jobs_exactly_once(settings: Settings, journal: Journal) -> None:
    with plain_workers(settings, 2) as workers:
        jobs = journal.submit([request(seed) for seed in range(NUM_JOBS)], "local")
        workers.end()
    first, second = workers.drawn
    assert sorted(first + second) == list(range(NUM_JOBS))
    assert first, "both had some"
    assert second, "both had some"
    assert times_done(settings) == Counter(job.id for job in jobs)
    assert {job.attempt for job in journal.jobs()} == {1}
    assert len(list(settings.images_dir.iterdir())) == NUM_JOBS


class Person:
    """Somebody at a browser of their own who does this and that to any of the jobs, in an order that chance decides."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self._journal = Journal(settings.journal_path)
        self._dice = random.Random(seed)
        self._owner = f"person {seed}"
        self.num_added = 0
        self.num_cleared = 0
        self.refusals: list[str] = []

    def act(self) -> None:
        verbs: list[Callable[[list[int]], object]] = [
            self._add,
            self._journal.cancel,
            lambda ids: self._journal.cancel(ids, is_strict=True),
            self._journal.retry,
            self._duplicate,
            lambda ids: self._journal.edit(ids[0], request(self._dice.randrange(256))),
            lambda ids: self._journal.move(ids, self._dice.choice(list(Move))),
            lambda ids: self._journal.star(ids, self._dice.random() < 0.5),
            self._clear,
            lambda _: self._journal.cancel_all(owner=self._owner),
            lambda _: self._journal.retry_failed(),
            lambda _: self._journal.pause(self._owner),
            lambda _: self._journal.resume(),
        ]
        for _ in range(NUM_ACTS):
            known = [job.id for job in self._journal.jobs(limit=60)]
            try:
                self._dice.choice(verbs)(self._dice.sample(known, min(3, len(known))) or [1])
            except InputError as error:
                self.refusals.append(error.message)
        self._journal.close()

    def _add(self, _: list[int]) -> None:
        is_urgent = self._dice.random() < 0.3
        asked = [request(self._dice.randrange(256), precision=self._dice.choice(["fp16", "nf4"])) for _ in range(4)]
        self.num_added += len(self._journal.submit(asked, self._owner, is_urgent=is_urgent))

    def _duplicate(self, ids: list[int]) -> None:
        self.num_added += len(self._journal.duplicate(ids, self._owner))

    def _clear(self, _: list[int]) -> None:
        self.num_cleared += self._journal.clear_finished(owner=self._owner)


@pytest.mark.parametrize("chance", range(3))
def test_whatever_two_people_do_beside_two_workers_nothing_is_lost_or_made_twice(
    settings: Settings, journal: Journal, chance: int
) -> None:
    journal.submit([request(seed) for seed in range(40)], "local")
    people = [Person(settings, 2 * chance + number) for number in range(2)]
    with plain_workers(settings, 2) as workers:
        threads = [threading.Thread(target=person.act) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal.resume()
        workers.end()
    jobs = journal.jobs()
    assert len(jobs) == 40 + sum(person.num_added - person.num_cleared for person in people)
    assert {job.state for job in jobs} == {JobState.DONE, JobState.CANCELLED}
    assert max(times_done(settings).values()) == 1
    for job in jobs:
        if job.state is JobState.DONE:
            with Image.open(settings.images_dir / str(job.image)) as image:
                assert image.getpixel((5, 5)) == (job.request.seed,) * 3, "what was drawn is what the job says"
    assert all(sentence.startswith(("Job ", "No job")) for person in people for sentence in person.refusals)
    with suppress(FileNotFoundError):
        assert list(settings.latents_dir.iterdir()) == []
    assert list(settings.previews_dir.iterdir()) == []
