"""The real app in its own process with its real worker, and a headless Chromium that may speak to nobody else."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# No name and no address but ours is found: whoever asks others is told so by Chromium's console.
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
                  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]  # fmt: skip
SHOWN = "Number(document.querySelector('#stage .picture')?.dataset.job || 0)"
JOBS = "tiles => tiles.map(tile => Number(tile.dataset.job))"
# Chromium says so when the script focuses the prompt before the attribute does, Gradio with each upload's progress.
HARMLESS = ("Autofocus processing was blocked", "Method not implemented.")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """`python app.py` with its own data folder. `start` returns when the page is served."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.data_dir)

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(self.port), "--data-dir", str(self.data_dir)]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "page.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--device", "cpu"], cwd=ROOT, stdout=log, stderr=log)
        wait_for(lambda: self.get("/healthz") == b"ok", "the page to be served", 60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return bytes(answer.read())
        except (URLError, ConnectionError, TimeoutError):
            return None

    def log(self) -> str:
        return (self.data_dir / "page.log").read_text(encoding="utf-8")

    def jobs(self) -> tuple[Job, ...]:
        journal = Journal(self.settings.journal_path)
        try:
            return journal.jobs()
        finally:
            journal.close()

    def worker_pid(self) -> int | None:
        journal = Journal(self.settings.journal_path)
        try:
            return next((worker.pid for worker in journal.workers()), None)
        finally:
            journal.close()

    def wait_for_worker(self, other_than: int | None = None) -> int:
        wait_for(lambda: self.worker_pid() not in (None, other_than), "a worker", 90)
        pid = self.worker_pid()
        assert pid is not None
        return pid

    def wait_until(self, job_id: int, is_so: Callable[[Job], bool]) -> Job:
        def found() -> Job:
            return next(job for job in self.jobs() if job.id == job_id)

        wait_for(lambda: is_so(found()), f"job {job_id}", 90)
        return found()

    def wait_until_idle(self) -> None:
        wait_for(lambda: all(job.state.is_end for job in self.jobs()), "the queue to be empty", 120)


def wait_for(is_so: Callable[[], bool], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextmanager
def serving(data_dir: Path) -> Iterator[Server]:
    server = Server(data_dir)
    server.start()
    try:
        server.wait_for_worker()
        yield server
    finally:
        server.stop()


@dataclass
class Visitor:
    """One browser of one person. Whatever it complains about, as of asking others, fails the test."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)

    def open(self, server: Server) -> Page:
        self.origins.add(server.url)
        page = self.context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.goto(server.url)
        page.get_by_label("Prompt", exact=True).wait_for()
        page.locator("#engine .live").wait_for()
        return page

    def leave(self) -> None:
        """Close every page and forget what they kept: the next visitor in this browser is somebody else."""
        last = self.context.new_page()
        for page in self.context.pages:
            if page is not last:
                page.close()
        session = self.context.new_cdp_session(last)
        for origin in self.origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        self.context.clear_cookies()
        last.close()

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in HARMLESS):
            self.complaints.append(f"{message.type}: {message.text}")


def wait_for_news(page: Page) -> None:
    """Until the page holds an answer of /live that was asked for from now on: it asks again when it has put it in."""
    for _ in range(2):
        with page.expect_request("**/live?*"):
            pass


def wait_until_drawn(page: Page) -> None:
    """Until a change of size or look has been laid out and drawn."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
    )


def ask(page: Page, prompt: str) -> None:
    """Type and press, whatever comes of it."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Generate").click()


def make(page: Page, prompt: str) -> int:
    """Ask for a picture and wait until the stage is about it; its job's number."""
    return after_pressing(page, lambda: ask(page, prompt))


def after_pressing(page: Page, press: Callable[[], None]) -> int:
    """Do what asks for a picture and wait until the stage is about it; its job's number."""
    before = max([newest_shown(page), *page.eval_on_selector_all("#strip .tile", JOBS)])
    press()
    page.wait_for_function(
        "before => Number(document.querySelector('#stage .picture')?.dataset.job) > before", arg=before
    )
    return newest_shown(page)


def newest_shown(page: Page) -> int:
    return int(page.evaluate(f"() => {SHOWN}"))


def choose(page: Page, field: str, text: str) -> None:
    """Press the chip whose text begins so."""
    page.locator(f"#field-{field} label").filter(has_text=re.compile(rf"^\s*{re.escape(text)}")).click()


def set_steps(page: Page, steps: int) -> None:
    field = page.get_by_label("number input for Steps")
    if not field.is_visible():
        page.get_by_role("button", name="Advanced").click()
        page.wait_for_timeout(300)  # a slider that has just come up sets itself once more
    field.fill(str(steps))
    field.press("Tab")
    expect(field).to_have_value(str(steps))


def shown_job(page: Page, state: JobState, seconds: float = 90) -> int:
    """Wait until the stage shows a picture in that state; its job's number."""
    picture = page.locator(f"#stage .picture[data-state={state}]")
    picture.wait_for(timeout=seconds * 1000)
    return int(picture.get_attribute("data-job") or 0)
