"""Measures what it costs that everybody sees the queue: `python -m bench watching`.

A journal of 10,000 jobs, made with the journal's own methods; the real page in a process of its own; a worker that
claims jobs and reports steps as real ones do, but draws nothing. First one browser asks after every change, and again
when nothing has changed: how long until it has the answer, the way over the loopback included. Then 50 watch at the
pace of the page's script: what the server takes while nothing happens, and whether each sees every change in time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.__main__ import ROOT, free_port, is_served, wait_for
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest, ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings

PROMPT = "a red circle above a blue square at sunset, number {number}, with a row of small white houses behind"
# What a picture may ask for: kinds that take different times, and two that do not share weights.
KINDS: tuple[dict[str, Any], ...] = ({"steps": 20}, {"steps": 30}, {"steps": 20, "precision": "int8"}, {"steps": 8})
OWNER = "local"
GROUP = 8
LEASE_SECONDS = 60.0
# As `page.js` asks: so long after each answer, while work goes on and while none does.
BUSY_SECONDS, QUIET_SECONDS = 0.4, 0.9
IN_TIME_SECONDS = 1.5
VIEWS: dict[str, dict[str, str]] = {
    "Single": {"tab": "single"},
    "Queue, first page": {"tab": "queue", "state": "open", "page": "1"},
    "Queue, page 80": {"tab": "queue", "state": "open", "page": "80"},
    "Queue, search": {"tab": "queue", "state": "all", "page": "1", "text": "number 77"},
    "Queue, done": {"tab": "queue", "state": "done", "page": "3"},
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    jobs: int = 10_000
    watchers: int = 50
    changes: int = 50
    rounds: int = 40
    seconds: float = 20.0


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench watching", description=__doc__)
    parser.add_argument("--jobs", type=int, default=Size.jobs, help="in the journal (default: %(default)s)")
    parser.add_argument("--watchers", type=int, default=Size.watchers, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-bench-"))
    try:
        rows = measure(folder, Size(jobs=given.jobs, watchers=given.watchers))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in rows.items():
        print(f"{name:58} {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, size: Size) -> dict[str, str]:
    services = Services.open(Settings(data_dir=folder))
    fill(services, size.jobs)
    with serving(folder) as (url, process), Worker(services.journal) as worker:
        rows = dict(one_browser(url, worker, size))
        services.journal.pause()
        rows |= asyncio.run(Watching(url, process, services, size).run())
    services.journal.close()
    return rows


# The journal


def fill(services: Services, num_jobs: int) -> None:
    """Six in ten wait, three are done, the rest failed or was cancelled."""
    journal = services.journal
    requests = [resolved(services, number) for number in range(num_jobs)]
    for start in range(0, num_jobs, 2000):
        journal.submit_many([[request] for request in requests[start : start + 2000]], OWNER)
    num_done = 3 * num_jobs // 10
    while num_done > 0:
        for job in journal.claim("earlier", lease_seconds=LEASE_SECONDS, limit=min(500, num_done)):
            journal.finish(job, image=f"{job.id}.png", facts={"measurements": {"encode": {"seconds": 0.25}}})
            num_done -= 1
    for job in journal.claim("earlier", lease_seconds=LEASE_SECONDS, limit=num_jobs // 20):
        journal.fail(job, "The device is gone: plug it in.")
    last = [job.id for job in journal.jobs(limit=num_jobs // 20)]
    journal.cancel(last)


def resolved(services: Services, number: int) -> ResolvedRequest:
    kind = KINDS[number % len(KINDS)]
    asked = {"prompt": PROMPT.format(number=number), "checkpoint": "tiny", "seed": number, **kind}
    return services.resolve(GenerationRequest.parse(asked))[0]


class Worker:
    """Claims and reports like a real one, on command, and draws nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._info = {"name": "bench", "device": "cpu", "memory_free_bytes": 8 << 30, "state": "ready"}
        self._jobs: list[Job] = []
        self._step = 0
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Worker:
        self._journal.register_worker("bench", device="cpu", pid=1, info=self._info)
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._heart.join()

    def _beat(self) -> None:
        while not self._ended.wait(1.0):
            self._journal.renew("bench", LEASE_SECONDS, self._info)

    def claim(self) -> None:
        for job in self._jobs:
            self._journal.finish(job, image=f"{job.id}.png", facts={})
        self._jobs = list(self._journal.claim("bench", lease_seconds=LEASE_SECONDS, limit=GROUP))
        self._step = 0

    def step(self) -> None:
        self._step += 1
        self._journal.progress(self._jobs[0], phase=Phase.DENOISE, step=self._step, preview=None)

    def finish(self) -> None:
        self._journal.finish(self._jobs.pop(0), image="a.png", facts={})
        self._step = 0

    def submit(self) -> None:
        self._journal.submit([self._jobs[0].request], OWNER)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    port = free_port()
    with (folder / "page.log").open("w") as log:
        command = [sys.executable, "-m", "bench.watched", str(folder), str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_served(port))
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


