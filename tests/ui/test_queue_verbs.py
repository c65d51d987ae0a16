"""What the buttons of the list do, as the page sends it."""

from __future__ import annotations

import re

import pytest

from pixart_ui.jobs.job import Job, JobState
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.queue_verbs import VERBS, act
from tests.ui.conftest import finish, start
from tests.ui.test_queue_list import add, fail


def ids(jobs: tuple[Job, ...]) -> str:
    return ",".join(str(job.id) for job in jobs)


def waiting(services: Services) -> list[int]:
    return [job.id for job in services.journal.jobs(states=[JobState.QUEUED], newest_first=False)]


def undo(html: str) -> str:
    """What the toast's button would send."""
    found = re.search(r'data-verb="([\w-]+)" data-jobs="([\d,]+)"', html)
    assert found is not None, html
    return f"{found[1]}:{found[2]}"


def test_pause_and_resume(services: Services) -> None:
    assert act(services, "pause:") == ""
    assert services.journal.pause_reason() is not None
    act(services, "resume:")
    assert services.journal.pause_reason() is None


def test_a_cancellation_can_be_taken_back_at_the_old_place(services: Services) -> None:
    jobs = add(services, "one", "two", "three", "four")
    told = act(services, f"cancel:{ids(jobs[1:3])}")
    assert words.JOBS_CANCELLED.format(count=2) in told
    assert waiting(services) == [jobs[0].id, jobs[3].id]
    told = act(services, undo(told))
    assert words.JOBS_RESTORED.format(count=2) in told
    assert waiting(services) == [job.id for job in jobs]


def test_cancel_all_can_be_taken_back_but_for_what_is_still_stopping(services: Services) -> None:
    jobs = add(services, "one", "two", "three")
    running = start(services, jobs[0])
    told = act(services, "cancel-all:")
    assert waiting(services) == []
    again = act(services, undo(told))
    assert words.STILL_STOPPING in again
    assert waiting(services) == [jobs[1].id, jobs[2].id]
    assert services.journal.job(running.id).is_cancel_requested


def test_what_is_over_cannot_be_cancelled_and_that_is_no_error(services: Services) -> None:
    (job,) = add(services, "one")
    finish(services, start(services, job))
    told = act(services, f"cancel:{job.id}")
    assert words.ALREADY_OVER in told
    assert "problem" not in told


def test_moving(services: Services) -> None:
    first, second, third = (job.id for job in add(services, "one", "two", "three"))
    for target, order in (
        (f"first:{third}", [third, first, second]),
        (f"down:{third}", [first, third, second]),
        (f"up:{second}", [first, second, third]),
        (f"last:{first}", [second, third, first]),
    ):
        assert act(services, target) == ""
        assert waiting(services) == order


def test_a_job_that_began_meanwhile_is_not_moved_and_that_is_said(services: Services) -> None:
    first, second = add(services, "one", "two")
    start(services, second)
    told = act(services, f"first:{second.id}")
    assert 'role="alert"' in told
    assert f"Job {second.id} is running" in told
    assert waiting(services) == [first.id]


def test_retry_one_and_all_that_failed(services: Services) -> None:
    jobs = add(services, "one", "two", "three")
    for job in jobs:
        fail(services, job, "It broke.")
    assert words.JOB_RETRIED in act(services, f"retry:{jobs[0].id}")
    assert words.JOBS_RETRIED.format(count=2) in act(services, "retry-failed:")
    assert waiting(services) == [job.id for job in jobs]


def test_duplicates_stand_at_the_end_and_can_be_taken_back(services: Services) -> None:
    jobs = add(services, "one", "two")
    told = act(services, f"duplicate:{ids(jobs)}")
    assert len(waiting(services)) == 4
    copies = [services.journal.job(id_).request for id_ in waiting(services)[2:]]
    assert copies == [job.request for job in jobs]
    act(services, undo(told))
    assert waiting(services) == [job.id for job in jobs]


def test_clearing_leaves_what_is_open_and_the_pictures(services: Services) -> None:
    first, second, third = add(services, "one", "two", "three")
    done = finish(services, start(services, first))
    fail(services, second, "It broke.")
    assert words.JOBS_CLEARED.format(count=2) in act(services, "clear:")
    assert [job.id for job in services.journal.jobs()] == [third.id]
    assert services.image_path(done) is not None


def test_all_pages_of_a_narrowed_list_are_meant_at_once(services: Services) -> None:
    cats = add(services, *(f"cat {index}" for index in range(60)))
    dogs = add(services, "a dog", "another dog")
    assert words.JOBS_CANCELLED.format(count=60) in act(services, "cancel:*open:CAT")
    assert waiting(services) == [job.id for job in dogs]
    assert words.JOBS_RETRIED.format(count=60) in act(services, "retry:*all:cat")
    act(services, "last:*all:cat 1")
    assert waiting(services)[-11:] == [job.id for job in cats if job.request.prompt.startswith("cat 1")]
    told = act(services, "retry:*all:dog")
    assert words.NONE_OF_THESE in told
    assert 'role="alert"' in told


@pytest.mark.parametrize(
    "target", ["", "explode:1", "cancel", None, 5, "<script>:1", "first:<b>,x,99999999999999999999"]
)
def test_a_made_up_target_does_nothing_and_never_raises(services: Services, target: object) -> None:
    (job,) = add(services, "one")
    told = act(services, target)
    assert "<script" not in told
    assert waiting(services) == [job.id]


@pytest.mark.parametrize("verb", [name for name in VERBS if name not in ("pause", "resume", "cancel-all", "clear")])
def test_no_verb_raises_for_jobs_that_are_gone(services: Services, verb: str) -> None:
    add(services, "one")
    act(services, f"{verb}:987654")
    assert len(waiting(services)) == 1
