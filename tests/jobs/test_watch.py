"""What a worker tells of its memory, through a real journal."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pixart_ui.jobs import worker as worker_module
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.watch import GRAIN_BYTES, MAX_GROUPS, Watch
from pixart_ui.jobs.worker import Worker
from pixart_ui.settings import Settings
from tests.jobs.parts import PlainEngine, request
from tests.jobs.waiting import wait_until

HELD, WEIGHTS, RSS = 3 * 2**30, 2 * 2**30, 5 * 2**30


def scales(**changes: Any) -> dict[str, Any]:
    return {"components": {"transformer": WEIGHTS}, "held_bytes": HELD, "rss_bytes": RSS} | changes


def test_a_worker_tells_what_lies_on_its_device_and_what_each_group_left(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.02)
    worker, stop = Worker(settings, journal, PlainEngine(), name="one", weigh=scales), threading.Event()
    journal.submit([request(0), request(1)], "local")
    thread = threading.Thread(target=worker.serve, args=(stop,))
    thread.start()

    def told() -> dict[str, Any]:
        workers = journal.workers()
        return dict(workers[0].info.get("watch", {})) if workers else {}

    try:
        wait_until(lambda: told().get("jobs_done") == 2, "both are counted", 30)
        found = told()
    finally:
        stop.set()
        thread.join()
    assert found["components"] == {"transformer": WEIGHTS}
    assert found["held_bytes"] == HELD
    assert [group[1:] for group in found["groups"]] == [[HELD - WEIGHTS, RSS]]


def test_a_second_gpu_is_told_by_itself_and_counts_beside_the_weights() -> None:
    other = {"components": {"text_encoder": WEIGHTS}, "held_bytes": WEIGHTS + 2 * GRAIN_BYTES, "rss_bytes": RSS}
    watch = Watch(lambda: scales(beside=other))
    watch.note_group(1)
    found = watch.news()["watch"]
    assert found["held_bytes"] == HELD
    assert found["beside"] == {"components": other["components"], "held_bytes": other["held_bytes"]}
    assert found["groups"][0][1] == HELD - WEIGHTS + 2 * GRAIN_BYTES


def test_memory_that_flickers_is_no_news() -> None:
    held = HELD
    watch = Watch(lambda: scales(held_bytes=held))
    first = watch.news()
    held += GRAIN_BYTES // 2
    assert watch.news() == first
    held += GRAIN_BYTES
    assert watch.news()["watch"]["held_bytes"] == held


def test_only_the_last_groups_are_kept() -> None:
    watch = Watch(scales)
    for _ in range(MAX_GROUPS + 5):
        watch.note_group(1)
    told = watch.news()["watch"]
    assert len(told["groups"]) == MAX_GROUPS
    assert told["jobs_done"] == MAX_GROUPS + 5


def test_a_worker_without_scales_counts_its_jobs() -> None:
    watch = Watch(None)
    watch.note_group(3)
    assert watch.news() == {"watch": {"jobs_done": 3, "groups": []}}
