"""The Queue tab's live regions: what everybody sees of the list."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.live import Live, Snapshot
from pixart_ui.ui.look import Look, QueueLook, Shows, Tab
from pixart_ui.ui.queue_live import FOLD_SIZE, PAGE_SIZE
from tests.ui.conftest import finish, start
from tests.ui.test_live import ATTACK, Watch

Regions = dict[str, str]


@pytest.fixture
def live(services: Services) -> Live:
    return Live(services, Watch(), ())


def add(services: Services, *prompts: str, owner: str = "local", **settings: Any) -> tuple[Job, ...]:
    requests = [GenerationRequest.parse({"prompt": prompt, **settings}) for prompt in prompts]
    return services.enqueue(requests, owner)


def snapshot(live: Live, **query: str) -> Snapshot:
    shown = live.snapshot("", Look.of({"tab": "queue", **query}))
    assert shown is not None
    return shown


def regions(live: Live, **query: str) -> Regions:
    return dict(snapshot(live, **query).regions)


def keys(html: str) -> list[int]:
    return [int(key) for key in re.findall(r'data-key="(\d+)"', html)]


def fail(services: Services, job: Job, message: str) -> None:
    services.journal.fail(start(services, job), message)


def work(services: Services) -> None:
    info = {"name": "CPU", "device": "cpu", "memory_free_bytes": 8 << 30, "memory_total_bytes": 16 << 30}
    services.journal.register_worker("worker", device="cpu", pid=os.getpid(), info=info)


def test_what_runs_stands_first_then_what_waits_with_its_place(services: Services, live: Live) -> None:
    jobs = add(services, "one", "two", "three", steps=20)
    start(services, jobs[1], step=7)
    shown = regions(live)["queue-list"]
    assert keys(shown) == [jobs[1].id, jobs[0].id, jobs[2].id]
    assert "Denoise 7/20" in shown
    assert "--part:0.350" in shown
    assert "1st in line" in shown
    assert "2nd in line" in shown


def test_a_line_says_the_settings_in_short(services: Services, live: Live) -> None:
    add(services, "one", steps=12, guidance_scale=3.5, precision="nf4", seed=99, width=256, height=256)
    assert "256×256 · 12 steps · guidance 3.5 · nf4 · seed 99" in regions(live)["queue-list"]


def test_only_the_tab_that_is_open_is_rendered(services: Services, live: Live) -> None:
    add(services, "one")
    single = live.snapshot("", Look())
    assert single is not None
    assert {"stage", "strip"} <= set(single.regions)
    assert not any(name.startswith("queue") for name in single.regions)
    assert "stage" not in regions(live)
    assert single.num_waiting == 1


def test_the_same_page_is_not_sent_twice_and_another_is(services: Services, live: Live) -> None:
    add(services, "one")
    look = Look(tab=Tab.QUEUE)
    first = live.snapshot("", look)
    assert first is not None
    assert live.snapshot(first.mark, look) is None
    assert live.snapshot(first.mark, Look(tab=Tab.QUEUE, queue=QueueLook(shows=Shows.DONE))) is not None


def test_a_page_shows_fifty_and_one_beyond_the_end_is_the_last(services: Services, live: Live) -> None:
    jobs = add(services, *(f"number {index}" for index in range(PAGE_SIZE + 10)))
    first = regions(live)["queue-list"]
    assert keys(first) == [job.id for job in jobs[:PAGE_SIZE]]
    assert "1–50 of 60" in first
    for page in ("2", "3", "999999"):
        last = regions(live, page=page)["queue-list"]
        assert keys(last) == [job.id for job in jobs[PAGE_SIZE:]]
        assert 'data-page="2" data-total="60"' in last


def test_a_short_list_has_no_pages(services: Services, live: Live) -> None:
    add(services, "one")
    assert "pager" not in regions(live)["queue-list"]


def test_the_list_is_narrowed_by_state_and_by_text(services: Services, live: Live) -> None:
    red, blue, green = add(services, "a red house", "a blue house", "a green tree")
    finish(services, start(services, red))
    assert keys(regions(live)["queue-list"]) == [blue.id, green.id]
    assert keys(regions(live, state="done")["queue-list"]) == [red.id]
    assert keys(regions(live, state="all", text="HOUSE")["queue-list"]) == [blue.id, red.id]
    empty = regions(live, text="nowhere")["queue-list"]
    assert "nowhere" in empty
    assert words.LOOK_EVERYWHERE in empty


def test_the_filter_counts_each_state(services: Services, live: Live) -> None:
    first, second, _ = add(services, "one", "two", "three")
    finish(services, start(services, first))
    fail(services, second, "It broke.")
    chips = regions(live)["queue-filter"]
    found = dict(re.findall(r'data-state="(\w+)"[^>]*>\w+<span class="num">(\d+)', chips))
    assert found == {"open": "1", "done": "1", "failed": "1", "cancelled": "0", "all": "3"}


def test_an_empty_queue_teaches(live: Live) -> None:
    shown = regions(live)
    assert words.NOTHING_HERE["open"] in shown["queue-list"]
    assert words.NOTHING_OPEN in shown["queue-head"]


def test_what_ended_is_folded_and_read_only_once_it_is_opened(services: Services, live: Live) -> None:
    jobs = add(services, *(f"number {index}" for index in range(FOLD_SIZE + 2)))
    for job in jobs:
        finish(services, start(services, job))
    closed = regions(live)["queue-ended"]
    assert str(len(jobs)) in closed
    assert keys(closed) == []
    opened = regions(live, folds="done")["queue-ended"]
    assert len(keys(opened)) == FOLD_SIZE
    assert words.SHOW_ALL.format(count=len(jobs)) in opened
    assert f"/thumbnails/20260101-{jobs[-1].id:06d}" in opened


def test_a_failed_job_says_why_under_its_line_and_can_be_tried_again(services: Services, live: Live) -> None:
    (job,) = add(services, "one")
    fail(services, job, "Memory ran out: choose a smaller size.")
    shown = regions(live, folds="failed")["queue-ended"]
    assert '<p class="error">Memory ran out: choose a smaller size.</p>' in shown
    assert 'data-verb="retry-failed"' in shown


def test_the_owner_is_named_only_where_there_are_several(services: Services, live: Live) -> None:
    add(services, "one")
    assert "owner" not in regions(live)["queue-list"]
    add(services, "two", owner="anna")
    shown = regions(live)["queue-list"]
    assert '<span class="owner">anna</span>' in shown
    assert '<span class="owner">local</span>' in shown


def test_hostile_text_stays_text_everywhere(services: Services, live: Live) -> None:
    waiting, done, failed = add(services, *(f"{number} {ATTACK}" for number in range(3)), owner=ATTACK)
    finish(services, start(services, done))
    fail(services, failed, ATTACK)
    services.journal.pause(ATTACK)
    for query in ({}, {"state": "all"}, {"folds": "done,failed"}, {"text": ATTACK}, {"text": f"no {ATTACK}"}):
        for html in regions(live, **query).values():
            assert "<script" not in html
            assert "<img src=x" not in html
            assert "\"'<" not in html
    assert keys(regions(live, text=ATTACK)["queue-list"]) == [waiting.id]


def test_a_picture_that_is_gone_is_not_asked_for(services: Services, live: Live) -> None:
    (job,) = add(services, "one")
    done = finish(services, start(services, job))
    (services.settings.images_dir / str(done.image)).unlink()
    assert "<img" not in regions(live, state="done")["queue-list"]


def test_a_picture_says_what_it_took_itself_not_how_long_its_group_did(services: Services, live: Live) -> None:
    (job,) = add(services, "one")
    measurements = {"encode": {"seconds": 4.0}, "denoise": {"seconds": 6.0}, "decode": {"seconds": 1.0}}
    facts = {"group_size": 8, "measurements": measurements}
    services.journal.finish(start(services, job), image="20260101-000001-1.png", facts=facts)
    assert "Done in 7.5 s" in regions(live, state="done")["queue-list"]


def test_a_pause_is_told_with_its_reason_on_every_tab(services: Services, live: Live) -> None:
    add(services, "one")
    services.journal.pause("the disk has 12 MB left")
    for tab in Tab:
        shown = live.snapshot("", Look(tab=tab))
        assert shown is not None
        assert "Paused: the disk has 12 MB left." in shown.regions["paused"]
        assert words.QUEUE_PAUSED in shown.regions["engine"]
    assert 'data-verb="resume"' in regions(live)["queue-head"]
    assert words.WAITING_PAUSED in dict(live.snapshot("", Look()).regions)["stage"]  # type: ignore[union-attr]
    services.journal.resume()
    shown = snapshot(live)
    assert "Paused" not in shown.regions["paused"] + shown.regions["engine"]
    assert 'data-verb="pause"' in shown.regions["queue-head"]


def test_a_job_that_only_waits_in_its_group_can_still_be_moved_and_changed(services: Services, live: Live) -> None:
    first, second = add(services, "one", "two")
    running, _ = services.journal.claim("worker", lease_seconds=60, limit=2)
    services.journal.progress(running, phase=Phase.DENOISE, step=1, preview=None)
    shown = regions(live)["queue-list"]
    assert f'data-key="{first.id}" data-state="running"' in shown
    assert f'data-key="{second.id}" data-state="next"' in shown
    assert words.UP_NEXT in shown


def test_each_job_says_when_it_will_be_done_and_the_head_how_long_all_takes(services: Services, live: Live) -> None:
    add(services, "one", "two")
    assert "data-ends" not in regions(live)["queue-list"], "nobody works yet"
    work(services)
    shown = regions(live)
    ends = [float(text) for text in re.findall(r'data-ends="(\d+)"', shown["queue-list"])]
    assert len(ends) == 2
    assert ends == sorted(ends)
    assert " left" in shown["queue-head"]
    for phase in Phase:
        assert re.search(rf'data-phase="{phase}" style="--seconds:[\d.]+" data-known', shown["queue-head"])
    services.journal.pause()
    paused = regions(live)
    assert "data-ends" not in paused["queue-list"]
    assert " left" not in paused["queue-head"]


def test_spared_loads_of_the_text_encoder_are_counted(services: Services, live: Live) -> None:
    assert "T5" not in regions(live)["queue-head"]
    services.journal.count_load()
    for job in add(services, "one", "two", "three"):
        finish(services, start(services, job))
    saved = services.journal.loads().saved
    assert saved > 0
    assert words.LOADS_SAVED.format(saved=saved) in regions(live)["queue-head"]


def test_a_cancelled_running_job_says_that_it_stops(services: Services, live: Live) -> None:
    (job,) = add(services, "one")
    services.journal.cancel([start(services, job).id])
    assert words.STOPPING in regions(live)["queue-list"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": "-1", "state": "nowhere", "folds": "x,y"},
        {"page": "9" * 400, "text": "x" * 10_000},
        {"page": "٣", "tab": "../etc"},
        {"page": "", "state": "", "text": "\0", "folds": ",,,"},
    ],
)
def test_a_made_up_address_is_the_usual_view(query: dict[str, str]) -> None:
    look = Look.of(query)
    assert (look.queue.page, look.queue.shows, look.queue.folds) == (1, Shows.OPEN, ())
    assert len(look.queue.text) <= 200


def test_counts_stay_those_of_the_whole_queue(services: Services, live: Live) -> None:
    add(services, "one", "two")
    shown = snapshot(live, text="one")
    assert shown.num_waiting == 2
    assert words.NUM_WAITING.format(count=2) in shown.regions["queue-head"]
    assert services.journal.counts()[JobState.QUEUED] == 2
