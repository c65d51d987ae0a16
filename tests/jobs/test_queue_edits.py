"""What people do to jobs: each verb does all of it or refuses with a sentence, whatever workers do meanwhile."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from subprocess import PIPE, Popen

import pytest

from pixart_ui.errors import InputError
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Caps, Job, JobState, Move
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.queue_edits import shifted
from pixart_ui.jobs.take_back import MAX_ATTEMPTS
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.jobs.parts import request
from tests.jobs.waiting import wait_until

LEASE = 60.0


def claim(journal: Journal, limit: int = 8) -> tuple[Job, ...]:
    return journal.claim("one", lease_seconds=LEASE, limit=limit)


def submit(journal: Journal, *seeds: int, owner: str = "local") -> list[int]:
    return [job.id for job in journal.submit([request(seed) for seed in seeds], owner)]


def waiting(journal: Journal, owner: str | None = None) -> list[int]:
    queued = journal.jobs(states=[JobState.QUEUED], owner=owner, newest_first=False)
    return [job.request.seed for job in queued]


def one_of_each(journal: Journal) -> dict[JobState, int]:
    """A job in every state."""
    done, failed, cancelled, running, queued = submit(journal, 0, 1, 2, 3, 4)
    first, second, third, fourth = claim(journal, 4)
    assert [first.id, second.id, third.id] == [done, failed, cancelled]
    begin(journal, fourth)
    journal.finish(first, image="a.png", facts={})
    journal.fail(second, "It broke.")
    journal.fail(third, "", is_cancelled=True)
    return dict(zip(JobState, (queued, running, done, failed, cancelled), strict=True))


def begin(journal: Journal, job: Job) -> None:
    assert journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)


class Revision:
    """Whether the revision grew since it was last asked."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen = journal.revision()

    def has_grown(self) -> bool:
        before, self._seen = self._seen, self._journal.revision()
        return self._seen > before


# Pause


def test_a_paused_queue_starts_nothing_and_says_why(journal: Journal) -> None:
    running, queued = submit(journal, 0, 1)
    (job,) = claim(journal, 1)
    assert journal.pause("The disk is full.")
    assert journal.pause_reason() == "The disk is full."
    assert claim(journal) == ()
    assert journal.finish(job, image="a.png", facts={}), "what runs goes on"
    assert journal.resume()
    assert journal.pause_reason() is None
    assert [job.id for job in claim(journal)] == [queued]
    assert journal.job(running).state is JobState.DONE


def test_a_pause_survives_reopening_and_is_told_once(journal: Journal) -> None:
    revision = Revision(journal)
    journal.pause("a")
    assert revision.has_grown()
    assert not journal.pause("a")
    assert not revision.has_grown()
    journal.close()
    reopened = Journal(journal.path)
    assert reopened.pause_reason() == "a"
    assert reopened.resume()
    assert revision.has_grown()
    assert not reopened.resume()
    assert not revision.has_grown()


def test_jobs_of_a_dead_worker_come_back_while_it_is_paused(journal: Journal) -> None:
    (job_id,) = submit(journal, 0)
    journal.claim("dead", lease_seconds=-1, limit=1)
    journal.pause("a")
    assert claim(journal) == ()
    assert journal.job(job_id).state is JobState.QUEUED


# Cancel


def test_cancel_says_for_which_jobs_it_was_news(journal: Journal) -> None:
    jobs = one_of_each(journal)
    assert set(journal.cancel([*jobs.values(), 999])) == {jobs[JobState.QUEUED], jobs[JobState.RUNNING]}
    assert journal.cancel([*jobs.values()]) == ()
    assert journal.job(jobs[JobState.DONE]).state is JobState.DONE


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_strict_cancel_refuses_all_for_one_that_ended(journal: Journal, state: JobState) -> None:
    jobs = one_of_each(journal)
    ended, queued = jobs[state], jobs[JobState.QUEUED]
    with pytest.raises(InputError, match=f"Job {ended} is {state}, only waiting and running jobs"):
        journal.cancel([queued, ended], is_strict=True)
    assert journal.job(queued).state is JobState.QUEUED
    with pytest.raises(InputError, match="Job 999 is unknown"):
        journal.cancel([queued, 999], is_strict=True)
    assert journal.cancel([queued], is_strict=True) == (queued,)


