"""`kill -9` where it hurts most: inside each moment of a worker's life and at random ones, again and again.

    python -m tests.faults.kills [--each 10] [--random 100]

One data folder, one queue that grows, real workers that draw real pictures with PixArt-Tiny. After each death and after
each recovery everything is looked at that must hold: no job is gone, none was shown twice, no half file, a sound
database, and nothing drawn again whose latents were stored. Prints a table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pixart_ui.events import Phase
from pixart_ui.jobs.group_run import image_name
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.faults.fork_server import MOMENTS

ROOT = Path(__file__).resolve().parents[2]
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink", "white")
SHAPES = ("circle", "square", "tree", "house", "star", "heart", "boat", "moon")
PLACES = ("at sunset", "in the snow", "at night", "on a hill", "in the rain", "by the sea")
PROMPTS = [f"a {colour} {shape} {place}" for colour, shape, place in itertools.product(COLOURS, SHAPES, PLACES)]
VALUES = {"checkpoint": "tiny", "width": 64, "height": 64, "steps": 2, "guidance_scale": 0}
BATCH = 2
# Open jobs at the beginning of each life that ends at random: more than are made in it.
AHEAD = 6
NUM_COMPARED = 24
ONCE_A_GROUP = ("claim", "claim, commit", "encode")
# How many times a moment is tried again that was over before the blow fell.
TRIES = 12
# Seconds from the beginning of a moment in which the blow falls. Whether it was in time is seen from what it left.
DELAYS = {
    "encode": (0.001, 0.05),
    "denoise step": (0.0, 0.05),
    "latent write": (0.0001, 0.003),
    "decode": (0.001, 0.3),
    "PNG write": (0.0001, 0.005),
    "commit": (0.0, 0.002),
}


@dataclass
class Count:
    """What a moment's kills led to; everything from `lost` on must stay 0."""

    kills: int = 0
    missed: int = 0
    given_up: int = 0
    seconds: float = 0.0
    lost: int = 0
    shown_twice: int = 0
    half_files: int = 0
    corrupt: int = 0
    drawn_again: int = 0
    loaded_again: int = 0
    where: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> int:
        return self.lost + self.shown_twice + self.half_files + self.corrupt + self.drawn_again + self.loaded_again


