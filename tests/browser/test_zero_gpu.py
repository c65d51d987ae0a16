"""The page of a Space on ZeroGPU: the real app and the real `spaces` package, whose GPU is a processor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from pixart_ui.jobs.job import JobState
from tests.browser.parts import ROOT, Server, Visitor, ask, set_steps, shown_job, wait_for


@dataclass
class ZeroGpuSpace(Server):
    """`app.py` on ZeroGPU. Ended with all that it forked."""

    def start(self) -> None:
        self.data_dir.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.spaces.zero_app", str(self.data_dir.parent)]
        command += ["--port", str(self.port), "--device", "cpu", "--data-dir", str(self.data_dir)]
        with (self.data_dir / "page.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: self.get("/healthz") == b"ok", "the page to be served", 120)

    def stop(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZeroGpuSpace]:
    space = ZeroGpuSpace(tmp_path_factory.mktemp("space") / "data")
    space.start()
    try:
        yield space
    finally:
        space.stop()


def ask_for_several(page: Page, prompt: str) -> None:
    """Enough that there is time to think better of it."""
    set_steps(page, 30)
    page.get_by_label("Images", exact=True).fill("2")
    ask(page, prompt)


def test_a_visitor_presses_generate_and_gets_a_picture_of_their_own(
    visit: Callable[..., Visitor], space: ZeroGpuSpace
) -> None:
    page = visit().open(space)
    expect(page.locator("#space-notice")).to_contain_text("Pictures are gone when this Space restarts")
    expect(page.locator("#enqueue")).to_be_hidden()
    ask(page, "a red circle")
    number = shown_job(page, JobState.DONE)
    job = next(job for job in space.jobs() if job.id == number)
    assert job.owner.startswith("visitor-")
    assert (space.settings.images_dir / str(job.image)).is_file()

    other = visit().open(space)
    expect(other.locator("#strip")).not_to_contain_text("red circle")
    assert other.locator("#strip .tile").count() == 0


def test_the_queue_and_comparisons_explain_themselves(visit: Callable[..., Visitor], space: ZeroGpuSpace) -> None:
    page = visit().open(space)
    page.get_by_role("tab", name="Queue").click()
    expect(page.get_by_text("There is no queue on this Space.")).to_be_visible()
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_hidden()
    page.get_by_role("tab", name="Compare").click()
    expect(page.get_by_text("Comparisons take minutes")).to_be_visible()


def test_cancel_ends_the_drawing(visit: Callable[..., Visitor], space: ZeroGpuSpace) -> None:
    page = visit().open(space)
    ask_for_several(page, "a blue square")
    page.get_by_role("button", name="Cancel").click()
    shown_job(page, JobState.CANCELLED)


def test_a_visitor_who_leaves_takes_the_drawing_along(visit: Callable[..., Visitor], space: ZeroGpuSpace) -> None:
    page = visit().open(space)
    ask_for_several(page, "a green triangle")
    picture = page.locator("#stage .picture[data-state=running]")
    picture.wait_for(timeout=90_000)
    number = int(picture.get_attribute("data-job") or 0)
    page.close()
    job = space.wait_until(number, lambda job: job.state.is_end)
    assert job.state is JobState.CANCELLED