def test_cancel_all_takes_one_owners_or_everybodys(journal: Journal) -> None:
    mine, yours = submit(journal, 0, 1, owner="me"), submit(journal, 2, owner="you")
    (running,) = claim(journal, 1)
    begin(journal, running)
    assert list(journal.cancel_all(owner="me")) == mine
    assert running.id in mine
    assert journal.job(running.id).is_cancel_requested
    assert list(journal.cancel_all()) == yours
    assert waiting(journal) == []


# Retry


def test_a_retried_job_stands_at_its_old_place_with_a_clean_record(journal: Journal) -> None:
    poison, *_ = submit(journal, 0, 1)
    for _ in range(MAX_ATTEMPTS):
        job = next(job for job in claim(journal) if job.id == poison)
        journal.progress(job, phase=Phase.DENOISE, step=1, preview=None)
        journal.give_back("one")
    assert journal.job(poison).state is JobState.FAILED
    revision = Revision(journal)
    (retried,) = journal.retry([poison])
    assert revision.has_grown()
    assert (retried.state, retried.error, retried.finished_at) == (JobState.QUEUED, None, None)
    assert retried.request == request(0)
    assert waiting(journal) == [0, 1]
    claimed = claim(journal)
    assert [job.request.seed for job in claimed] == [0, 1], "it is not a suspect any more"
    assert claimed[0].attempt == MAX_ATTEMPTS + 1, "older attempts stay fenced off"
    journal.progress(claimed[0], phase=Phase.DENOISE, step=1, preview=None)
    journal.give_back("one")
    assert journal.job(poison).state is JobState.QUEUED, "its strikes are counted anew"


def test_retried_jobs_can_go_to_the_end(journal: Journal) -> None:
    first, second, _ = submit(journal, 0, 1, 2)
    journal.cancel([first, second])
    journal.retry([second, first], at_end=True)
    assert waiting(journal) == [2, 0, 1]


def test_a_cancelled_running_job_that_is_retried_does_not_count_as_cancelled(journal: Journal) -> None:
    (job_id,) = submit(journal, 0)
    (job,) = claim(journal)
    journal.cancel([job_id])
    journal.fail(job, "", is_cancelled=True)
    journal.retry([job_id])
    assert not journal.fail(job, "late"), "the worker that obeyed has no part in it any more"
    (again,) = claim(journal)
    assert not journal.should_stop(again)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE])
def test_only_failed_and_cancelled_jobs_are_retried(journal: Journal, state: JobState) -> None:
    jobs = one_of_each(journal)
    with pytest.raises(InputError, match=f"Job {jobs[state]} is {state}, only failed and cancelled jobs"):
        journal.retry([jobs[JobState.FAILED], jobs[state]])
    assert journal.job(jobs[JobState.FAILED]).state is JobState.FAILED, "all or none"


def test_retry_failed_leaves_cancelled_jobs_alone(journal: Journal) -> None:
    jobs = one_of_each(journal)
    assert journal.retry_failed(owner="nobody") == ()
    assert [job.id for job in journal.retry_failed()] == [jobs[JobState.FAILED]]
    assert journal.job(jobs[JobState.CANCELLED]).state is JobState.CANCELLED


# Duplicate, edit, clear


def test_duplicates_are_new_jobs_at_the_end(journal: Journal) -> None:
    jobs = one_of_each(journal)
    copies = journal.duplicate([jobs[JobState.DONE], jobs[JobState.QUEUED]], "other")
    assert [(job.request.seed, job.owner, job.state, job.attempt) for job in copies] == [
        (0, "other", JobState.QUEUED, 0),
        (4, "other", JobState.QUEUED, 0),
    ]
    assert waiting(journal) == [4, 0, 4]
    assert len(journal.jobs()) == 7
    with pytest.raises(InputError, match="Job 999 is unknown"):
        journal.duplicate([1, 999], "other")
    assert len(journal.jobs()) == 7
    assert claim(journal)[0].owner == "other", "a new owner has a turn"


