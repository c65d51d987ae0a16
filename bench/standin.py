"""A queue of thousands and a worker that only says what it does: the journal's own methods, and nothing drawn."""

from __future__ import annotations

import threading
from typing import Any

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest, ResolvedRequest
from pixart_ui.services import Services

PROMPT = "a red circle above a blue square at sunset, number {number}, with a row of small white houses behind"
# What a picture may ask for: kinds that take different times, and two that do not share weights.
KINDS: tuple[dict[str, Any], ...] = ({"steps": 20}, {"steps": 30}, {"steps": 20, "precision": "int8"}, {"steps": 8})
OWNER = "local"
GROUP = 32
LEASE_SECONDS = 60.0


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
        """What it had goes back first, so that the queue keeps its length."""
        self._journal.give_back("bench", is_fault=False)
        self._jobs = list(self._journal.claim("bench", lease_seconds=LEASE_SECONDS, limit=GROUP))
        self._step = 0

    def step(self) -> None:
        self._step += 1
        self._journal.progress(self._jobs[0], phase=Phase.DENOISE, step=self._step, preview=None)

    def submit(self) -> None:
        self._journal.submit([self._jobs[0].request], OWNER)
