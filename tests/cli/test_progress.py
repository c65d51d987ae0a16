"""What somebody who waits at a terminal reads."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.commands.progress import Progress
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState, WorkerStatus
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Two pictures of one request, the second of which a worker is encoding."""
    services = Services.open(Settings(data_dir=tmp_path))
    asked = GenerationRequest.parse({"prompt": "a", "num_images": 2, "precision": "nf4"})
    first, second = services.submit(asked)
    return [
        replace(first, state=JobState.RUNNING),
        replace(second, state=JobState.RUNNING, phase=Phase.ENCODE, worker="worker-1"),
    ]


def worker(name: str, **info: Any) -> WorkerStatus:
    return WorkerStatus(name, "cpu", 1, time.time(), time.time(), info)


def preparing(component: str, done: int, total: int = 6_000_000_000) -> WorkerStatus:
    return worker("worker-1", preparing={"component": component, "done_bytes": done, "total_bytes": total})


def test_weights_being_prepared_are_told_with_how_far_that_is(jobs: list[Job]) -> None:
    terminal = Terminal()
    with Progress(terminal, jobs) as progress:
        progress.show(jobs, [worker("worker-0", preparing=None), preparing("text_encoder", 1_250_000_000)])
        progress.show(jobs, [preparing("transformer", 0)])  # of the last picture, and over
        drawing = [jobs[0], replace(jobs[1], phase=Phase.DENOISE)]
        progress.show(drawing, [preparing("transformer", 0)])
        progress.show(drawing, [worker("worker-1")])
    lines = terminal.getvalue().removeprefix("\r\x1b[K").split("\r\x1b[K")
    assert lines == [
        "2/2 encode: preparing T5 as nf4, once: 1.2 GB of 6.0 GB",
        "2/2 encode",
        "2/2 denoise: preparing the transformer, once: 0 bytes of 6.0 GB",
        "2/2 denoise 0/20",
        "",
    ]


def test_where_lines_stay_only_a_few_are_written(jobs: list[Job]) -> None:
    file = io.StringIO()
    with Progress(file, jobs) as progress:
        for done in range(0, 6_000_000_001, 50_000_000):
            progress.show(jobs, [preparing("text_encoder", done)])
    lines = file.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[-1] == "2/2 encode: preparing T5 as nf4, once: 6.0 GB of 6.0 GB"


def test_another_worker_s_weights_are_not_told(jobs: list[Job]) -> None:
    file = io.StringIO()
    Progress(file, jobs).show(jobs, [replace(preparing("text_encoder", 1), id="worker-2")])
    assert file.getvalue() == "2/2 encode\n"
