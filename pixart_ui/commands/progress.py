"""What jobs are doing, for somebody who waits for them at a terminal: on stderr, while results go to stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from pixart_ui.commands.meter import human
from pixart_ui.engine.costs import COMPONENT_OF
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState, WorkerStatus

COMPONENT_WORDS = {"text_encoder": "T5", "transformer": "the transformer", "vae": "the VAE"}
# Where lines stay, weights being prepared are told in so many steps.
LINES_A_COMPONENT = 4


class Progress:
    """One line that is rewritten, or line by line where nobody watches."""

    def __init__(self, stream: TextIO, jobs: Sequence[Job]) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._last = ""
        self._num_jobs = len(jobs)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live and self._last:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self, jobs: Sequence[Job], workers: Sequence[WorkerStatus] = (), *, pause: str | None = None) -> None:
        line = self._line(jobs, workers, pause)
        if line == self._last:
            return
        self._last = line
        self._stream.write(f"\r\x1b[K{line}" if self._is_live else f"{line}\n")
        self._stream.flush()

    def _line(self, jobs: Sequence[Job], workers: Sequence[WorkerStatus], pause: str | None) -> str:
        active = next((job for job in jobs if job.phase is not None), None)
        if active is None and pause is not None and any(job.state is JobState.QUEUED for job in jobs):
            return f"the queue is paused ({pause}): waiting for `queue resume`"
        if active is None:
            return self._last if any(job.state is not JobState.QUEUED for job in jobs) else "waiting for the worker"
        place = f"{jobs.index(active) + 1}/{self._num_jobs} " if self._num_jobs > 1 else ""
        told = next((worker.info.get("preparing") for worker in workers if worker.id == active.worker), None)
        # A worker reports now and then: what it said of another phase is over.
        if active.phase is not None and told is not None and told["component"] == COMPONENT_OF[active.phase]:
            return f"{place}{active.phase}: {self._preparing(active, told)}"
        if active.phase is Phase.DENOISE:
            return f"{place}denoise {active.step}/{active.request.steps}"
        return f"{place}{active.phase}"

    def _preparing(self, job: Job, told: Mapping[str, Any]) -> str:
        """Weights that are brought into their form, once: how far that is."""
        component, done, total = told["component"], told["done_bytes"], told["total_bytes"]
        what = COMPONENT_WORDS.get(component, "the weights")
        if component == "text_encoder":
            what += f" as {job.request.precision}"
        if not self._is_live:
            done = done * LINES_A_COMPONENT // max(1, total) * total // LINES_A_COMPONENT
        return f"preparing {what}, once: {human(done)} of {human(total)}"
