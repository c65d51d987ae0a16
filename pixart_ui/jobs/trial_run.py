"""One run of a comparison: measured alone, on a device that holds nothing else, and written to its comparison.

It has a `GroupRun`'s verbs, so that the worker treats both alike. What must stay true:

- whatever becomes of a run is a result (done, failed, out of memory, cannot run here), and the sweep goes on;
- a result is in the comparison before its job has ended; a run that was cut off leaves none and is made again;
- before and after it the engine holds nothing, and the result says whether that is so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

from pixart_ui.byte_size import show_bytes
from pixart_ui.catalog import Component
from pixart_ui.compare import recording, strategies
from pixart_ui.compare.comparison import Comparison, Result, State
from pixart_ui.compare.kept import Kept
from pixart_ui.compare.metrics import EncodedText
from pixart_ui.compare.sampling import Sampling
from pixart_ui.compare.sweep import Cell
from pixart_ui.engine.forced import Forced
from pixart_ui.errors import (
    BudgetTooSmall,
    Cancelled,
    DeviceError,
    DiskFullError,
    InputError,
    JournalError,
    OutOfMemory,
    PixArtError,
    WorkerError,
)
from pixart_ui.events import (
    Event,
    ImageFailed,
    ImageReady,
    LatentArray,
    LatentsReady,
    Phase,
    PhaseFinished,
    PhaseStarted,
    Planned,
    StepDone,
    SteppedDown,
)
from pixart_ui.jobs import peer_run, trial_result
from pixart_ui.jobs.group_run import EngineLike, Tell
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.watchdog import Watchdog
from pixart_ui.request import ResolvedRequest
from pixart_ui.settings import Settings

WARM_UP_STEPS = 2
log = logging.getLogger(__name__)


@runtime_checkable
class MeasuredEngine(EngineLike, Protocol):
    """What measuring needs of an engine beyond drawing."""

    def clear(self) -> None: ...

    def held_bytes(self) -> int: ...

    def device_used_bytes(self) -> int | None: ...

    def folders(self, checkpoint: str) -> Mapping[Component, Path]: ...

    def known_text(self, request: ResolvedRequest) -> Any: ...

    def prepare(
        self, requests: Sequence[ResolvedRequest], is_cancelled: Callable[[int], bool], *, forced: Forced | None
    ) -> None: ...

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: Callable[[int], bool],
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
        *,
        forced: Forced | None = None,
    ) -> Iterator[Event]: ...


class TrialRun:
    """Runs once. `warmed` holds what this worker's process was warmed up for, see `_warm_up`."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        engine: EngineLike,
        job: Job,
        stop: threading.Event,
        tell: Tell,
        watchdog: Watchdog,
        warmed: set[str],
    ) -> None:
        assert job.trial is not None
        assert isinstance(engine, MeasuredEngine)
        self._settings = settings
        self._journal = journal
        self._engine = engine
        self._job = job
        self._trial = job.trial
        self._stop = stop
        self._tell = tell
        self._watchdog = watchdog
        self._warmed = warmed
        self._kept = Kept(settings.comparisons_dir)
        self._step = 0
        self._has_ended = False
        self.shortage: str | None = None

    def run(self) -> None:
        comparison, cell = self._find()
        known = comparison.by_key.get(cell.key)
        if known is not None and known.is_done:
            self._end(known)  # its worker died between the two
            return
        try:
            result, around = self._measure(cell)
        except Cancelled:
            self._cancelled()
        except (JournalError, DiskFullError, WorkerError):
            raise
        except OutOfMemory as error:
            self._failed(cell, State.OUT_OF_MEMORY, error.message)
        except (DeviceError, InputError) as error:
            self._failed(cell, State.UNAVAILABLE, error.message)
        except PixArtError as error:
            self._failed(cell, State.FAILED, error.message)
        else:
            recording.record(self._kept, self._trial.comparison, result, around)
            self._end(result)

    def fail_rest(self, message: str) -> None:
        self._fail_unexpectedly(message)

    def fail_active(self, message: str) -> None:
        self._fail_unexpectedly(message)

    def _find(self) -> tuple[Comparison, Cell]:
        """Raises InputError where the comparison was deleted meanwhile."""
        comparison = self._kept.open(self._trial.comparison)
        cell = next((cell for cell in comparison.sweep.cells() if cell.key == self._trial.cell), None)
        if cell is None:
            raise InputError(f"Comparison {comparison.name!r} has no run {self._trial.cell}: start it anew.")
        return comparison, cell

    def _measure(self, cell: Cell) -> tuple[Result, recording.Surroundings]:
        """Raises Cancelled, and whatever keeps the run from its picture."""
        strategy = strategies.parse(cell.strategy)
        self._report(Phase.ENCODE)
        self._engine.clear()
        if not strategy.is_ours:
            return self._measure_theirs(cell, strategy)
        forced = Forced(strategy.residency, strategy.budget_bytes)
        self._engine.prepare([self._job.request], self._is_cancelled, forced=forced)
        self._warm_up(forced)
        return self._measure_ours(cell, forced)

    def _warm_up(self, forced: Forced) -> None:
        """A process's first picture also brings libraries and kernels: it is drawn once, short, before any is measured.

        Once for each comparison and worker, so that the first of its runs is measured as the others are.
        """
        if self._trial.comparison in self._warmed:
            return
        request = self._job.request
        if request.timesteps is None:
            request = request.model_copy(update={"steps": min(WARM_UP_STEPS, request.steps)})
        for event in self._engine.run([request], self._is_cancelled, forced=forced):
            self._watchdog.see(event)
        self._engine.clear()
        self._engine.prepare([self._job.request], self._is_cancelled, forced=forced)
        self._warmed.add(self._trial.comparison)

    def _measure_ours(self, cell: Cell, forced: Forced) -> tuple[Result, recording.Surroundings]:
        before = self._engine.held_bytes()
        seen = trial_result.Seen(self._engine.info())
        read_before = trial_result.bytes_read()
        with Sampling(self._engine.held_bytes, seen.timeline_kind) as sampling:
            for event in self._events(forced, seen):
                self._watchdog.see(event)
                self._follow(event, sampling)
                self._see(event, seen)
        seen.bytes_read = trial_result.bytes_read(since=read_before)
        text = self._engine.known_text(self._job.request)
        self._engine.clear()
        seen.baseline = (before, self._engine.held_bytes())
        folder = self._kept.path(self._trial.comparison)
        encoded = EncodedText(text.states, text.tokens, text.mask) if text is not None else None
        recording.save_arrays(folder, cell.key, recording.Arrays(seen.latents, encoded))
        is_random = trial_result.has_random_weights(self._job.request.checkpoint)
        return trial_result.done(cell, self._job, seen, sampling, folder, has_random_weights=is_random)

    def _events(self, forced: Forced, seen: trial_result.Seen) -> Iterator[Event]:
        try:
            yield from self._engine.run([self._job.request], self._is_cancelled, forced=forced)
        except BudgetTooSmall:
            raise  # it says how much would do
        except OutOfMemory as error:
            raise OutOfMemory(_too_much(seen, error.message)) from error

    def _measure_theirs(self, cell: Cell, strategy: strategies.Strategy) -> tuple[Result, recording.Surroundings]:
        """In a process of its own, while ours holds nothing but what the driver takes for it."""
        peer = peer_run.PeerRun(
            strategy,
            self._job.request,
            self._engine.folders(self._job.request.checkpoint),
            self._engine.info(),
            budget_bytes=self._settings.vram_budget,
            device_used_bytes=self._engine.device_used_bytes,
        )
        before = self._engine.held_bytes()
        with TemporaryDirectory(prefix="pixart-ui-peer-") as scratch, self._watchdog.elsewhere():
            row = peer.run(Path(scratch), lambda: self._is_cancelled(0))
            folder = self._kept.path(self._trial.comparison)
            is_random = trial_result.has_random_weights(self._job.request.checkpoint)
            return peer.result(
                cell, row, Path(scratch), folder, own=(before, self._engine.held_bytes()), is_random=is_random
            )

    def _see(self, event: Event, seen: trial_result.Seen) -> None:
        """Raises what an ImageFailed says."""
        match event:
            case Planned(plan=plan):
                seen.plan = plan
            case LatentsReady(latents=latents):
                seen.latents = latents
            case ImageReady(image=image, facts=facts):
                seen.image, seen.facts = image, facts
            case ImageFailed(is_cancelled=True):
                raise Cancelled
            case ImageFailed(is_out_of_memory=True, message=message):
                raise OutOfMemory(_too_much(seen, message))
            case ImageFailed(message=message):
                raise PixArtError(message)

    def _follow(self, event: Event, sampling: Sampling) -> None:
        """Everybody sees how far it is."""
        match event:
            case PhaseStarted(phase=phase):
                sampling.begin(phase)
                self._report(phase)
            case PhaseFinished():
                sampling.end()
            case StepDone(step=step):
                self._step = step
                self._report(Phase.DENOISE)
            case SteppedDown(reason=reason):
                self._tell(notes=[reason])

    def _report(self, phase: Phase) -> None:
        """Without a preview: no file is written while a run is measured. Raises Cancelled where it is not ours now."""
        if not self._journal.progress(self._job, phase=phase, step=self._step, preview=None):
            raise Cancelled

    def _is_cancelled(self, _: int) -> bool:
        return self._stop.is_set() or self._journal.should_stop(self._job)

    def _cancelled(self) -> None:
        """Where it was the worker that is to stop, the job goes back to the queue instead."""
        self._engine.clear()
        if self._journal.should_stop(self._job):
            self._journal.fail(self._job, "Cancelled.", is_cancelled=True)

    def _failed(self, cell: Cell, state: State, reason: str) -> None:
        log.warning("job %d, %s: %s", self._job.id, state, reason)
        self._engine.clear()
        result = Result.of(cell, state, reason=reason, request=self._job.request)
        recording.record(self._kept, self._trial.comparison, result)
        self._journal.fail(self._job, reason)

    def _fail_unexpectedly(self, message: str) -> None:
        """For what `run` does not foresee; the comparison may be what is wrong."""
        try:
            _, cell = self._find()
            self._failed(cell, State.FAILED, message)
        except InputError as error:
            self._journal.fail(self._job, error.message)

    def _end(self, result: Result) -> None:
        facts = {"comparison": self._trial.comparison, "seconds": result.seconds}
        self._journal.finish(self._job, image=f"{self._trial.cell}.png", facts=facts)


def _too_much(seen: trial_result.Seen, message: str) -> str:
    budget = seen.plan.budget_bytes if seen.plan is not None else 0
    return f"needs more than {show_bytes(budget)} ({message.rstrip('.')})"
