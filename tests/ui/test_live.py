from __future__ import annotations

from html import escape

import pytest

from pixart_ui.events import Phase
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.live import Live, Snapshot
from pixart_ui.ui.look import Look
from tests.ui.conftest import finish, start, submit

ATTACK = "<img src=x onerror=alert(1)>\"'</button><script>alert(2)</script>"


class Watch:
    def __init__(self, sentence: str | None = None) -> None:
        self.sentence = sentence

    def status(self) -> str | None:
        return self.sentence


@pytest.fixture
def live(services: Services) -> Live:
    return Live(services, Watch(), ("an example",))


def snapshot(live: Live, mark: str = "", batch: str = "", focus: str = "") -> Snapshot:
    shown = live.snapshot(mark, Look(batch=batch, job=focus))
    assert shown is not None
    return shown


def test_an_empty_journal_teaches(live: Live) -> None:
    shown = snapshot(live)
    assert words.EMPTY_TITLE in shown.regions["stage"]
    assert 'data-prompt="an example"' in shown.regions["stage"]
    assert words.ENGINE_STARTING in shown.regions["engine"]
    assert not shown.is_busy


def test_nothing_is_sent_twice(services: Services, live: Live) -> None:
    first = snapshot(live)
    assert live.snapshot(first.mark, Look()) is None
    submit(services)
    assert live.snapshot(first.mark, Look()) is not None


def test_another_picture_in_view_is_another_state(services: Services, live: Live) -> None:
    (job,) = submit(services)
    first = snapshot(live)
    assert live.snapshot(first.mark, Look(batch=job.batch)) is not None


def test_a_step_shows_in_stage_header_and_title(services: Services, live: Live) -> None:
    (job,) = submit(services, steps=20)
    start(services, job, step=7)
    shown = snapshot(live)
    assert "7/20" in shown.regions["stage"]
    assert "7/20" in shown.regions["engine"]
    assert "7/20" in shown.title
    assert shown.is_busy


def test_a_page_sees_its_own_request_even_while_another_runs(services: Services, live: Live) -> None:
    (mine,) = submit(services, "my picture")
    (theirs,) = submit(services, "their picture")
    start(services, theirs)
    assert "my picture" in snapshot(live, batch=mine.batch).regions["stage"]
    assert "their picture" in snapshot(live).regions["stage"]


def test_a_page_without_one_sees_the_last_picture(services: Services, live: Live) -> None:
    (job,) = submit(services, "the last one")
    done = finish(services, start(services, job))
    shown = snapshot(live, batch="gone")
    assert f"/pictures/{done.image}" in shown.regions["stage"]
    assert f'download="{done.image}"' in shown.regions["stage"]
    assert f"/thumbnails/{done.image}" in shown.regions["strip"]
    assert "0.2 s" in shown.regions["stage"]


def test_of_several_pictures_the_one_at_work_is_in_focus(services: Services, live: Live) -> None:
    first, second, _ = submit(services, num_images=3, seed=1)
    finish(services, start(services, first))
    start(services, second)
    shown = snapshot(live, batch=first.batch)
    assert f'data-state="running" data-job="{second.id}"' in shown.regions["stage"]
    assert shown.regions["stage"].count('data-act="show"') == 3
    chosen = snapshot(live, batch=first.batch, focus=str(first.id))
    assert f'data-state="done" data-job="{first.id}"' in chosen.regions["stage"]


def test_only_the_picture_at_work_counts_as_running(services: Services, live: Live) -> None:
    jobs = submit(services, num_images=3)
    for job in services.journal.claim("worker", lease_seconds=60, limit=3):
        step = 5 if job.id == jobs[0].id else 0
        services.journal.progress(job, phase=Phase.DENOISE if step else None, step=step, preview=None)
    assert "2 waiting" in snapshot(live).regions["engine"]


def test_a_cancelled_and_a_failed_picture_say_so(services: Services, live: Live) -> None:
    cancelled, failed = submit(services, num_images=2)
    services.journal.cancel([cancelled.id])
    services.journal.fail(start(services, failed), "The device is gone: <b>plug it in</b>.")
    assert words.CANCELLED in snapshot(live, batch=cancelled.batch, focus=str(cancelled.id)).regions["stage"]
    stage = snapshot(live, batch=failed.batch, focus=str(failed.id)).regions["stage"]
    assert "The device is gone: &lt;b&gt;plug it in&lt;/b&gt;." in stage


def test_a_restart_is_told(services: Services, live: Live) -> None:
    (job,) = submit(services)
    start(services, job)
    services.journal.give_back("worker")
    assert words.RESTARTED not in snapshot(live).regions["stage"]
    start(services, job)
    assert words.RESTARTED in snapshot(live).regions["stage"]


def test_why_no_worker_can_run_is_told(services: Services) -> None:
    submit(services)
    shown = snapshot(Live(services, Watch("Device cuda <was> asked for."), ()))
    assert "Device cuda &lt;was&gt; asked for." in shown.regions["engine"]
    assert "Device cuda &lt;was&gt; asked for." in shown.regions["stage"]


