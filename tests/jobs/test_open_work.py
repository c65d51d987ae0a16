"""What is open, in short: right after every change, and read again only where it changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import pytest

from pixart_ui.events import Phase
from pixart_ui.jobs import listing, open_work
from pixart_ui.jobs.job import JobState, Move
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.open_work import COST_KEY, Cost, Waiting, read_cost, read_waiting
from pixart_ui.request import Numerics, Precision, TransformerPrecision
from tests.jobs.parts import request


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows each time that the waiting jobs are read from the file."""
    found: list[int] = []

    def read(db: sqlite3.Connection, before: Waiting) -> Waiting:
        waiting = read_waiting(db, before)
        found.extend([waiting.revision] if waiting is not before else [])
        return waiting

    monkeypatch.setattr(listing, "read_waiting", read)
    return found


def test_a_step_of_a_running_job_reads_no_waiting_one_again(journal: Journal, readings: list[int]) -> None:
    journal.submit([request(seed) for seed in range(5)], "local")
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    before = journal.open_work()
    for step in range(3):
        journal.progress(job, phase=Phase.DENOISE, step=step, preview=None)
        assert journal.open_work().running[0].step == step
    journal.finish(job, image="a.png", facts={})
    assert journal.open_work().waiting == before.waiting
    assert journal.page().total == 5
    assert len(readings) == 1


EDITS: dict[str, Callable[[Journal], object]] = {
    "added": lambda journal: journal.submit([request(9)], "other"),
    "claimed": lambda journal: journal.claim("one", lease_seconds=60, limit=1),
    "cancelled": lambda journal: journal.cancel([4]),
    "moved": lambda journal: journal.move([4], Move.UP),
    "edited": lambda journal: journal.edit(4, request(9, steps=40)),
    "given back": lambda journal: journal.give_back("first", is_fault=False),
    "tried again": lambda journal: journal.retry([1]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_change_of_what_waits_is_seen(journal: Journal, edit: str) -> None:
    journal.submit([request(seed) for seed in range(5)], "local")
    journal.cancel([1])
    journal.claim("first", lease_seconds=60, limit=1)
    before = journal.open_work().waiting
    EDITS[edit](journal)
    after = journal.open_work().waiting
    assert after.by_owner != before.by_owner
    fresh = Journal(journal.path)
    assert after.by_owner == fresh.open_work().waiting.by_owner
    fresh.close()


def test_a_move_is_seen_while_nothing_runs(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(3)], "local")
    assert list(journal.open_work().waiting.order) == [1, 2, 3]
    journal.move([3], Move.UP)
    assert list(journal.open_work().waiting.order) == [1, 3, 2]


def test_a_job_that_came_back_with_a_strike_between_two_looks_shows_it(journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    journal.open_work()
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)
    journal.give_back("one")
    ((first, second),) = journal.open_work().waiting.by_owner
    assert (first[:2], second[:2]) == ((1, 1), (2, 0))


def test_few_new_jobs_and_many_are_read_alike(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.submit([request(seed) for seed in range(3)], "local")
    journal.open_work()
    journal.submit([request(seed, precision="nf4", steps=7) for seed in range(3)], "local")
    other = Journal(journal.path)
    assert journal.open_work().waiting == other.open_work().waiting
    other.close()
    monkeypatch.setattr(open_work, "MANY", 0)
    assert [len(rows) for rows in journal.open_work().waiting.by_owner] == [6]


def test_running_jobs_say_how_far_they_are(journal: Journal) -> None:
    journal.submit([request(1), request(2)], "local")
    first, second = journal.claim("one", lease_seconds=60, limit=2)
    journal.progress(first, phase=Phase.DENOISE, step=3, preview=None)
    journal.progress(second, phase=Phase.DENOISE, step=1, preview=None)
    journal.cancel([second.id])
    work = journal.open_work()
    assert [(job.id, job.worker, job.phase, job.step) for job in work.running] == [
        (first.id, "one", Phase.DENOISE, 3),
        (second.id, "one", Phase.DENOISE, 1),
    ]
    assert [job.is_cancel_requested for job in work.running] == [False, True]
    assert work.pause_reason is None


def test_what_decides_the_seconds_is_read_back(journal: Journal) -> None:
    journal.submit([request(1, precision="nf4", steps=7, bin_width=512)], "local")
    ((row,),) = journal.open_work().waiting.by_owner
    assert read_cost(row[3]) == Cost(
        "tiny", Precision.NF4, TransformerPrecision.FP16, Numerics.FAST, 512, 256, True, 300, 7
    )


def test_a_job_from_before_the_transformers_precision_was_a_choice_has_the_usual_one(journal: Journal) -> None:
    journal.submit([request(1, precision="bf16")], "local")
    db = sqlite3.connect(journal.path)
    with db:
        old = json.loads(db.execute("SELECT request FROM jobs").fetchone()[0])
        del old["transformer_precision"]
        db.execute("UPDATE jobs SET request=?", (json.dumps(old),))
    db.close()
    ((row,),) = journal.open_work().waiting.by_owner
    assert read_cost(row[3]).transformer_precision is TransformerPrecision.BF16


def test_the_index_holds_the_costs_under_the_words_that_they_are_asked_with(journal: Journal) -> None:
    db = sqlite3.connect(journal.path)
    (made_with,) = db.execute("SELECT sql FROM sqlite_schema WHERE name='jobs_waiting'").fetchone()
    db.close()
    assert "".join(COST_KEY.split()) in "".join(made_with.split())


def test_a_search_sees_new_and_edited_prompts(journal: Journal) -> None:
    journal.submit([request(1, prompt="a red circle"), request(2, prompt="a blue square")], "local")
    assert [job.id for job in journal.page(text="RED").jobs] == [1]
    journal.submit([request(3, prompt="a red house")], "local")
    journal.edit(1, request(1, prompt="a green circle"))
    journal.edit(2, request(2, prompt="a dark red square"))
    assert [job.id for job in journal.page(text="red").jobs] == [2, 3]
    journal.cancel([2])
    journal.clear_finished()
    page = journal.page(text="red")
    assert ([job.id for job in page.jobs], page.total) == ([3], 1)


def test_a_search_goes_page_by_page_through_what_ended(journal: Journal) -> None:
    journal.submit([request(seed, prompt="red" if seed % 2 else "blue") for seed in range(20)], "local")
    journal.cancel(list(range(1, 11)))
    pages = [journal.page(text="red", limit=4, offset=offset) for offset in (0, 4, 8)]
    assert [page.total for page in pages] == [10] * 3
    assert [job.request.seed for page in pages for job in page.jobs] == [11, 13, 15, 17, 19, 1, 3, 5, 7, 9]
    assert pages[1].jobs[1].state is JobState.CANCELLED