def test_a_waiting_job_takes_another_request_at_its_place(journal: Journal) -> None:
    _, job_id, _ = submit(journal, 0, 1, 2)
    revision = Revision(journal)
    edited = journal.edit(job_id, request(50, precision="nf4"))
    assert revision.has_grown()
    assert edited.request == journal.job(job_id).request == request(50, precision="nf4")
    assert waiting(journal) == [0, 50, 2]
    assert [[job.request.seed for job in claim(journal)] for _ in range(2)] == [[0, 2], [50]], "its group is another"


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_edits_are_refused_once_a_job_runs(journal: Journal, state: JobState) -> None:
    jobs = one_of_each(journal)
    before = journal.job(jobs[state])
    with pytest.raises(InputError, match=f"Job {jobs[state]} is {state}, only a waiting job can be changed"):
        journal.edit(jobs[state], request(50))
    assert journal.job(jobs[state]) == before
    with pytest.raises(InputError, match="Job 999 is unknown"):
        journal.edit(999, request(50))


def test_of_two_who_change_one_job_the_second_is_told(journal: Journal) -> None:
    (job_id,) = submit(journal, 0)
    seen = journal.job(job_id).request
    journal.edit(job_id, request(50), seen=seen)
    with pytest.raises(InputError, match=f"Job {job_id} was changed by somebody else meanwhile: leave it"):
        journal.edit(job_id, request(60), seen=seen)
    assert journal.job(job_id).request == request(50)
    journal.edit(job_id, request(60), seen=request(50))
    assert journal.job(job_id).request == request(60)


def test_jobs_of_a_worker_that_is_gone_can_be_cancelled(journal: Journal) -> None:
    submit(journal, 0, 1)
    drawn, waits = journal.claim("gone", lease_seconds=0.05, limit=2)
    assert journal.progress(drawn, phase=Phase.DENOISE, step=7, preview=None)
    time.sleep(0.1)
    assert journal.cancel([drawn.id, waits.id]) == (drawn.id, waits.id)
    assert [journal.job(job.id).state for job in (drawn, waits)] == [JobState.CANCELLED] * 2
    assert not journal.finish(drawn, image="late.png", facts={}), "should it come back, it writes nothing"


def test_what_is_tried_again_does_not_wait_for_the_group_of_another(journal: Journal) -> None:
    (again,) = submit(journal, 0)
    journal.cancel([again])
    journal.submit([request(seed) for seed in (1, 2, 3)], "other")
    begun, *waiting_jobs = claim(journal)
    journal.progress(begun, phase=Phase.DENOISE, step=1, preview=None)
    journal.retry([again])
    assert all(journal.job(job.id).state is JobState.QUEUED for job in waiting_jobs)
    assert claim(journal)[0].id == again


def test_clearing_removes_what_ended_and_nothing_else(journal: Journal) -> None:
    jobs = one_of_each(journal)
    assert journal.clear_finished(owner="nobody") == 0
    revision = Revision(journal)
    assert journal.clear_finished() == 3
    assert revision.has_grown()
    assert {job.id for job in journal.jobs()} == {jobs[JobState.QUEUED], jobs[JobState.RUNNING]}
    assert journal.clear_finished() == 0
    assert not revision.has_grown()
    assert submit(journal, 9)[0] > max(jobs.values()), "a number is never given twice"


# Move


