"""Our own engine as a strategy: `ours@2GiB` (fast numerics) or `ours-exact@2GiB`, and so on.

Called like a peer: `run(job) -> CellResult`. With `job.num_groups` 2 the same process goes on with another group of
new prompts, then one new prompt by itself, then that prompt again with another seed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import surroundings
from bench.job import GUIDANCE_SCALE, NEGATIVE_PROMPT, CellJob
from bench.recorder import CellResult, GroupResult, Recorder
from pixart_ui.byte_size import parse_bytes
from pixart_ui.catalog import COMPONENTS, Checkpoint, from_folder
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import Event, ImageFailed, ImageReady, LatentsReady, PhaseFinished, Plan, Planned, SteppedDown
from pixart_ui.gallery import images
from pixart_ui.hub import Located
from pixart_ui.request import GenerationRequest, Numerics, ResolvedRequest, resolve


def prepare(job: CellJob) -> None:
    """Before the clock: weights in their stored form, and in the page cache."""
    engine = _open(job)
    engine.prepare(_requests(job, job.prompts()[:1], 0))
    engine.close()
    if weights(job.checkpoint).exists():
        surroundings.read_once(weights(job.checkpoint))


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
    return CellResult(tuple(groups), numerics=run.numerics.value, details=details)


class _Run:
    """One engine through all groups. What it predicts is on disk before anything is run."""

    def __init__(self, job: CellJob) -> None:
        self._job = job
        self._started = 0
        self._recorder = Recorder(job)
        self.numerics = Numerics.EXACT if job.is_exact else Numerics.FAST
        self.facts: dict[str, Any] = {}
        self._engine = _open(job)
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
            self.facts["predicted"] = _prediction(event.plan)
            (self._job.out / f"predicted-{self._started}.json").write_text(json.dumps(self.facts["predicted"]))
        elif isinstance(event, SteppedDown):
            self.facts["steps_down"].append(event.reason)
        elif isinstance(event, PhaseFinished):
            recorder.note_peaks()  # the engine sets torch's peaks back at the start of a phase
            measured = event.measurement
            recorder.add("load", measured.load_seconds)
            recorder.add(measured.phase.value, measured.seconds - measured.load_seconds)
            self.facts["phases"].append(measured.as_json() | {"index": event.index})
        elif isinstance(event, LatentsReady):
            stored = torch.from_numpy(event.latents)
            recorder.latents(stored)


def _save(event: ImageReady, path: Path, request: ResolvedRequest, recorder: Recorder) -> None:
    images.save(event.image, path, request, event.facts)
    recorder.written()


def _prediction(plan: Plan) -> dict[str, Any]:
    return plan.as_json() | {"predicted_at": time.time()}


def _open(job: CellJob) -> Engine:
    calibration = None
    if job.calibration is not None:  # a copy: what this cell teaches is nobody else's
        calibration = Path(shutil.copy(job.calibration, job.out / "calibration.json"))
    return Engine.open(
        job.device,
        locate,
        lambda located: dict.fromkeys(COMPONENTS, "0" * 64),
        EngineFiles(weights(job.checkpoint), calibration_path=calibration),
        budget_bytes=parse_bytes(job.budget, "The budget"),
    )


def _requests(job: CellJob, prompts: Sequence[str], seed: int) -> tuple[ResolvedRequest, ...]:
    return requests(
        from_folder(job.checkpoint),
        prompts,
        steps=job.steps,
        width=job.size,
        height=job.size,
        seed=seed,
        numerics=Numerics.EXACT if job.is_exact else Numerics.FAST,
    )


def requests(checkpoint: Checkpoint, prompts: Sequence[str], *, seed: int, **asked: Any) -> tuple[ResolvedRequest, ...]:
    """A resolved request for each prompt; seeds count up."""
    common = {"negative_prompt": NEGATIVE_PROMPT, "guidance_scale": GUIDANCE_SCALE} | asked
    found: list[ResolvedRequest] = []
    for index, prompt in enumerate(prompts):
        request = GenerationRequest.parse(common | {"prompt": prompt, "seed": seed + index})
        found.extend(resolve(request, checkpoint, None, random_seed=0))
    return tuple(found)


def weights(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}-weights")


def locate(name: str) -> Located:
    folder = Path(name)
    return Located(from_folder(folder), {component: folder / component for component in COMPONENTS}, {})
