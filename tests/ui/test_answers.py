"""The answers of `/live`: rendered once for everybody, from memory while nothing changed, and never out of date."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from pixart_ui.events import Phase
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import Services
from pixart_ui.ui import answers as module
from pixart_ui.ui.answers import Answers
from pixart_ui.ui.live import Live, Snapshot, State
from pixart_ui.ui.look import Look, Tab
from tests.ui.conftest import start, submit
from tests.ui.test_live import Watch

SINGLE, QUEUE = Look(), Look(tab=Tab.QUEUE)


class CountingLive(Live):
    """Counts how often it reads and renders."""

    num_states = 0
    num_renders = 0

    def state(self) -> State:
        self.num_states += 1
        return super().state()

    def render(self, state: State, look: Look) -> Snapshot:
        self.num_renders += 1
        return super().render(state, look)


@pytest.fixture
def live(services: Services) -> CountingLive:
    return CountingLive(services, Watch(), ())


@pytest.fixture
def answers(live: Live) -> Answers:
    return Answers(live)


def told(answers: Answers, look: Look = SINGLE, mark: str = "") -> dict[str, Any]:
    body = answers.body(mark, look)
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found


def test_browsers_that_look_at_the_same_share_one_answer(
    services: Services, answers: Answers, live: CountingLive
) -> None:
    submit(services)
    bodies = {answers.body("", look) for look in [SINGLE, QUEUE] * 25}
    assert len(bodies) == 2
    assert live.num_renders == 2


def test_many_threads_at_once_render_once(services: Services, answers: Answers, live: CountingLive) -> None:
    submit(services)
    threads = [threading.Thread(target=answers.body, args=("", QUEUE)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live.num_renders == 1


def test_what_is_unchanged_is_told_without_the_journal(answers: Answers, live: CountingLive) -> None:
    mark = told(answers)["mark"]
    assert all(answers.is_known_unchanged(mark, SINGLE) for _ in range(50))
    assert live.num_states == 1
    assert not answers.is_known_unchanged(mark, QUEUE), "it shows another view"
    assert not answers.is_known_unchanged("", SINGLE), "it shows nothing yet"


def test_ones_own_change_is_seen_at_once(services: Services, answers: Answers) -> None:
    mark = told(answers)["mark"]
    submit(services)
    assert not answers.is_known_unchanged(mark, SINGLE)
    assert told(answers, mark=mark)["num_waiting"] == 1


def test_a_workers_change_is_seen_a_moment_later(
    services: Services, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = submit(services)
    running = start(services, job)
    mark = told(answers)["mark"]
    worker = Journal(services.journal.path)
    worker.progress(running, phase=Phase.DENOISE, step=9, preview=None)
    worker.close()
    assert answers.is_known_unchanged(mark, SINGLE), "it was read just now"
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    assert not answers.is_known_unchanged(mark, SINGLE)
    assert "9/20" in told(answers, mark=mark)["title"]


def test_a_state_that_is_read_again_and_the_same_keeps_what_was_rendered(
    answers: Answers, live: CountingLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    mark = told(answers)["mark"]
    assert told(answers)["mark"] == mark
    assert answers.body(mark, SINGLE) is None
    assert (live.num_states, live.num_renders) == (3, 1)


def test_views_without_end_are_not_kept_without_end(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 4)
    marks = {told(answers, Look(batch=str(number)))["mark"] for number in range(20)}
    assert len(marks) == 20
    last = answers._last
    assert last is not None
    assert len(last.bodies) <= 4