def test_a_picture_whose_file_is_gone_says_so(services: Services, live: Live) -> None:
    (job,) = submit(services)
    done = finish(services, start(services, job))
    (services.settings.images_dir / str(done.image)).unlink()
    shown = snapshot(live)
    assert escape(words.FILE_GONE) in shown.regions["stage"]
    assert "/pictures/" not in shown.regions["stage"]


@pytest.mark.parametrize("end", ["queued", "running", "done", "failed"])
def test_a_prompt_is_inert_in_every_state(services: Services, live: Live, end: str) -> None:
    (job,) = submit(services, ATTACK, negative_prompt=ATTACK)
    if end != "queued":
        job = start(services, job)
    if end == "done":
        finish(services, job)
    if end == "failed":
        services.journal.fail(job, ATTACK)
    shown = snapshot(live, batch=job.batch)
    for html in (shown.regions["stage"], shown.regions["strip"], shown.regions["engine"]):
        assert "<img src=x" not in html
        assert "<script" not in html


def test_a_worker_shows_its_device_and_memory(services: Services, live: Live) -> None:
    info = {"name": ATTACK, "memory_free_bytes": 4 * 2**30, "memory_total_bytes": 6 * 2**30}
    services.journal.register_worker("worker", device="cuda:0", pid=1, info=info)
    shown = snapshot(live)
    assert "4.0 of 6.0 GiB free" in shown.regions["engine"]
    assert words.ENGINE_READY in shown.regions["engine"]
    assert "<img" not in shown.regions["engine"]


def test_a_picture_that_waits_shows_before_older_ones(services: Services, live: Live) -> None:
    (old,) = submit(services, "an older picture")
    finish(services, start(services, old))
    submit(services, "the next picture")
    assert "the next picture" in snapshot(live).regions["stage"]


def work(services: Services, **news: object) -> None:
    """The worker that has the jobs of `start` says what it does."""
    services.journal.register_worker("worker", device="cpu", pid=1, info={"name": "CPU", "state": "working", **news})


def test_weights_that_are_prepared_show_how_far_they_are(services: Services, live: Live) -> None:
    (job,) = submit(services, precision="nf4")
    start(services, job, phase=Phase.ENCODE, step=0)
    work(services)
    before = snapshot(live)
    assert words.ENCODING in before.regions["stage"]
    told = {"component": "text_encoder", "done_bytes": 3_150_000_000, "total_bytes": 6_300_000_000}
    services.journal.renew("worker", 60, {"preparing": told})
    shown = snapshot(live, mark=before.mark)
    assert "Preparing T5 as nf4, once: 3.1 of 6.3 GB." in shown.regions["stage"]
    assert 'data-phase="encode" data-is="now" style="--part:0.500"' in shown.regions["stage"]
    assert words.ENCODING not in shown.regions["stage"]


def test_a_smaller_plan_shows_while_it_is_made_and_afterwards(services: Services, live: Live) -> None:
    (job,) = submit(services)
    running = start(services, job)
    work(services, notes=["decode: in <pieces>."])
    assert "Decode: in &lt;pieces&gt;." in snapshot(live).regions["stage"]
    assert words.STEPPED_DOWN in snapshot(live).regions["stage"]
    services.journal.finish(running, image="a.png", facts={"notes": ["denoise: streamed."]})
    stage = snapshot(live).regions["stage"]
    assert "Denoise: streamed." in stage
    assert "pieces" not in stage, "that was the group's"


def test_a_picture_whose_file_is_written_is_drawn_and_steps_back(services: Services, live: Live) -> None:
    first, second = submit(services, num_images=2, steps=20)
    start(services, first, phase=None, step=20)
    assert words.SAVING in snapshot(live).regions["stage"]
    assert snapshot(live).regions["stage"].count('data-is="done"') == 3
    start(services, second, step=7)
    assert "7/20" in snapshot(live).regions["engine"]


def test_a_budget_is_what_memory_is_counted_against(services: Services, live: Live) -> None:
    work(services, memory_free_bytes=4 * 2**30, memory_total_bytes=24 * 2**30, budget_bytes=6 * 2**30)
    assert "4.0 of 6.0 GiB budget free" in snapshot(live).regions["engine"]


def test_of_copies_of_a_long_list_one_is_shown_and_not_thousands(services: Services, live: Live) -> None:
    originals = [job.id for number in range(4) for job in submit(services, f"number {number}", num_images=40)]
    services.journal.cancel(originals)
    copies = services.journal.duplicate(originals, "local")
    named = snapshot(live, batch=copies[0].batch, focus=str(copies[77].id)).regions["stage"]
    assert f'data-job="{copies[77].id}"' in named
    assert 'class="tiles batch"' not in named
    assert f'data-job="{copies[0].id}"' in snapshot(live, batch=copies[0].batch).regions["stage"]
    running = start(services, copies[120])
    assert f'data-job="{running.id}"' in snapshot(live, batch=copies[0].batch).regions["stage"]