# One browser


def one_browser(url: str, worker: Worker, size: Size) -> Iterator[tuple[str, str]]:
    """Milliseconds from asking to having the answer, for each view and each kind of change."""
    worker.claim()
    changes: dict[str, Callable[[], None]] = {
        "a step": worker.step,
        "a new job": worker.submit,
        "a claimed group": worker.claim,
    }
    with httpx.Client(base_url=url) as client:
        for view, query in VIEWS.items():
            mark = ask(client, query, "")[1]
            for name, change in changes.items():
                seconds = []
                for _ in range(size.rounds):
                    change()
                    took, mark = ask(client, query, mark)
                    seconds.append(took)
                yield f"{view}: after {name}", milliseconds(seconds)
            yield f"{view}: nothing new", milliseconds([ask(client, query, mark)[0] for _ in range(5 * size.rounds)])


def ask(client: httpx.Client, query: dict[str, str], mark: str) -> tuple[float, str]:
    started = time.perf_counter()
    answer = client.get("/live", params={**query, "mark": mark})
    took = time.perf_counter() - started
    return took, answer.json()["mark"] if answer.status_code == 200 else mark


def milliseconds(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    median, high = statistics.median(ordered), ordered[int(0.95 * len(ordered))]
    return f"{1000 * median:6.1f} ms   (95 of 100 within {1000 * high:.1f}, the slowest {1000 * ordered[-1]:.1f})"


# Many browsers


@dataclass
class Watcher:
    """One browser: when it first showed at least so many waiting jobs."""

    query: dict[str, str]
    seen: dict[int, float] = field(default_factory=dict)
    mark: str = ""
    is_busy: bool = False

    async def watch(self, url: str, stop: asyncio.Event, delay: float) -> None:
        await asyncio.sleep(delay)
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answer = await client.get("/live", params={**self.query, "mark": self.mark})
                if answer.status_code == 200:
                    told = answer.json()
                    self.mark, self.is_busy = told["mark"], told["is_busy"]
                    self.seen.setdefault(told["num_waiting"], time.monotonic())
                await asyncio.sleep(BUSY_SECONDS if self.is_busy else QUIET_SECONDS)

    def lateness(self, count: int, changed_at: float) -> float:
        """Seconds from a change to showing it, or a later one; endless where that never came."""
        return min((at for seen, at in self.seen.items() if seen >= count), default=float("inf")) - changed_at


class Watching:
    """Half of the watchers have Single open, half the Queue. The queue is paused: nothing happens by itself."""

    def __init__(self, url: str, process: psutil.Process, services: Services, size: Size) -> None:
        self._url = url
        self._process = process
        self._journal = services.journal
        self._request = resolved(services, 0)
        self._size = size
        views = (VIEWS["Single"], VIEWS["Queue, first page"])
        self._watchers = [Watcher(views[number % 2]) for number in range(size.watchers)]

    async def run(self) -> dict[str, str]:
        stop, dice = asyncio.Event(), random.Random(1)
        tasks = [asyncio.create_task(each.watch(self._url, stop, dice.random())) for each in self._watchers]
        await asyncio.sleep(3)
        idle = await self._share_of_a_core(self._size.seconds)
        changes, busy = await asyncio.gather(self._change(dice), self._share_of_a_core(self._size.seconds))
        await asyncio.sleep(2 * IN_TIME_SECONDS)
        stop.set()
        await asyncio.gather(*tasks)
        late = [each.lateness(count, at) for each in self._watchers for count, at in changes]
        missed = sum(seconds > IN_TIME_SECONDS for seconds in late)
        shown = f"median {statistics.median(late):.2f} s, the latest {max(late):.2f} s"
        watchers = f"{self._size.watchers} browsers"
        return {
            f"{watchers}, nothing happens: server": f"{idle:6.1f} % of a core",
            f"{watchers}, {len(changes)} changes in {self._size.seconds:g} s: server": f"{busy:6.1f} % of a core",
            f"{watchers}: a change is seen after": shown,
            f"{watchers}: not seen within {IN_TIME_SECONDS} s": f"{missed:6d} of {len(late)}",
        }

    async def _share_of_a_core(self, seconds: float) -> float:
        before, started = self._cpu_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        return 100 * (self._cpu_seconds() - before) / (time.monotonic() - started)

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    async def _change(self, dice: random.Random) -> list[tuple[int, float]]:
        """Add jobs at random moments; returns how many waited after each, and when."""
        waiting = self._journal.counts()["queued"]  # type: ignore[index]
        changes, end = [], time.monotonic() + self._size.seconds
        for moment in sorted(dice.uniform(0, self._size.seconds) for _ in range(self._size.changes)):
            await asyncio.sleep(max(0.0, end - self._size.seconds + moment - time.monotonic()))
            await asyncio.to_thread(self._journal.submit, [self._request], OWNER)
            changes.append((waiting + len(changes) + 1, time.monotonic()))
        return changes
