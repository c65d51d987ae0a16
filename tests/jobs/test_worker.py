"""The worker's loop: what the engine says becomes rows and files, and no job takes another with it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixart_ui.errors import CheckpointError, WorkerError
from pixart_ui.events import Event, ImageFailed, Phase
from pixart_ui.gallery import images
from pixart_ui.jobs.group_run import image_name
from pixart_ui.jobs.group_size import FEW
from pixart_ui.jobs.job import Job, JobState, Move
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.worker import Worker
from pixart_ui.request import ResolvedRequest
from pixart_ui.settings import Settings
from tests.jobs.parts import NUM_STEPS, PlainEngine, request
from tests.jobs.waiting import wait_until


def serve(settings: Settings, journal: Journal, engine: PlainEngine, jobs: Sequence[Job], **options: Any) -> list[Job]:
    """Run a worker until those jobs have ended."""
    Worker(settings, journal, engine, name="one", **options).serve(threading.Event(), only=[job.id for job in jobs])
    return [journal.job(job.id) for job in jobs]


def test_a_job_becomes_a_picture_that_knows_its_request(settings: Settings, journal: Journal) -> None:
    (job,) = serve(settings, journal, PlainEngine(), journal.submit([request(77)], "local"))
    assert job.state is JobState.DONE
    assert job.image == image_name(job)
    assert job.image.endswith(f"-{job.id:06d}-77.png")
    path = settings.images_dir / job.image
    assert images.read_request(path) == request(77)
    facts = images.read_facts(path)
    assert (facts["job"], facts["attempt"], facts["versions"]) == (job.id, 1, {"plain": "1"})
    assert job.facts is not None
    assert facts.items() >= job.facts.items()
    with Image.open(path) as image:
        assert image.size == (256, 256)
        assert image.getpixel((5, 5)) == (77, 77, 77)


def test_progress_and_preview_are_in_the_journal_while_it_works(settings: Settings, journal: Journal) -> None:
    seen: list[Job] = []
    jobs = journal.submit([request(1), request(2)], "local")

    def look(index: int, step: int) -> None:
        wait_until(lambda: journal.job(jobs[index].id).step == step - 1, "the step before is reported")
        seen.append(journal.job(jobs[index].id))
        assert journal.job(jobs[1 - index].id).phase is None, "the other one waits"
        if step == 3:
            preview = journal.job(jobs[index].id).preview
            assert preview is not None
            with Image.open(settings.previews_dir / preview) as image:
                assert image.format == "JPEG"

    serve(settings, journal, PlainEngine(look), jobs)
    assert [job.phase for job in seen] == [Phase.DENOISE] * len(jobs) * NUM_STEPS
    assert list(settings.previews_dir.iterdir()) == []
    assert [job.preview for job in journal.jobs()] == [None, None]


def test_groups_are_bounded_and_in_the_queues_order(settings: Settings, journal: Journal) -> None:
    engine = PlainEngine()
    jobs = journal.submit([request(seed) for seed in range(5)], "local")
    serve(replace(settings, group_size=2), journal, engine, jobs)
    assert engine.groups == [[0, 1], [2, 3], [4]]


def test_without_a_setting_a_group_is_as_large_as_is_predicted_to_pay_off(settings: Settings, journal: Journal) -> None:
    engine, asked = PlainEngine(), list[int]()
    jobs = journal.submit([request(seed) for seed in range(40)], "local")

    def size_of(first: ResolvedRequest) -> int:
        asked.append(first.seed)
        return 15

    serve(settings, journal, engine, jobs, size_of=size_of)
    assert [len(group) for group in engine.groups] == [15, 15, 10]
    assert asked == [0, 15, 30]


def test_a_few_jobs_are_taken_without_a_question(settings: Settings, journal: Journal) -> None:
    def size_of(first: ResolvedRequest) -> int:
        raise AssertionError

    engine = PlainEngine()
    serve(settings, journal, engine, journal.submit([request(seed) for seed in range(FEW)], "local"), size_of=size_of)
    assert [len(group) for group in engine.groups] == [FEW]


def test_several_workers_share_what_waits(settings: Settings, journal: Journal) -> None:
    journal.register_worker("elsewhere", device="GPU-1", pid=2, info={})
    engine = PlainEngine()
    serve(settings, journal, engine, journal.submit([request(seed) for seed in range(12)], "local"))
    assert [len(group) for group in engine.groups] == [6, 3, 2, 1]


def test_a_cancelled_job_ends_at_the_next_step_and_the_others_come(settings: Settings, journal: Journal) -> None:
    steps: list[tuple[int, int]] = []
    jobs = journal.submit([request(0), request(1)], "local")

    def cancel_in_second_step(index: int, step: int) -> None:
        steps.append((index, step))
        if (index, step) == (0, 2):
            journal.cancel([jobs[0].id])

    first, second = serve(settings, journal, PlainEngine(cancel_in_second_step), jobs)
    assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)
    assert [step for index, step in steps if index == 0] == [1, 2]
    assert len(list(settings.images_dir.iterdir())) == 1


def test_an_error_of_the_checkpoint_fails_the_group_with_its_sentence(settings: Settings, journal: Journal) -> None:
    class Broken(PlainEngine):
        def run(self, requests: Sequence[ResolvedRequest], *rest: Any) -> Iterator[Event]:
            if requests[0].checkpoint == "broken":
                raise CheckpointError("It is damaged: get it again.")
            yield from super().run(requests, *rest)

    broken = [request(0, checkpoint="broken"), request(1, checkpoint="broken"), request(2)]
    *failed, done = serve(settings, journal, Broken(), journal.submit(broken, "local"))
    assert [(job.state, job.error) for job in failed] == [(JobState.FAILED, "It is damaged: get it again.")] * 2
    assert done.state is JobState.DONE


def test_an_unexpected_exception_fails_one_job_and_the_others_come(
    settings: Settings, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(index: int, step: int) -> None:
        if journal.job(jobs[1].id).phase is Phase.DENOISE:
            raise ZeroDivisionError("secret detail")

    jobs = journal.submit([request(seed) for seed in range(4)], "local")
    first, bad, *rest = serve(settings, journal, PlainEngine(explode), jobs)
    assert [job.state for job in (first, *rest)] == [JobState.DONE] * 3
    assert bad.state is JobState.FAILED
    assert bad.error is not None
    assert "unexpected ZeroDivisionError" in bad.error
    assert "Traceback" not in bad.error
    assert "secret detail" in caplog.text, "the traceback is in the log"


def test_after_an_unexpected_exception_a_gpu_gets_a_new_process(settings: Settings, journal: Journal) -> None:
    def explode(index: int, step: int) -> None:
        raise ZeroDivisionError

    jobs = journal.submit([request(0), request(1)], "local")
    with pytest.raises(WorkerError, match="starts anew"):
        serve(settings, journal, PlainEngine(explode, device_id="GPU-1"), jobs)
    assert [journal.job(job.id).state for job in jobs] == [JobState.FAILED, JobState.QUEUED]
    assert journal.workers() == ()


def test_an_engine_that_ends_early_fails_what_it_left_out(settings: Settings, journal: Journal) -> None:
    class Lazy(PlainEngine):
        def run(self, requests: Sequence[ResolvedRequest], *rest: Any) -> Iterator[Event]:
            return super().run(requests[:1], *rest)

    first, second = serve(settings, journal, Lazy(), journal.submit([request(0), request(1)], "local"))
    assert (first.state, second.state) == (JobState.DONE, JobState.FAILED)


def test_a_folder_that_vanished_pauses_the_queue_and_loses_nothing(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(index) for index in range(5)], "local")
    stop = threading.Event()

    def lose(index: int, step: int) -> None:
        if (index, step) == (1, 2) and len(engine.groups) == 1:
            wait_until(lambda: journal.job(jobs[0].id).state is JobState.DONE, "the first is written")
            settings.images_dir.rename(settings.images_dir.with_name("elsewhere"))
            settings.images_dir.touch()

    engine = PlainEngine(lose)
    worker = Worker(settings, journal, engine, name="one")
    serving = threading.Thread(target=worker.serve, args=[stop])
    serving.start()
    try:
        wait_until(lambda: journal.pause_reason() is not None, "the queue is paused")
        reason = journal.pause_reason()
        assert reason is not None
        assert "cannot be written to" in reason
        assert "resume the queue" in reason
        wait_until(lambda: journal.counts()[JobState.RUNNING] == 0, "the group is over")
        assert [journal.job(job.id).state for job in jobs] == [JobState.DONE] + [JobState.QUEUED] * 4
        settings.images_dir.unlink()
        settings.images_dir.with_name("elsewhere").rename(settings.images_dir)
        journal.resume()
        wait_until(lambda: journal.counts()[JobState.DONE] == 5, "all are made")
    finally:
        stop.set()
        serving.join()


def test_a_worker_that_is_told_to_stop_gives_its_jobs_back(settings: Settings, journal: Journal) -> None:
    stop = threading.Event()
    jobs = journal.submit([request(0), request(1), request(2)], "local")

    def stop_in_second(index: int, step: int) -> None:
        if (index, step) == (1, 2):
            stop.set()

    Worker(settings, journal, PlainEngine(stop_in_second), name="one").serve(stop)
    assert [journal.job(job.id).state for job in jobs] == [JobState.DONE, JobState.QUEUED, JobState.QUEUED]
    assert journal.workers() == ()
    assert [job.state for job in serve(settings, journal, PlainEngine(), jobs)] == [JobState.DONE] * 3


def test_a_worker_that_lost_its_lease_makes_no_second_picture(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(0)], "local")

    def lose_it(index: int, step: int) -> None:
        if step == 2 and journal.job(jobs[0].id).attempt == 1:
            journal.give_back("one")
            (stolen,) = journal.claim("two", lease_seconds=60, limit=1)
            assert journal.finish(stolen, image="by-two.png", facts={})

    (job,) = serve(settings, journal, PlainEngine(lose_it), jobs)
    assert (job.image, job.worker, job.attempt) == ("by-two.png", "two", 2)
    assert list(settings.images_dir.iterdir()) == []


def test_the_lock_holder_takes_over_from_a_dead_worker_without_waiting(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(0)], "local")
    journal.register_worker("dead", device="cpu", pid=1, info={})
    journal.claim("dead", lease_seconds=3600, limit=1)
    journal.register_worker("elsewhere", device="GPU-1", pid=2, info={})
    (job,) = serve(settings, journal, PlainEngine(), jobs)
    assert (job.state, job.attempt) == (JobState.DONE, 2)
    assert [worker.id for worker in journal.workers()] == ["elsewhere"]


def test_an_idle_worker_reports_and_starts_a_new_job_at_once(settings: Settings, journal: Journal) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=Worker(settings, journal, PlainEngine(), name="one").serve, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: bool(journal.workers()), "it registers")
        before = journal.workers()[0]
        assert (before.device, before.pid, before.info["state"]) == ("cpu", os.getpid(), "ready")
        wait_until(lambda: journal.workers()[0].heartbeat_at > before.heartbeat_at, "it reports again")
        (job,) = journal.submit([request(0)], "local")
        wait_until(lambda: journal.job(job.id).state is JobState.DONE, "the job is done", seconds=2)
    finally:
        stop.set()
        thread.join()


def test_the_picture_of_another_day_keeps_its_name(journal: Journal) -> None:
    (job,) = journal.submit([request(3)], "local")
    assert image_name(job) == time.strftime("%Y%m%d-000001-3.png", time.localtime(job.created_at))


def test_no_file_outside_the_data_folder(settings: Settings, journal: Journal, tmp_path: Path) -> None:
    hostile = request(0, prompt="../../../etc/x", full_prompt="../../../etc/x")
    (job,) = serve(settings, journal, PlainEngine(), journal.submit([hostile], "local"))
    assert job.image is not None
    assert Path(job.image).name == job.image
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


# Pause, urgent jobs, and a queue that is run to its end


def test_a_pause_waits_for_one_picture_and_the_rest_of_the_group_goes_back(
    settings: Settings, journal: Journal
) -> None:
    stop = threading.Event()
    jobs = journal.submit([request(seed) for seed in range(4)], "local")

    def pause(index: int, step: int) -> None:
        if step == 2 and not journal.counts()[JobState.DONE]:
            journal.pause("enough")

    engine = PlainEngine(pause)
    thread = threading.Thread(target=Worker(settings, journal, engine, name="one").serve, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: journal.job(jobs[0].id).state is JobState.DONE, "the one that was begun is made")
        wait_until(lambda: journal.counts()[JobState.QUEUED] == 3, "the others are back")
        time.sleep(0.3)
        assert [journal.job(job.id).state for job in jobs] == [JobState.DONE, *[JobState.QUEUED] * 3]
        assert engine.groups == [[0, 1, 2, 3]], "none was begun again"
        journal.resume()
        wait_until(lambda: journal.counts()[JobState.DONE] == 4, "all are made", seconds=5)
    finally:
        stop.set()
        thread.join()
    assert engine.groups == [[0, 1, 2, 3], [1, 2, 3]]
    assert [journal.job(job.id).attempt for job in jobs] == [1, 2, 2, 2]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_a_paused_queue_begins_nothing_whatever_became_of_the_picture_before(
    settings: Settings, journal: Journal, end: str
) -> None:
    stop = threading.Event()
    jobs = journal.submit([request(seed) for seed in range(3)], "local")

    def pause(index: int, step: int) -> None:
        if (index, step) == (0, 2):
            journal.pause("enough")
            if end == "cancelled":
                journal.cancel([jobs[0].id])

    class Clumsy(PlainEngine):
        def _draw(self, index: int, asked: ResolvedRequest, *rest: Any) -> Iterator[Event]:
            yield from islice(super()._draw(index, asked, *rest), 3)
            yield ImageFailed(index, "It broke.")

    engine = (Clumsy if end == "failed" else PlainEngine)(pause)
    thread = threading.Thread(target=Worker(settings, journal, engine, name="one").serve, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: journal.job(jobs[0].id).state == end, "the first has ended")
        wait_until(lambda: journal.counts()[JobState.QUEUED] == 2, "the others are back")
        time.sleep(0.2)
        assert journal.counts()[JobState.QUEUED] == 2
    finally:
        stop.set()
        thread.join()


def test_an_urgent_job_is_next_after_one_that_is_cancelled(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(seed) for seed in range(3)], "local")

    def order_and_cancel(index: int, step: int) -> None:
        if len(engine.groups) == 1 and step == 2:
            journal.submit([request(100)], "local", is_urgent=True)
            journal.cancel([jobs[0].id])

    engine = PlainEngine(order_and_cancel)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    assert [job.request.seed for job in journal.ended_by("one")] == [0, 100, 1, 2]


def test_cancelled_while_it_is_decoded_it_is_cancelled_and_while_it_is_written_no_more(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, written = journal.submit([request(0), request(1)], "local")
    news: list[tuple[int, ...]] = []
    save = images.save

    def cancel_and_save(*given: Any) -> None:
        news.append(journal.cancel([written.id]))
        save(*given)

    monkeypatch.setattr(images, "save", cancel_and_save)
    engine = PlainEngine(on_decode=lambda index: index == 0 and journal.cancel([decoded.id]))
    first, second = serve(settings, journal, engine, [decoded, written])
    assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)
    assert news == [()]
    assert not second.is_cancel_requested


def test_an_urgent_job_waits_for_one_picture_not_for_the_group(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(seed) for seed in range(4)], "local")
    urgent: list[Job] = []

    def order_one(index: int, step: int) -> None:
        if not urgent:
            urgent.extend(journal.submit([request(100)], "local", is_urgent=True))

    engine = PlainEngine(order_one)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    assert [job.request.seed for job in journal.ended_by("one")] == [0, 100, 1, 2, 3]
    assert engine.groups == [[0, 1, 2, 3], [100, 1, 2, 3]]
    assert {journal.job(job.id).state for job in jobs} == {JobState.DONE}


def test_an_urgent_job_that_comes_while_a_group_is_encoded_is_drawn_before_it(
    settings: Settings, journal: Journal
) -> None:
    journal.submit([request(seed) for seed in range(30)], "local")
    drawn: list[int] = []

    def order_one() -> None:
        if len(engine.groups) == 1:
            journal.submit([request(100)], "local", is_urgent=True)

    engine = PlainEngine(lambda index, _: drawn.append(engine.groups[-1][index]), on_encode=order_one)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    assert drawn[0] == 100
    assert [len(group) for group in engine.groups] == [30, 31]
    assert {job.state for job in journal.jobs()} == {JobState.DONE}


def test_a_newcomer_does_not_wait_for_the_group_of_another(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(4)], "early")

    def come(index: int, step: int) -> None:
        if len(engine.groups) == 1 and (index, step) == (0, 2):
            journal.submit([request(100)], "late")

    engine = PlainEngine(come)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    assert engine.groups == [[0, 1, 2, 3], [100, 1, 2, 3]]


@pytest.mark.parametrize("verb", ["move", "edit", "cancel"])
def test_what_waits_in_the_group_obeys_at_once(settings: Settings, journal: Journal, verb: str) -> None:
    jobs = journal.submit([request(seed) for seed in range(4)], "local")

    def act(index: int, step: int) -> None:
        if len(engine.groups) > 1 or (index, step) != (0, 2):
            return
        if verb == "move":
            journal.move([jobs[3].id], Move.FIRST)
        elif verb == "edit":
            journal.edit(jobs[3].id, request(99))
        else:
            journal.cancel([jobs[3].id])
            assert journal.job(jobs[3].id).state is JobState.CANCELLED

    engine = PlainEngine(act)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    drawn = [job.request.seed for job in journal.ended_by("one") if job.state is JobState.DONE]
    assert drawn == {"move": [0, 3, 1, 2], "edit": [0, 1, 2, 99], "cancel": [0, 1, 2]}[verb]


def test_a_job_for_the_end_of_the_queue_interrupts_nothing(settings: Settings, journal: Journal) -> None:
    journal.submit([request(seed) for seed in range(3)], "local")
    later: list[Job] = []

    def add_one(index: int, step: int) -> None:
        if not later:
            later.extend(journal.submit([request(9)], "local"))

    engine = PlainEngine(add_one)
    Worker(settings, journal, engine, name="one").serve(threading.Event(), is_draining=True)
    assert engine.groups == [[0, 1, 2], [9]], "it joins the next group"


def test_a_worker_that_drains_ends_when_nothing_is_left(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(0), request(1, precision="nf4")], "local")
    Worker(settings, journal, PlainEngine(), name="one").serve(threading.Event(), is_draining=True)
    assert [journal.job(job.id).state for job in jobs] == [JobState.DONE] * 2
    assert journal.workers() == ()


def test_a_worker_that_drains_does_not_wait_for_a_pause_to_end(settings: Settings, journal: Journal) -> None:
    journal.submit([request(0)], "local")
    journal.pause("a")
    Worker(settings, journal, PlainEngine(), name="one").serve(threading.Event(), is_draining=True)
    assert journal.counts()[JobState.QUEUED] == 1


def test_jobs_that_were_cleared_have_ended(settings: Settings, journal: Journal) -> None:
    jobs = journal.submit([request(0), request(1)], "local")

    def clear(index: int, step: int) -> None:
        if (index, step) == (1, 1):
            wait_until(lambda: journal.job(jobs[0].id).state.is_end, "the first is written")
            journal.clear_finished()

    only = [job.id for job in jobs]
    Worker(settings, journal, PlainEngine(clear), name="one").serve(threading.Event(), only=only)
    assert [(job.request.seed, job.state) for job in journal.jobs()] == [(1, JobState.DONE)]
