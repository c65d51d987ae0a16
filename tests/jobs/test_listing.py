"""What the list shows: every job once, in an order that makes sense, page by page."""

from __future__ import annotations

import sqlite3

import pytest

from pixart_ui.jobs import listing
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.open_work import Waiting, read_waiting
from tests.jobs.parts import request


def claim(journal: Journal, limit: int = 8) -> tuple[Job, ...]:
    return journal.claim("one", lease_seconds=60, limit=limit)


def seeds(jobs: tuple[Job, ...]) -> list[int]:
    return [job.request.seed for job in jobs]


def test_what_runs_comes_first_then_what_waits_then_what_ended_latest_first(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(6)], "local")
    first, second, *_ = claim(journal, 3)
    journal.finish(second, image="b.png", facts={})
    journal.fail(first, "It broke.")
    page = journal.page()
    assert seeds(page.jobs) == [2, 3, 4, 5, 0, 1]
    assert page.total == 6
    assert [page.places.get(job.id) for job in page.jobs] == [None, 1, 2, 3, None, None]


def test_pages_meet_without_gap_and_count_the_whole(journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(25)], "local")
    for job in claim(journal, 10):
        journal.finish(job, image="a.png", facts={})
    pages = [journal.page(limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [len(page.jobs) for page in pages] == [10, 10, 5, 0]
    assert [page.total for page in pages] == [25] * 4
    assert [job for page in pages for job in page.jobs] == list(journal.page().jobs)
    assert [pages[1].places.get(job.id) for job in pages[1].jobs][:5] == [11, 12, 13, 14, 15]


@pytest.mark.parametrize("text", ["ÄPFEL", "äpfel", "grüne Äp"])
def test_text_is_found_in_the_prompt_in_capitals_or_not(journal: Journal, text: str) -> None:
    journal.submit([request(1, prompt="Zwei grüne Äpfel", full_prompt="x"), request(2, style="Äpfel")], "local")
    page = journal.page(text=text)
    assert (seeds(page.jobs), page.total) == ([1], 1)
    assert page.places == {page.jobs[0].id: 1}


def test_text_is_no_pattern(journal: Journal) -> None:
    journal.submit([request(1, prompt="100% red_circle", full_prompt="x"), request(2)], "local")
    assert seeds(journal.page(text="0% red_").jobs) == [1]
    assert journal.page(text="red%circle").jobs == ()


def test_filters_add_up_and_places_are_those_of_the_whole_queue(journal: Journal) -> None:
    journal.submit([request(1), request(2)], "me")
    journal.submit([request(3), request(4, prompt="a house", full_prompt="a house")], "you")
    assert seeds(journal.page().jobs) == [1, 3, 2, 4], "they take turns"
    page = journal.page(owner="you", text="house", states=[JobState.QUEUED])
    assert (seeds(page.jobs), list(page.places.values())) == ([4], [4])
    assert journal.page(owner="you", states=[JobState.DONE]).total == 0


def test_the_places_are_the_order_in_which_jobs_are_claimed(journal: Journal) -> None:
    for owner, first in (("a", 0), ("b", 100), ("c", 200)):
        journal.submit([request(first + index) for index in range(3)], owner)
    claim(journal, 2)
    page = journal.page(states=[JobState.QUEUED])
    assert sorted(page.places, key=page.places.__getitem__) == [job.id for job in page.jobs]
    assert journal.places() == page.places
    assert [job.id for job in claim(journal, 9)] == [job.id for job in page.jobs]


def test_totals_are_everybodys_or_one_owners(journal: Journal) -> None:
    journal.submit([request(1)], "me")
    journal.submit([request(2), request(3)], "you")
    assert journal.counts()[JobState.QUEUED] == 3
    assert journal.counts(owner="you")[JobState.QUEUED] == 2
    assert journal.has_open()
    assert not journal.has_open([999]), "one that was removed had ended"


def test_what_ended_under_a_worker_is_told_in_its_order_and_once(journal: Journal) -> None:
    journal.submit([request(1), request(2), request(3)], "local")
    first, second, third = claim(journal)
    journal.fail(second, "It broke.")
    journal.finish(first, image="a.png", facts={})
    ended = journal.ended_by("one")
    assert seeds(ended) == [2, 1]
    journal.fail(third, "", is_cancelled=True)
    assert seeds(journal.ended_by("one", since=ended[-1].finished_at or 0)) == [3]
    assert journal.ended_by("two") == ()


def test_a_page_is_of_one_moment(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cancels a job between the two looks that a page takes: it is shown as it was at the first."""
    jobs = journal.submit([request(1), request(2)], "local")
    other = Journal(journal.path)

    def interrupted(db: sqlite3.Connection, before: Waiting) -> Waiting:
        waiting = read_waiting(db, before)
        other.cancel([jobs[0].id])
        return waiting

    monkeypatch.setattr(listing, "read_waiting", interrupted)
    page = journal.page()
    other.close()
    assert [job.state for job in page.jobs] == [JobState.QUEUED] * 2
    assert list(page.places.values()) == [1, 2]
    assert journal.job(jobs[0].id).state is JobState.CANCELLED