@pytest.mark.parametrize(
    ("where", "chosen", "expected"),
    [
        (Move.FIRST, [2], [2, 0, 1, 3, 4]),
        (Move.FIRST, [4, 1], [1, 4, 0, 2, 3]),
        (Move.LAST, [0, 2], [1, 3, 4, 0, 2]),
        (Move.UP, [2], [0, 2, 1, 3, 4]),
        (Move.UP, [0], [0, 1, 2, 3, 4]),
        (Move.UP, [0, 1, 3], [0, 1, 3, 2, 4]),
        (Move.DOWN, [1, 2], [0, 3, 1, 2, 4]),
        (Move.DOWN, [4, 3], [0, 1, 2, 3, 4]),
    ],
)
def test_jobs_move_and_keep_their_order_among_themselves(
    journal: Journal, where: Move, chosen: list[int], expected: list[int]
) -> None:
    ids = submit(journal, 0, 1, 2, 3, 4)
    journal.move([ids[seed] for seed in chosen], where)
    assert waiting(journal) == expected
    assert [job.request.seed for job in claim(journal)] == expected


def test_moving_leaves_the_jobs_of_others_where_they_are(journal: Journal) -> None:
    submit(journal, 10, owner="me")
    submit(journal, 20, 21, owner="you")
    (mine,) = submit(journal, 11, owner="me")
    journal.move([mine], Move.UP)
    assert waiting(journal, "me") == [11, 10]
    assert waiting(journal) == [11, 20, 21, 10]


def test_only_waiting_jobs_move(journal: Journal) -> None:
    jobs = one_of_each(journal)
    revision = Revision(journal)
    with pytest.raises(InputError, match=f"Job {jobs[JobState.RUNNING]} is running, only waiting jobs can be moved"):
        journal.move([jobs[JobState.QUEUED], jobs[JobState.RUNNING]], Move.FIRST)
    assert not revision.has_grown()


# What waits in a worker's group has not begun


@pytest.fixture
def group(journal: Journal) -> tuple[Job, ...]:
    """Three claimed jobs with the seeds 0 to 2, of which the first has begun; 3 and 4 wait in the queue."""
    submit(journal, 0, 1, 2, 3, 4)
    jobs = claim(journal, 3)
    journal.report_group(jobs, Phase.ENCODE)
    journal.report_group(jobs, None)
    begin(journal, jobs[0])
    return jobs


def test_a_job_that_waits_in_a_group_is_changed_like_any_that_waits(journal: Journal, group: tuple[Job, ...]) -> None:
    journal.edit(group[1].id, request(50))
    assert waiting(journal) == [50, 3, 4]
    assert journal.should_stop(group[1]), "its worker leaves it out"
    assert not journal.progress(group[1], phase=Phase.DENOISE, step=1, preview=None)
    assert not journal.should_stop(group[2])


def test_a_move_is_among_all_that_has_not_begun(journal: Journal, group: tuple[Job, ...]) -> None:
    journal.move([group[2].id], Move.UP)
    assert waiting(journal) == [2, 1, 3, 4]
    assert not journal.should_stop(group[0])
    assert [job.request.seed for job in claim(journal)] == [2, 1, 3, 4]
    assert {journal.job(job.id).attempt for job in group[1:]} == {2}


def test_a_job_that_waits_in_a_group_is_cancelled_at_once(journal: Journal, group: tuple[Job, ...]) -> None:
    journal.cancel([job.id for job in group])
    states = [journal.job(job.id).state for job in group]
    assert states == [JobState.RUNNING, JobState.CANCELLED, JobState.CANCELLED]
    assert not journal.finish(group[1], image="b.png", facts={})


def test_what_is_being_encoded_has_not_begun_either(journal: Journal) -> None:
    submit(journal, 0, 1)
    jobs = claim(journal, 2)
    journal.report_group(jobs, Phase.ENCODE)
    journal.cancel([jobs[0].id])
    journal.edit(jobs[1].id, request(50))
    assert [journal.job(job.id).state for job in jobs] == [JobState.CANCELLED, JobState.QUEUED]
    assert journal.report_group(jobs, None) == frozenset()
    assert waiting(journal) == [50]


