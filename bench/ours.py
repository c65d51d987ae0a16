"""Our own engine as a strategy: `ours@2GiB` (fast numerics) or `ours-exact@2GiB`, and so on.

Called like a peer: `run(job) -> CellResult`. With `job.num_groups` 2 the same process goes on with another group of
new prompts, then one new prompt by itself, then that prompt again with another seed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.job import GUIDANCE_SCALE, NEGATIVE_PROMPT, CellJob
from bench.recorder import CellResult, GroupResult, Recorder
from pixart_ui.byte_size import parse_bytes
from pixart_ui.catalog import COMPONENTS, Checkpoint, from_folder
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import Event, ImageFailed, ImageReady, LatentsReady, PhaseFinished, Plan, Planned, SteppedDown
from pixart_ui.gallery import images
from pixart_ui.hub import Located
from pixart_ui.request import (
    GenerationRequest,
    Numerics,
    Precision,
    ResolvedRequest,
    resolve,
    usual_transformer_precision,
)


def prepare(job: CellJob) -> None:
    """Before the clock: weights in their stored form."""
    engine = open_engine(job, job.budget)
    engine.prepare(_requests(job, job.prompts()[:1], 0))
    engine.close()


def predict(job: CellJob) -> dict[str, Any]:
    """The plan of the job's first group in an engine that has done nothing yet. Raises what planning raises."""
    engine = open_engine(job, job.budget)
    try:
        return plan_of(engine, _requests(job, job.prompts(), 0))
    finally:
        engine.close()


def run(job: CellJob) -> CellResult:
    """Make each group of the job's pictures. Raises what stands in the engine's way."""
    run = _Run(job)
    groups = [run.group(job.prompts())]
    details: dict[str, Any] = {"cold": run.facts}
    if job.num_groups > 1:
        groups.append(run.group(job.prompts(1)))
        details["warm"] = run.facts
        alone = replace(job, num_images=1).prompts(2 * job.num_images)
        details["next_new_prompt_seconds"] = run.group(alone).wall_seconds
        details["next_new_prompt"] = run.facts
        details["next_cached_prompt_seconds"] = run.group(alone, seed=7).wall_seconds
        details["next_cached_prompt"] = run.facts
    run.close()
    return CellResult(tuple(groups), numerics=numerics(job).value, details=details)


class _Run:
    """One engine through all groups."""

    def __init__(self, job: CellJob) -> None:
        self._job = job
        self._started = 0
        self._recorder = Recorder(job)
        self.facts: dict[str, Any] = {}
        self._engine = open_engine(job, job.budget)
        self._writer = ThreadPoolExecutor(1)

    def group(self, prompts: Sequence[str], seed: int = 0) -> GroupResult:
        recorder = self._recorder if self._started == 0 else Recorder(self._job, self._started)
        number, self._started = self._started, self._started + 1
        requests = _requests(self._job, prompts, seed)
        saves: list[Future[None]] = []
        self.facts = {"phases": [], "steps_down": []}
        for event in self._engine.run(requests, lambda index: False):
            self._note(event, recorder)
            if isinstance(event, ImageReady):
                path = self._job.out / f"{number}-{event.index:02}.png"
                saves.append(self._writer.submit(_save, event, path, requests[event.index], recorder))
        for save in saves:
            save.result()
        return recorder.result()

    def close(self) -> None:
        self._writer.shutdown()
        self._engine.close()

    def _note(self, event: Event, recorder: Recorder) -> None:
        if isinstance(event, ImageFailed):
            raise RuntimeError(event.message)
        if isinstance(event, Planned):
            self.facts["predicted"] = as_prediction(event.plan)
        elif isinstance(event, SteppedDown):
            self.facts["steps_down"].append(event.reason)
        elif isinstance(event, PhaseFinished):
            recorder.note_peaks()  # the engine sets torch's peaks back at the start of a phase
            measured = event.measurement
            recorder.add("load", measured.load_seconds)
            recorder.add(measured.phase.value, measured.seconds - measured.load_seconds)
            self.facts["phases"].append(measured.as_json() | {"index": event.index})
        elif isinstance(event, LatentsReady):
            recorder.latents(torch.from_numpy(event.latents))


def _save(event: ImageReady, path: Path, request: ResolvedRequest, recorder: Recorder) -> None:
    images.save(event.image, path, request, event.facts)
    recorder.written()


def plan_of(engine: Engine, wanted: Sequence[ResolvedRequest]) -> dict[str, Any]:
    """How the engine would run these, without running them."""
    running = engine.run(wanted, lambda index: False)
    plan = next(event.plan for event in running if isinstance(event, Planned))
    running.close()  # type: ignore[attr-defined]
    return as_prediction(plan)


def as_prediction(plan: Plan) -> dict[str, Any]:
    return plan.as_json() | {"predicted_at": time.time()}


def open_engine(job: CellJob, budget: str | None) -> Engine:
    """An engine with the job's files and what was measured before; None is all that is free."""
    calibration = None
    if job.calibration is not None:  # a copy: what this cell teaches is nobody else's
        calibration = Path(shutil.copy(job.calibration, job.out / "calibration.json"))
    return Engine.open(
        job.device,
        locate,
        lambda located: dict.fromkeys(COMPONENTS, "0" * 64),
        EngineFiles(weights(job.checkpoint), calibration_path=calibration),
        budget_bytes=parse_bytes(budget, "The budget") if budget is not None else None,
    )


def numerics(job: CellJob) -> Numerics:
    return Numerics(job.asked.get("numerics", Numerics.FAST))


def _requests(job: CellJob, prompts: Sequence[str], seed: int) -> tuple[ResolvedRequest, ...]:
    common = {"steps": job.steps, "width": job.size, "height": job.size, "numerics": numerics(job)}
    return requests(from_folder(job.checkpoint), prompts, seed=seed, **(common | job.asked))


def requests(checkpoint: Checkpoint, prompts: Sequence[str], *, seed: int, **asked: Any) -> tuple[ResolvedRequest, ...]:
    """A resolved request for each prompt; seeds count up."""
    common = {"negative_prompt": NEGATIVE_PROMPT, "guidance_scale": GUIDANCE_SCALE} | asked
    found: list[ResolvedRequest] = []
    for index, prompt in enumerate(prompts):
        request = GenerationRequest.parse(common | {"prompt": prompt, "seed": seed + index})
        found.extend(resolve(request, checkpoint, None, random_seed=0))
    return tuple(found)


def weights(checkpoint: Path) -> Path:
    """Where converted weights are: beside the checkpoint, for the next measurement."""
    return checkpoint.with_name(f"{checkpoint.name}-weights")


def stored(job: CellJob) -> list[Path]:
    """The converted weights that the job's pictures take."""
    precision = Precision(job.asked.get("precision", Precision.FP16))
    forms = {f"-{form}-" for form in (precision, usual_transformer_precision(precision))}
    return [path for path in weights(job.checkpoint).glob("*.safetensors") if any(form in path.name for form in forms)]


def locate(name: str) -> Located:
    folder = Path(name)
    return Located(from_folder(folder), {component: folder / component for component in COMPONENTS}, {})
