"""Measures several workers on one queue: `python -m bench workers`.

    python -m bench workers                                     # two slots of this processor, PixArt-Tiny
    python -m bench workers --devices cuda:0,cuda:1 --full-size /tmp/sigma-1024 --size 1024x1024 --out two.json
    python -m bench workers --devices auto --full-size /tmp/sigma-1024 --size 1024x1024 --out four.json
    python -m bench workers --devices cpu --cluster auto        # one worker here, then those of a Ray cluster

The same jobs are drawn by one worker, by two, by four and so on, and by all, each time in a new data folder and with
every worker warm. Told are pictures a second, how many times those of one worker they are, what the queue takes of a
job beyond the engine's own seconds, and whether each picture is, bit for bit, the one that the single worker drew.
`--full-size` is a Sigma of full size with random weights, made in that folder where it is not there yet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

from PIL import Image

from bench.results import write_aside
from pixart_ui.devices import found_devices, is_processor, parse_devices
from pixart_ui.gpus import num_gpus
from pixart_ui.jobs.fleet import Fleet
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest, parse_size
from pixart_ui.services import Services
from pixart_ui.settings import Settings

GOAL_MILLISECONDS = 30.0
# Two workers are to make so many times the pictures of one; other numbers in proportion.
GOAL_PER_WORKER = {2: 1.9, 4: 3.7}
START_SECONDS = 900.0
POLL_SECONDS = 0.05
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "white")
SHAPES = ("circle", "square", "tree", "house", "star", "heart", "boat", "moon")
PLACES = ("at sunset", "in the snow", "at night", "on a hill", "in the rain", "by the sea")


@dataclass(frozen=True)
class Run:
    """One way to draw all jobs. `seconds` are from adding them to the last picture.

    `overhead_milliseconds` are of a job, on the average. Of them come `first_seconds`, once a worker, before its first
    picture, and `between_milliseconds`, the median, between a picture and the next one of its worker.
    """

    name: str
    num_workers: int
    seconds: float
    pictures_a_second: float
    overhead_milliseconds: float
    first_seconds: float
    between_milliseconds: float
    by_worker: list[int]
    ready_seconds: float
    names: list[str]


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    checkpoint = str(full_size(given.full_size).resolve()) if given.full_size is not None else given.checkpoint
    devices = found_devices(parse_devices(given.devices), num_gpus(os.environ))
    asked = requests(given, checkpoint)
    runs: list[Run] = []
    hashes: list[list[str]] = []
    for name, settings in ways(devices, given.cluster):
        run, found = measure(name, settings, asked, given.warm_up)
        runs.append(run)
        hashes.append(found)
        print(shown(run, runs[0]), flush=True)
        if len(runs) > 1:
            num_equal = _num_equal(found, hashes[0])
            print(f"{run.name}: {num_equal} of {len(asked)} pictures are those of one worker, bit for bit", flush=True)
        if given.out is not None:  # after each run, so that one that fails takes none with it
            write_aside(given.out, json.dumps(_document(arguments, len(asked), runs, hashes), indent=1) + "\n")


def _document(
    arguments: Sequence[str], num_jobs: int, runs: Sequence[Run], hashes: Sequence[Sequence[str]]
) -> dict[str, Any]:
    return {
        "command": ["python", "-m", "bench", "workers", *arguments],
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "load_average": list(os.getloadavg()),
        "jobs": num_jobs,
        "goals": {"overhead_milliseconds": GOAL_MILLISECONDS, "times_one_worker": GOAL_PER_WORKER},
        "runs": [
            asdict(run) | {"times_one_worker": runs[0].seconds / run.seconds, "bit_equal": _num_equal(found, hashes[0])}
            for run, found in zip(runs, hashes, strict=True)
        ],
    }


def _num_equal(found: Sequence[str], wanted: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(found, wanted, strict=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench workers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", default="cpu,cpu", help="as for the app (default: %(default)s)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="measure a Ray cluster as well: auto, or HOST:PORT")
    parser.add_argument("--jobs", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--size", default="64x64", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--checkpoint", default="tiny", help="default: %(default)s")
    parser.add_argument("--full-size", type=Path, metavar="FOLDER", help="a Sigma of full size with random weights")
    parser.add_argument("--warm-up", type=int, default=4, help="jobs a worker draws before (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
    return parser


def full_size(folder: Path) -> Path:
    if not (folder / "model_index.json").exists():
        subprocess.run([sys.executable, "-m", "bench.full_size", str(folder)], check=True)
    return folder


def requests(given: argparse.Namespace, checkpoint: str) -> list[GenerationRequest]:
    """Each with a prompt of its own."""
    width, height = parse_size(given.size)
    texts = (f"a {colour} {shape} {place}" for place, colour, shape in product(PLACES, COLOURS, SHAPES))
    values = {"checkpoint": checkpoint, "width": width, "height": height, "steps": given.steps}
    return [
        GenerationRequest.parse({"prompt": text, "seed": number, **values})
        for number, text in enumerate(islice(texts, given.jobs))
    ]


def ways(devices: Sequence[str], cluster: str | None) -> Iterator[tuple[str, Settings]]:
    """One worker first: it is what the others are compared with."""
    nowhere = Settings(data_dir=Path())
    # Slots of a processor have less of it each than a worker that is alone; the same slot alone is the fair measure.
    yield "one worker", replace(nowhere, devices=(devices[0],))
    counts = [2**power for power in range(1, len(devices).bit_length()) if 2**power < len(devices)]
    for count in [*counts, len(devices)] if len(devices) > 1 else []:
        yield f"{count} workers", replace(nowhere, devices=tuple(devices[:count]))
    if cluster is not None:
        yield f"cluster {cluster}", replace(nowhere, cluster=cluster)


def measure(
    name: str, settings: Settings, asked: Sequence[GenerationRequest], num_warm_up: int
) -> tuple[Run, list[str]]:
    """One way, in a data folder that is new and goes; the hashes of the pictures are in the order of the jobs."""
    with (
        tempfile.TemporaryDirectory(prefix="pixart-ui-bench-") as folder,
        workers(replace(settings, data_dir=Path(folder))) as (services, fleet),
    ):
        started = time.monotonic()
        num_wanted = max(1, len(settings.devices))
        wait(lambda: sum(worker.is_taking for worker in services.journal.workers()) >= num_wanted, fleet)
        ready = time.monotonic() - started
        count = len(services.journal.workers())
        # Each with a prompt of its own, so that T5 comes to every device.
        warm = [
            asked[0].model_copy(update={"prompt": f"{asked[0].prompt}, {number}", "seed": 10_000 + number})
            for number in range(num_warm_up * count)
        ]
        services.enqueue(warm)
        wait(lambda: not services.journal.has_open(), fleet)
        started, moment = time.monotonic(), time.time()
        ids = [job.id for job in services.enqueue(asked)]
        wait(lambda: not services.journal.has_open(), fleet)
        seconds = time.monotonic() - started
        jobs = services.journal.jobs(ids=ids, newest_first=False)
        if failed := [job.error for job in jobs if job.state is not JobState.DONE]:
            raise SystemExit(f"{len(failed)} pictures failed, the first since: {failed[0]}")
        by_worker = Counter(job.worker for job in jobs)
        names = sorted({str(worker.info.get("name")) for worker in services.journal.workers()})
        at_work = sum(
            max(job.finished_at or 0.0 for job in jobs if job.worker == worker) - moment for worker in by_worker
        )
        overhead = 1000 * (at_work - sum(map(engine_seconds, jobs))) / len(jobs)
        first, between = beyond_engine(jobs, moment)
        run = Run(
            name,
            count,
            seconds,
            len(jobs) / seconds,
            overhead,
            first,
            between,
            sorted(by_worker.values()),
            round(ready, 1),
            names,
        )
        return run, [_hash(services, job) for job in jobs]


def engine_seconds(job: Job) -> float:
    """What the engine measured of one picture, and its share of what its group was encoded in."""
    facts = job.facts if job.facts is not None else {}
    seconds = {phase: found["seconds"] for phase, found in facts["measurements"].items()}
    return float(seconds["encode"] / facts["group_size"] + seconds["denoise"] + seconds["decode"])


def beyond_engine(jobs: Sequence[Job], moment: float) -> tuple[float, float]:
    """Seconds that no phase took: from the moment that jobs were added to a worker's first picture, on the average, and
    milliseconds between a picture and the next, the median."""
    firsts, others = [], []
    for worker in {job.worker for job in jobs}:
        since, group = moment, set[float]()
        for job in sorted((job for job in jobs if job.worker == worker), key=lambda job: job.finished_at or 0.0):
            assert job.facts is not None
            assert job.finished_at is not None
            found = {phase: values["seconds"] for phase, values in job.facts["measurements"].items()}
            is_new = found["encode"] not in group  # each group was encoded once, and all its pictures say so
            took = found["denoise"] + found["decode"] + (found["encode"] if is_new else 0.0)
            (firsts if not group else others).append(job.finished_at - since - took)
            group.add(found["encode"])
            since = job.finished_at
    return statistics.fmean(firsts), 1000 * statistics.median(others or [0.0])


@contextmanager
def workers(settings: Settings) -> Iterator[tuple[Services, Fleet]]:
    if settings.cluster is not None or any(map(is_processor, settings.devices)):
        # Every run has the same number of threads a worker, so that the pictures can be the same.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    services = Services.open(settings)
    fleet = Fleet(settings, services.journal, os.environ)
    fleet.start()
    try:
        yield services, fleet
    finally:
        fleet.stop()
        services.journal.close()


def wait(is_done: Callable[[], bool], fleet: Fleet) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_done():
        trouble = fleet.status()
        if trouble is not None or time.monotonic() > deadline:
            raise SystemExit(trouble if trouble is not None else f"Nothing came of it within {START_SECONDS:g} s.")
        time.sleep(POLL_SECONDS)


def _hash(services: Services, job: Job) -> str:
    path = services.image_path(job)
    assert path is not None
    with Image.open(path) as image:
        return hashlib.sha256(image.tobytes()).hexdigest()


def shown(run: Run, one: Run) -> str:
    return (
        f"{run.name}: {run.seconds:.1f} s, {run.pictures_a_second:.2f} pictures a second, "
        f"{one.seconds / run.seconds:.2f} times one worker, {run.overhead_milliseconds:.1f} ms a job beyond the "
        f"engine ({run.first_seconds:.2f} s before a worker's first picture, {run.between_milliseconds:.1f} ms between "
        f"two), pictures by worker {run.by_worker}"
    )