class Arena:
    """The folder, its journal, and the server that forks workers for it."""

    def __init__(self, folder: Path, server: subprocess.Popen[str]) -> None:
        self._server = server
        self._folder = folder
        self.settings = Settings(data_dir=folder / "data", device="cpu")
        self.services = Services.open(self.settings)
        self.journal = self.services.journal
        self._accepted: list[int] = []
        self._steps = folder / "steps"
        self._prompts = itertools.cycle(PROMPTS)
        self._watch_ends()

    def _watch_ends(self) -> None:
        """Note each time that a job becomes `done`, in the transaction that does it."""
        with sqlite3.connect(self.settings.journal_path) as db:
            db.execute("CREATE TABLE ends (id INTEGER)")
            db.execute(
                "CREATE TRIGGER ended AFTER UPDATE OF state ON jobs WHEN new.state='done' "
                "BEGIN INSERT INTO ends VALUES (new.id); END"
            )
        db.close()

    def submit(self, num_jobs: int = BATCH) -> list[int]:
        requests = [
            GenerationRequest.parse({"prompt": next(self._prompts), "seed": len(self._accepted) + index, **VALUES})
            for index in range(num_jobs)
        ]
        ids = [job.id for job in self.services.enqueue(requests)]
        self._accepted += ids
        return ids

    @contextmanager
    def worker(
        self, moment: str | None = None, nth: int = 1, delay: float = 0.0, *, is_draining: bool = True
    ) -> Iterator[int]:
        """A worker's pid; it has ended at the end of the block. One that does not drain must be killed in it."""
        self._steps.write_text("")
        order = {
            "data_dir": str(self.settings.data_dir),
            "moment": moment,
            "nth": nth,
            "delay": delay,
            "is_draining": is_draining,
            "steps": str(self._steps),
            "log": str(self._folder / "worker.log"),
        }
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        yield self._answer()["pid"]
        self.code = self._answer()["code"]

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, f"the server of workers has gone: see {self._folder / 'worker.log'}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stored(self) -> set[int]:
        """Jobs that are not done whose latents are whole on the disk."""
        names = [path.name for path in self.settings.latents_dir.glob("*.safetensors")]
        return self.journal.open_among([int(name.partition("-")[0]) for name in names]) & set(self._accepted)

    def drawn(self) -> set[int]:
        """Jobs of which the last worker drew a step."""
        return {int(line) for line in self._steps.read_text().split()}

    def active(self) -> Job | None:
        """The job that was in the active step."""
        running = self.journal.jobs(states=[JobState.RUNNING])
        return next((job for job in running if job.phase is not None), None)

    def begun(self, folder: Path) -> list[Path]:
        return list(folder.rglob("*.part"))

    def check(self, count: Count) -> None:
        """What must hold at any moment."""
        with sqlite3.connect(self.settings.journal_path) as db:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
            ends = Counter(row[0] for row in db.execute("SELECT id FROM ends"))
        db.close()
        count.corrupt += verdict != "ok"
        count.shown_twice += sum(times > 1 for times in ends.values())
        jobs = {job.id: job for job in self.journal.jobs()}
        count.lost += len(set(self._accepted) - set(jobs))
        for path in self.settings.images_dir.glob("*.png"):
            count.half_files += not is_whole(path)
        for job in jobs.values():
            count.lost += job.state is JobState.DONE and self.services.image_path(job) is None

    def require_drained(self) -> None:
        log = (self._folder / "worker.log").read_text()
        assert self.code == 0, f"a worker that nobody killed ended with {self.code}: {log[-3000:]}"

    def check_recovered(self, count: Count) -> None:
        """What must hold once a worker ran the queue to its end."""
        self.require_drained()
        self.check(count)
        jobs = self.journal.jobs()
        count.lost += sum(job.state is not JobState.DONE for job in jobs)
        images = sorted(path.name for path in self.settings.images_dir.iterdir())
        count.shown_twice += images != sorted(str(job.image) for job in jobs)
        count.half_files += len(self.begun(self.settings.data_dir))
        for folder in (self.settings.latents_dir, self.settings.previews_dir):
            count.half_files += len(list(folder.iterdir())) if folder.is_dir() else 0


def is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


@contextmanager
def arena() -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="pixart-ui-kills-") as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fork_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found = Arena(Path(folder), server)
        try:
            yield found
        finally:
            found.journal.close()
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.close()
            server.wait(timeout=60)
            server.stdout.close()


def kill_inside(place: Arena, moment: str, times: int, dice: random.Random) -> Count:
    """Kill so many workers inside the moment; after each a new one runs the queue to its end."""
    count, started = Count(), time.monotonic()
    for number in range(times):
        for _ in range(TRIES):
            ids = place.submit()
            nth = 1 if moment in ONCE_A_GROUP else 1 + number % BATCH
            with place.worker(moment, nth, dice.uniform(*DELAYS.get(moment, (0.0, 0.0)))):
                pass
            is_inside = place.code == -signal.SIGKILL and was_inside(place, moment, ids)
            count.kills += is_inside
            count.missed += not is_inside
            count.where[where(place)] += is_inside
            recover(place, count)
            if is_inside:
                break
    count.seconds = time.monotonic() - started
    return count


def was_inside(place: Arena, moment: str, ids: list[int]) -> bool:
    """Whether what the dead worker left shows that the moment was not over."""
    jobs, active, settings = place.journal.jobs(ids=ids), place.active(), place.settings
    match moment:
        case "claim" | "claim, commit":
            return all(job.phase is None for job in jobs)
        case "encode":
            return active is not None and active.phase is Phase.ENCODE
        case "embedding write":
            return bool(place.begun(settings.embeddings_dir))
        case "denoise step":
            return active is not None and active.phase is Phase.DENOISE
        case "latent write" | "latent rename":
            return bool(place.begun(settings.latents_dir))
        case "decode":
            return active is not None and active.phase is Phase.DECODE
        case "PNG write" | "PNG rename":
            return bool(place.begun(settings.images_dir))
    kept = {int(path.name.partition("-")[0]) for path in settings.latents_dir.glob("*.safetensors")}
    return any(job.id in kept and (settings.images_dir / image_name(job)).is_file() for job in jobs)


