"""Measures what the queue adds to the engine: `python -m bench queueing`.

A worker of this process runs a queue of real jobs with PixArt-Tiny, each with a prompt of its own. Whatever passes
between two events of the engine is the queue's: claiming, rows of the journal, previews, looking for who wants to be
cancelled, and at the end what is left to write of the last picture. Then a full group is begun anew, and while its
texts are encoded an urgent job comes: how long it waits is compared with what the planner's choice of the group's size
allows, a load and one picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import Event, LatentArray, Phase, PhaseFinished, PhaseStarted
from pixart_ui.jobs.group_size import PredictedSizes
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.worker import Worker
from pixart_ui.request import GenerationRequest, ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import MOST_IN_A_GROUP, Settings

GOAL_MILLISECONDS = 15.0
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "white")
SHAPES = ("circle", "square", "tree", "house", "star", "heart", "boat", "moon")
PLACES = ("at sunset", "in the snow", "at night", "on a hill", "in the rain", "by the sea")


@dataclass
class Timed:
    """The engine, and how long it was at work; `on_event` is called with each of its events before the worker is.

    `inside` is by the clock, `busy_inside` what the processor did for this thread.
    """

    engine: Engine
    on_event: Callable[[Event], None] = lambda event: None
    inside: float = 0.0
    busy_inside: float = 0.0
    groups: list[int] = field(default_factory=list)

    @property
    def device_id(self) -> str:
        return self.engine.device_id

    def info(self) -> dict[str, Any]:
        return self.engine.info()

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        return self.engine.latents_keys(requests)

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: Callable[[int], bool],
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
    ) -> Iterator[Event]:
        def ask(index: int) -> bool:
            with self._counted(-1):
                return is_cancelled(index)

        self.groups.append(len(requests))
        events = self.engine.run(requests, ask, latents, scopes)
        while True:
            with self._counted(1):
                event = next(events, None)
            if event is None:
                return
            self.on_event(event)
            yield event

    @contextmanager
    def _counted(self, sign: int) -> Iterator[None]:
        started, busy = time.perf_counter(), time.thread_time()
        yield
        self.inside += sign * (time.perf_counter() - started)
        self.busy_inside += sign * (time.thread_time() - busy)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench queueing", description=__doc__)
    parser.add_argument("--jobs", type=int, default=32, help="in the queue (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-bench-"))
    try:
        rows = measure(folder, given.jobs, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in rows.items():
        print(f"{name:66} {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, num_jobs: int, num_rounds: int) -> dict[str, str]:
    rounds = [run_queue(folder / f"round-{number}", num_jobs) for number in range(num_rounds)]
    overheads, busy, loads, saved, groups = zip(*rounds, strict=True)
    waits = [interrupt(folder / f"urgent-{number}") for number in range(num_rounds)]
    waited, allowed, encoding, sizes = zip(*waits, strict=True)
    return {
        f"beyond the engine, each of {num_jobs} jobs (to reach: {GOAL_MILLISECONDS:g} ms)": shown(overheads, "ms"),
        "… of it the processor's, whatever else the machine does": shown(busy, "ms"),
        f"loads of T5 for {num_jobs} jobs (to reach: 1)": listed(loads),
        "loads of T5 saved": listed(saved),
        "jobs in each group": "; ".join(listed(sizes) for sizes in groups),
        f"size of a group of {MOST_IN_A_GROUP} that wait, as predicted": listed(sizes),
        "encoding it": shown(encoding, "s"),
        "an urgent job that comes meanwhile waits": shown(waited, "s"),
        "what may pass at most: encoding one, and a picture": shown(allowed, "s"),
    }


def run_queue(data_dir: Path, num_jobs: int) -> tuple[float, float, int, int, list[int]]:
    """Milliseconds a job beyond the engine, also of the processor; loads of T5, those saved, the groups' sizes."""
    with opened(data_dir) as (services, timed, worker):
        jobs = services.enqueue(requests(num_jobs))
        timed.latents_keys([jobs[0].request])  # reads the checkpoint's files once, to know them by their hashes
        started, busy = time.perf_counter(), time.thread_time()
        worker.serve(threading.Event(), is_draining=True)
        overhead = time.perf_counter() - started - timed.inside
        busy_overhead = time.thread_time() - busy - timed.busy_inside
        count = services.journal.loads()
        milliseconds = [1000 * seconds / num_jobs for seconds in (overhead, busy_overhead)]
        return milliseconds[0], milliseconds[1], count.loads, count.saved, timed.groups


def interrupt(data_dir: Path) -> tuple[float, float, float, int]:
    """Seconds that an urgent job waits which comes when a group begins to encode; what may pass; encoding; its size."""
    with opened(data_dir) as (services, timed, worker):
        services.enqueue(requests(1, start=MOST_IN_A_GROUP))
        alone: dict[Phase, float] = {}

        def note(event: Event) -> None:
            if isinstance(event, PhaseFinished):
                alone[event.measurement.phase] = event.measurement.seconds

        timed.on_event = note
        worker.serve(threading.Event(), is_draining=True)
        came, urgent, encoding = [0.0], list[Job](), [0.0]

        def come(event: Event) -> None:
            match event:
                case PhaseStarted(phase=Phase.ENCODE) if not urgent:
                    urgent.extend(services.submit(requests(1, start=MOST_IN_A_GROUP + 1)[0]))
                    came[0] = time.perf_counter()
                case PhaseFinished(measurement=measurement) if not encoding[0]:
                    encoding[0] = measurement.seconds
                case PhaseStarted(phase=Phase.DENOISE):
                    came[0] = time.perf_counter() - came[0]
                    stop.set()

        stop, timed.on_event = threading.Event(), come
        services.enqueue(requests(MOST_IN_A_GROUP))
        worker.serve(stop)
        if len(timed.groups) != 3:
            raise SystemExit("The urgent job came to no group of its own: the figures would say nothing.")
        return came[0], sum(alone.values()), encoding[0], timed.groups[1]


@contextmanager
def opened(data_dir: Path) -> Iterator[tuple[Services, Timed, Worker]]:
    settings = Settings(data_dir=data_dir, device="cpu")
    services = Services.open(settings)
    files = EngineFiles(settings.weights_dir, settings.embeddings_dir, settings.calibration_path)
    engine = Engine.open(
        "cpu", lambda name: services.hub.locate(services.catalog.get(name)), services.hub.hashes, files
    )
    timed = Timed(engine)
    sizes = PredictedSizes(services.catalog, settings.calibration_path, engine.info)
    try:
        yield services, timed, Worker(settings, services.journal, timed, name="bench", size_of=sizes.of)
    finally:
        engine.close()
        services.journal.close()


def requests(num_jobs: int, start: int = 0) -> list[GenerationRequest]:
    """Each with a prompt of its own."""
    texts = [f"a {colour} {shape} {place}" for place, colour, shape in product(PLACES, COLOURS, SHAPES)]
    values = {"checkpoint": "tiny", "width": 256, "height": 256, "seed": 1}
    return [GenerationRequest.parse({"prompt": text, **values}) for text in texts[start : start + num_jobs]]


def shown(values: Sequence[float], unit: str) -> str:
    return f"{statistics.median(values):6.2f} {unit} (median; worst {max(values):.2f} {unit})"


def listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
