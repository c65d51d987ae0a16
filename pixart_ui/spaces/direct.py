"""The services of a Space on ZeroGPU: a picture is drawn while its visitor waits, so nothing can wait by itself.

What a page or a client asks for beyond that is refused with one sentence, before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from pixart_ui.compare.sweep import Sweep
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import Job
from pixart_ui.request import GenerationRequest, ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.spaces.duration import seconds_for

NO_QUEUE = (
    "This Space borrows a GPU for each picture while its page is open, so nothing can be queued here: "
    "press Generate on the Single tab, or run the app on a machine of your own."
)
NO_COMPILING = "Compiled blocks do not work on ZeroGPU, which lends a GPU too shortly for that: leave compiling off."


@dataclass(frozen=True)
class DirectServices(Services):
    """Only `submit` adds jobs, and only what a borrowed GPU can draw in time."""

    def submit_resolved(self, requests: Sequence[ResolvedRequest], owner: str | None = None) -> tuple[Job, ...]:
        """As everywhere, if ZeroGPU can draw it. Raises InputError, BudgetTooSmall."""
        if any(request.compile_blocks for request in requests):
            raise InputError(NO_COMPILING, "compile_blocks")
        workers = self.journal.workers()
        if workers:
            checkpoint = self.catalog.get(requests[0].checkpoint)
            seconds_for(requests, checkpoint, workers[0].info, Table.load(self.settings.calibration_path))
        return super().submit_resolved(requests, owner)

    def enqueue(self, requests: Sequence[GenerationRequest], owner: str | None = None) -> NoReturn:
        raise InputError(NO_QUEUE)

    def edit(self, job_id: int, request: GenerationRequest, *, seen: ResolvedRequest | None = None) -> NoReturn:
        raise InputError(NO_QUEUE)

    def start_comparison(self, sweep: Sweep, *, name: str | None = None, owner: str | None = None) -> NoReturn:
        raise InputError(NO_QUEUE)

    def resume_comparison(self, comparison_id: str, *, owner: str | None = None) -> NoReturn:
        raise InputError(NO_QUEUE)
