"""What is read aloud while a picture is made: each phase, and of its steps each quarter."""

from __future__ import annotations

import re
from typing import Any

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.ui import words
from pixart_ui.ui.result import stage
from tests.jobs.parts import request


def running(phase: Phase | None, step: int = 0) -> Job:
    asked = request(steps=20)
    return Job(1, "batch", "local", JobState.RUNNING, asked, 0.0, phase=phase, step=step, attempt=1)


def heard(job: Job, news: dict[str, Any] | None = None) -> str:
    html = stage(job, [job], is_on_disk=False, has_engine=True, is_paused=False, news=news or {})
    found = re.findall(r'<p class="unseen" role="status">(.*?)</p>', html)
    assert html.count('role="status"') == len(found) == 1
    return str(found[0])


def test_steps_are_heard_by_quarters() -> None:
    told = [heard(running(Phase.DENOISE, step)) for step in range(21)]
    assert len(set(told)) == 5
    assert told[0] == told[4] == words.DENOISED.format(share="0 %")
    assert told[5] == words.DENOISED.format(share="25 %")
    assert heard(running(Phase.ENCODE)) == words.ENCODING
    assert heard(running(Phase.DECODE, 20)) == words.DECODING


def test_what_is_prepared_is_heard_by_quarters_too() -> None:
    def told(done: int) -> str:
        news = {"preparing": {"component": "vae", "done_bytes": done, "total_bytes": 1000}}
        return heard(running(Phase.ENCODE), news)

    assert len({told(done) for done in range(0, 1001, 10)}) == 5
    assert told(510) == words.PREPARING.format(what=words.PREPARED["vae"], amount="50 %")
