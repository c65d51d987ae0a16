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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil

from bench.__main__ import ROOT, free_port, is_served, wait_for
from bench.standin import Worker, fill
from bench.watchers import Crowd, Watching, cpu_seconds
from pixart_ui.services import Services
from pixart_ui.settings import Settings

NUM_JOBS = 10_000
NUM_ROUNDS = 40
# Between a change and the question for it: nobody else asks, so what was read before has gone out of date.
PAUSE_SECONDS = 0.15
VIEWS: dict[str, dict[str, str]] = {
    "Single": {"tab": "single"},
    "Queue, first page": {"tab": "queue", "state": "open", "page": "1"},
    "Queue, page 80": {"tab": "queue", "state": "open", "page": "80"},
    "Queue, search": {"tab": "queue", "state": "all", "page": "1", "text": "number 77"},
    "Queue, done": {"tab": "queue", "state": "done", "page": "3"},
}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench watching", description=__doc__)
    parser.add_argument("--jobs", type=int, default=NUM_JOBS, help="in the journal (default: %(default)s)")
    parser.add_argument("--watchers", type=int, default=Crowd.watchers, help="default: %(default)s")
    parser.add_argument("--pages", type=int, default=Crowd.pages, help="real ones in Chromium, beside the watchers")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-bench-"))
    try:
        rows = measure(folder, given.jobs, Crowd(watchers=given.watchers, pages=given.pages))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in rows.items():
        print(f"{name:52} {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, num_jobs: int, crowd: Crowd) -> dict[str, str]:
    services = Services.open(Settings(data_dir=folder))
    fill(services, num_jobs)
    with serving(folder) as (url, process), Worker(services.journal) as worker:
        rows = dict(one_browser(url, process, worker))
        services.journal.pause()
        rows |= asyncio.run(Watching(url, process, services, crowd).run())
    services.journal.close()
    return rows


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


def one_browser(url: str, process: psutil.Process, worker: Worker) -> Iterator[tuple[str, str]]:
    """From asking to having the answer, for each view and each kind of change."""
    worker.claim()
    changes: dict[str, Callable[[], None]] = {
        "a step": worker.step,
        "a new job": worker.submit,
        "a claimed group": worker.claim,
        "nothing new": lambda: None,
    }
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as client:
        for view, query in VIEWS.items():
            mark = ask(client, query, "")[1]
            for name, change in changes.items():
                seconds, before = [], cpu_seconds(process)
                for _ in range(NUM_ROUNDS):
                    change()
                    time.sleep(PAUSE_SECONDS)
                    took, mark = ask(client, query, mark)
                    seconds.append(took)
                yield f"{view}: {name}", in_words(seconds, (cpu_seconds(process) - before) / NUM_ROUNDS)


def ask(client: HTTPConnection, query: dict[str, str], mark: str) -> tuple[float, str]:
    """Seconds, and the mark of what is shown then."""
    address = "/live?" + urlencode({**query, "mark": mark})
    started = time.perf_counter()
    client.request("GET", address)
    answer = client.getresponse()
    body = answer.read()
    took = time.perf_counter() - started
    return took, json.loads(body)["mark"] if answer.status == 200 else mark


def in_words(seconds: Sequence[float], cpu: float) -> str:
    ordered = sorted(seconds)
    median, high = statistics.median(ordered), ordered[int(0.95 * len(ordered))]
    return f"{1000 * median:6.1f} ms, 95 of 100 within {1000 * high:6.1f} ms, {1000 * cpu:5.1f} ms of CPU"