def recover(place: Arena, count: Count) -> None:
    """Look at what the dead worker left, let another one go on, and look again."""
    place.check(count)
    stored, loads = place.stored(), place.journal.loads().loads
    encoded = all(job.phase is not Phase.ENCODE for job in place.journal.jobs(states=[JobState.RUNNING]))
    has_begun = place.active() is not None and encoded
    with place.worker():
        pass
    count.drawn_again += len(stored & place.drawn())
    count.loaded_again += has_begun and place.journal.loads().loads > loads
    place.check_recovered(count)


def where(place: Arena) -> str:
    active = place.active()
    if active is not None:
        return str(active.phase)
    return "between" if place.journal.has_open() else "after"


def kill_at_random(place: Arena, times: int, dice: random.Random) -> Count:
    """Kill workers at random moments of real work, each taking up what the one before it left."""
    count, started = Count(), time.monotonic()
    place.submit()
    with place.worker():
        pass
    longest = time.monotonic() - started
    while count.kills < times:
        counts = place.journal.counts()
        place.submit(max(0, AHEAD - counts[JobState.QUEUED] - counts[JobState.RUNNING]))
        stored = place.stored()
        with place.worker(is_draining=False) as pid:
            time.sleep(dice.uniform(0.0, longest))
            os.kill(pid, signal.SIGKILL)
        is_working = place.journal.has_open()
        count.kills += is_working
        count.missed += not is_working
        count.where[where(place)] += is_working
        count.drawn_again += len(stored & place.drawn())
        place.check(count)
        # A job that was hit three times in the same step is given up with a reason: here it was not the cause.
        count.given_up += len(place.journal.retry_failed())
    stored = place.stored()
    with place.worker():
        pass
    count.drawn_again += len(stored & place.drawn())
    count.given_up += len(place.journal.retry_failed())  # by the worker that followed the last blow
    recover(place, count)
    count.seconds = time.monotonic() - started
    return count


def num_different(place: Arena, most: int, dice: random.Random) -> int:
    """How many pictures of disturbed jobs are not, pixel for pixel, what an undisturbed worker draws."""
    disturbed = [job for job in place.journal.jobs() if job.attempt > 1]
    chosen = dice.sample(disturbed, min(most, len(disturbed)))
    again = place.journal.duplicate([job.id for job in chosen], "local")
    with place.worker():
        pass
    place.require_drained()
    pairs = zip(sorted(chosen, key=lambda job: job.id), again, strict=True)
    return sum(pixels(place, old.id) != pixels(place, new.id) for old, new in pairs)


def pixels(place: Arena, job_id: int) -> bytes:
    path = place.services.image_path(place.journal.job(job_id))
    assert path is not None
    with Image.open(path) as image:
        return image.tobytes()


def table(counts: dict[str, Count]) -> str:
    heads = ("moment", "kills", "lost", "twice", "half files", "corrupt", "drawn again", "loaded again", "s")
    rows = [
        (name, c.kills, c.lost, c.shown_twice, c.half_files, c.corrupt, c.drawn_again, c.loaded_again, round(c.seconds))
        for name, c in counts.items()
    ]
    lines = [heads, *rows]
    return "\n".join("  ".join(f"{cell!s:>{12 if index else 16}}" for index, cell in enumerate(line)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="kills inside each moment (default: 10)")
    parser.add_argument("--random", type=int, default=100, help="kills at random moments (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: 1)")
    arguments = parser.parse_args()
    dice, counts = random.Random(arguments.seed), {}
    with arena() as place:
        for moment in MOMENTS:
            counts[moment] = kill_inside(place, moment, arguments.each, dice)
            print(f"{moment}: {counts[moment]}", file=sys.stderr, flush=True)
        counts["at random"] = kill_at_random(place, arguments.random, dice)
        different = num_different(place, NUM_COMPARED, dice)
    print(table(counts))
    at_random = counts["at random"]
    print(
        f"at random, by phase: {dict(at_random.where)}; hit three times in one step, tried again: {at_random.given_up}"
    )
    print(
        f"pictures of disturbed jobs that are not those of an undisturbed run: {different} of {NUM_COMPARED} compared"
    )
    sys.exit(1 if different + sum(count.faults for count in counts.values()) else 0)


if __name__ == "__main__":
    main()
