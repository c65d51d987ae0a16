"""Stars, pictures that may go, and how often T5 was loaded."""

from __future__ import annotations

import time

import pytest

from pixart_ui.errors import InputError
from pixart_ui.jobs.job import LoadCount
from pixart_ui.jobs.journal import Journal
from tests.jobs.parts import request


def finish(journal: Journal, num_jobs: int) -> list[int]:
    """Make that many pictures, one after the other; returns the jobs, the oldest first."""
    journal.submit([request(seed) for seed in range(num_jobs)], "local")
    ids = []
    for job in journal.claim("one", lease_seconds=60, limit=num_jobs):
        assert journal.finish(job, image=f"{job.id}.png", facts={})
        ids.append(job.id)
    return ids


def removed(journal: Journal, *, keep: int | None = None, before: float | None = None) -> list[str]:
    names: list[str] = []
    assert journal.remove_images(keep=keep, before=before, remove=names.append) == len(names)
    return names


def test_only_the_newest_pictures_are_kept_and_their_jobs_stay_with_a_note(journal: Journal) -> None:
    ids = finish(journal, 5)
    assert removed(journal, keep=2) == [f"{id_}.png" for id_ in ids[:3]]
    assert [journal.job(id_).image_removed_at is not None for id_ in ids] == [True, True, True, False, False]
    assert journal.job(ids[0]).image == f"{ids[0]}.png"
    assert removed(journal, keep=2) == [], "each goes once"


def test_pictures_go_by_their_age(journal: Journal) -> None:
    finish(journal, 3)
    assert removed(journal, before=time.time() - 60) == []
    assert removed(journal, before=time.time() + 1) == ["1.png", "2.png", "3.png"]


def test_without_limits_nothing_goes(journal: Journal) -> None:
    finish(journal, 3)
    assert removed(journal) == []


def test_starred_pictures_stay_and_are_not_counted(journal: Journal) -> None:
    ids = finish(journal, 4)
    journal.star(ids[:1])
    assert [journal.job(id_).is_starred for id_ in ids] == [True, False, False, False]
    assert removed(journal, keep=1, before=time.time() + 1) == ["2.png", "3.png", "4.png"]
    journal.star(ids[:1], False)
    assert removed(journal, keep=0) == ["1.png"]


def test_a_removal_that_was_cut_short_is_done_again(journal: Journal) -> None:
    finish(journal, 2)

    def fail(name: str) -> None:
        raise PermissionError(name)

    with pytest.raises(PermissionError):
        journal.remove_images(keep=0, before=None, remove=fail)
    assert removed(journal, keep=0) == ["1.png", "2.png"]


def test_more_pictures_than_go_at_a_time_go_all(journal: Journal) -> None:
    finish(journal, 250)
    assert len(removed(journal, keep=10)) == 240


def test_a_star_for_an_unknown_job_is_refused(journal: Journal) -> None:
    (known,) = finish(journal, 1)
    revision = journal.revision()
    with pytest.raises(InputError, match="Job 99 is unknown"):
        journal.star([known, 99])
    assert journal.revision() == revision
    journal.star([known])
    assert journal.revision() > revision, "every browser shows it"


def test_each_picture_beyond_the_loads_is_a_load_saved(journal: Journal) -> None:
    assert journal.loads() == LoadCount(0, 0)
    journal.count_load()
    assert journal.loads() == LoadCount(1, 0)
    finish(journal, 32)
    assert journal.loads() == LoadCount(1, 31)
    journal.count_load()
    assert journal.loads() == LoadCount(2, 30)


def test_a_picture_that_was_no_longer_ours_saves_no_load(journal: Journal) -> None:
    journal.submit([request(0)], "local")
    (job,) = journal.claim("one", lease_seconds=60, limit=1)
    journal.give_back("one")
    assert not journal.finish(job, image="a.png", facts={})
    assert journal.loads() == LoadCount(0, 0)