def test_a_job_of_another_owner_does_not_wait_for_a_group(journal: Journal, group: tuple[Job, ...]) -> None:
    rest = [job.id for job in group[1:]]
    assert journal.let_go("one", rest) == frozenset()
    submit(journal, 5)
    assert journal.let_go("one", rest) == frozenset(), "at the end of the queue"
    submit(journal, 6, owner="other")
    assert journal.let_go("one", rest) == frozenset(rest)
    assert [job.request.seed for job in claim(journal, 2)] == [6, 1]


def test_shifting_at_the_edge_changes_nothing() -> None:
    assert shifted([], {1}, is_up=True) == []
    assert shifted([1, 2], {1, 2}, is_up=False) == [1, 2]


# Caps


def test_what_is_more_than_the_caps_allow_is_refused_as_a_whole(journal: Journal) -> None:
    journal = Journal(journal.path, Caps(of_owner=3, in_total=4))
    journal.submit([request(0), request(1)], "me")
    with pytest.raises(InputError, match=r"^2 jobs are more .* 2 of yours are unfinished and 3 may be: .*\.$"):
        journal.submit([request(2), request(3)], "me")
    journal.submit([request(4)], "me")
    journal.submit([request(5)], "you")
    with pytest.raises(InputError, match=r"1 job is more .* 4 in all are unfinished and 4 may be"):
        journal.submit([request(6)], "you")
    assert waiting(journal) == [0, 1, 4, 5]
    journal.close()


def test_running_jobs_count_and_ended_ones_make_room(journal: Journal) -> None:
    journal = Journal(journal.path, Caps(of_owner=1))
    submit(journal, 0)
    (job,) = claim(journal)
    with pytest.raises(InputError, match="unfinished"):
        journal.submit([request(1)], "local")
    journal.fail(job, "It broke.")
    journal.submit([request(1)], "local")
    with pytest.raises(InputError, match="unfinished"):
        journal.retry([job.id])
    with pytest.raises(InputError, match="unfinished"):
        journal.retry_failed()
    with pytest.raises(InputError, match="unfinished"):
        journal.duplicate([job.id], "local")
    assert journal.job(job.id).state is JobState.FAILED
    journal.close()


# Beside workers and other browsers

WORKER = """
import sys, time
from dataclasses import replace
from pathlib import Path
from pixart_ui.events import Phase
from pixart_ui.jobs.journal import Journal
journal, over = Journal(Path(sys.argv[1])), Path(sys.argv[3])
print("ready", flush=True)
while not over.exists() or journal.has_open():
    for job in journal.claim(sys.argv[2], lease_seconds=60, limit=3):
        if not journal.progress(job, phase=Phase.DENOISE, step=1, preview=None):
            continue
        time.sleep(0.002)
        if journal.should_stop(job):
            journal.fail(job, "", is_cancelled=True)
        elif journal.finish(job, image="a.png", facts={"seed": job.request.seed}):
            print(job.id)
journal.close()
"""


