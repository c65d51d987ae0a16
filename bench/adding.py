"""Measures adding many jobs from a CSV: `python -m bench adding`.

The file has a row for each job, with a prompt, a seed, a size, steps and guidance of its own. Reading, checking and
adding are timed as the page does them, in one process; then the command `queue add FILE`, from the start of its process
to its end. Each time the journal is new. The journal's revision, which every change of it raises by one, tells that the
jobs came in one transaction.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.__main__ import ROOT
from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.settings import Settings

GOAL_SECONDS = 3.0
SIZES = ("256x256", "352x192", "192x352", "")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench adding", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="in the file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-bench-"))
    try:
        rows = measure(folder, given.jobs, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in rows.items():
        print(f"{name:58} {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, num_jobs: int, num_rounds: int) -> dict[str, str]:
    path = folder / "queue.csv"
    write_queue(path, num_jobs)
    rounds = [add(folder / f"page-{number}", path, num_jobs) for number in range(num_rounds)]
    commands = [run_command(folder / f"command-{number}", path, num_jobs) for number in range(num_rounds)]
    reading, adding, busy = zip(*rounds, strict=True)
    return {
        f"{num_jobs:,} rows read and checked": shown(reading),
        "… and added in one transaction": shown(adding),
        f"both (to reach for 10,000: {GOAL_SECONDS:g} s)": shown(list(map(sum, zip(reading, adding, strict=True)))),
        "… of it the processor's, whatever else the machine does": shown(busy),
        "`queue add FILE`, the whole process": shown(commands),
    }


def write_queue(path: Path, num_jobs: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "negative_prompt", "checkpoint", "seed", "size", "steps", "cfg"])
        for number in range(num_jobs):
            prompt = f"a red circle above a blue square at sunset, number {number}, with a row of small white houses"
            rest = [number, SIZES[number % len(SIZES)], 10 + number % 20, 1 + number % 7]
            writer.writerow([prompt, "rain" if number % 2 else "", "tiny", *rest])


def add(data_dir: Path, path: Path, num_jobs: int) -> tuple[float, float, float]:
    """Seconds of reading and checking, of adding, and the processor's of both."""
    services = Services.open(Settings(data_dir=data_dir))
    before = services.journal.revision()
    started, busy_before = time.perf_counter(), time.process_time()
    draft = services.draft(path.read_bytes(), name=path.name)
    read = time.perf_counter()
    jobs = services.enqueue(draft.requests)
    added, busy_after = time.perf_counter(), time.process_time()
    if len(jobs) != num_jobs or draft.problems or services.journal.revision() != before + 1:
        raise SystemExit("The jobs did not come as one: the figures would say nothing.")
    services.journal.close()
    return read - started, added - read, busy_after - busy_before


def run_command(data_dir: Path, path: Path, num_jobs: int) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pixart_ui", "queue", "add", str(path), "--data-dir", str(data_dir)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - started
    services = Services.open(Settings(data_dir=data_dir))
    if services.journal.counts()[JobState.QUEUED] != num_jobs:
        raise SystemExit("The command did not add every job: the figures would say nothing.")
    services.journal.close()
    return seconds


def shown(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):6.2f} s (median; worst {max(seconds):.2f} s)"