def run_together(people: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=act) for act in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def beside_two_workers(journal: Journal, people: Sequence[Callable[[], None]]) -> list[int]:
    """Let workers of two other processes run the queue while each of `people` acts; returns what they finished."""
    journal.pause("until all are there")
    over = journal.path.with_name("over")
    workers = [
        Popen([sys.executable, "-c", WORKER, journal.path, name, over], stdout=PIPE, stderr=PIPE)
        for name in ("one", "two")
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    journal.resume()
    run_together(people)
    over.touch()
    outputs = [worker.communicate(timeout=60) for worker in workers]
    assert [err for _, err in outputs] == [b"", b""]
    return [int(line) for out, _ in outputs for line in out.split()]


def test_no_edit_reaches_a_job_that_is_being_made(journal: Journal) -> None:
    ids = submit(journal, *range(200))
    refused: list[int] = []
    accepted: list[int] = []

    def edit(mine: Sequence[int]) -> None:
        for job_id in mine:
            try:
                journal.edit(job_id, request(1000 + job_id))
                accepted.append(job_id)
            except InputError:
                refused.append(job_id)

    def edit_behind_the_workers() -> None:
        wait_until(lambda: journal.counts()[JobState.DONE] > 10, "some are made")
        edit(ids[:100])

    # From both ends: one meets the workers at the front, the other what still waits.
    finished = beside_two_workers(journal, [edit_behind_the_workers, lambda: edit(ids[:99:-1])])
    assert sorted(finished) == ids
    for job in journal.jobs():
        assert job.facts == {"seed": job.request.seed}, "what was drawn is what the job says"
    assert accepted, "some were in time"
    assert refused, "some were not"
    assert {job.id for job in journal.jobs() if job.request.seed >= 1000} == set(accepted)


def test_cancelling_moving_and_retrying_lose_nothing_and_repeat_nothing(journal: Journal) -> None:
    ids = submit(journal, *range(120))

    def disturb(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(80):
            some = chance.sample(ids, 3)
            journal.cancel(some)
            for job_id in some:
                with suppress(InputError):  # it is in another state by now
                    if chance.random() < 0.5:
                        journal.retry([job_id])
                    else:
                        journal.move([job_id], Move.FIRST)

    finished = beside_two_workers(journal, [lambda: disturb(1), lambda: disturb(2)])
    assert len(finished) == len(set(finished)), "none was made twice"
    ended = {job.id: job.state for job in journal.jobs()}
    assert sorted(ended) == ids
    assert {job_id for job_id, state in ended.items() if state is JobState.DONE} == set(finished)
    assert set(ended.values()) <= {JobState.DONE, JobState.CANCELLED}


def test_two_who_move_jobs_at_once_leave_a_clear_order(journal: Journal) -> None:
    ids = submit(journal, *range(30))

    def shuffle(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            journal.move(chance.sample(ids, 2), chance.choice(list(Move)))

    run_together([lambda: shuffle(1), lambda: shuffle(2)])
    with journal._read() as db:
        positions = [row["position"] for row in db.execute("SELECT position FROM jobs")]
    assert len(set(positions)) == len(ids)
    assert sorted(waiting(journal)) == list(range(30))


# Through the services, with what a person asks for


def test_an_edit_is_resolved_like_any_other_request(settings: Settings) -> None:
    services = Services.open(settings)
    one, two = services.enqueue([GenerationRequest(prompt=prompt, checkpoint="tiny") for prompt in ("a", "b")])
    edited = services.edit(one.id, GenerationRequest(prompt="c", checkpoint="tiny", seed=0, steps=7))
    assert (edited.request.prompt, edited.request.seed, edited.request.steps) == ("c", 0, 7)
    assert edited.request.family == two.request.family
    with pytest.raises(InputError, match="2 images were asked for, but a job is one"):
        services.edit(one.id, GenerationRequest(prompt="d", checkpoint="tiny", num_images=2))
    assert services.journal.job(one.id) == edited
    services.journal.close()


def test_several_requests_are_added_all_or_none(settings: Settings) -> None:
    services = Services.open(settings)
    good, bad = (GenerationRequest(prompt="a", checkpoint=name) for name in ("tiny", "tiney"))
    with pytest.raises(InputError, match="tiney"):
        services.enqueue([good, bad])
    assert services.journal.jobs() == ()
    services.journal.close()


@pytest.mark.parametrize("cap", ["max_jobs", "max_jobs_per_owner"])
def test_the_settings_bound_every_way_into_the_queue(settings: Settings, cap: str) -> None:
    services = Services.open(replace(settings, **{cap: 1}))
    asked = GenerationRequest(prompt="a", checkpoint="tiny")
    for add in (
        lambda: services.enqueue([asked, asked]),
        lambda: services.submit(asked.model_copy(update={"num_images": 2})),
    ):
        with pytest.raises(InputError, match="2 jobs are more than the queue has room for"):
            add()
    (job,) = services.submit(asked)
    with pytest.raises(InputError, match="unfinished"):
        services.journal.duplicate([job.id], "local")
    assert len(services.journal.jobs()) == 1
    services.journal.close()
