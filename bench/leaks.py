"""Many mixed runs in one engine, and what they leave behind. Nothing is cleaned up for the engine meanwhile.

Runs differ in shape, precision and prompt, and every fifth is cancelled. The last is of the first one's kind, so that
the weights which the plan keeps on the device are the same after both.
"""

from __future__ import annotations

from typing import Any

import psutil
import torch

from bench.job import CellJob, prompt
from bench.ours import open_engine, requests
from pixart_ui.catalog import from_folder
from pixart_ui.engine.engine import Engine
from pixart_ui.events import ImageFailed, StepDone
from pixart_ui.request import Precision

# Precision, and the picture's height as a part of its width; seven of them, and 49 runs later comes the first again.
KINDS = (
    (Precision.FP16, 1.0),
    (Precision.NF4, 0.5),
    (Precision.INT8, 1.0),
    (Precision.FP16, 0.5),
    (Precision.NF4, 1.0),
    (Precision.FP16, 0.75),
    (Precision.INT8, 0.5),
)
CANCEL_EVERY = 5


def prepare(job: CellJob) -> None:
    """Before the runs: weights in every form that is wanted."""
    engine = open_engine(job, job.budget)
    for precision in dict.fromkeys(precision for precision, _ in KINDS):
        engine.prepare(_requests(job, 0, precision, 1.0))
    engine.close()


def run(job: CellJob) -> dict[str, Any]:
    """The row's `runs`: bytes after each, from the first to the last, `job.num_images` of them."""
    before = _reserved()
    engine = open_engine(job, job.budget)
    runs = [_run(job, engine, number) for number in range(job.num_images)]
    engine.close()
    return {"runs": runs, "reserved_bytes_before": before, "reserved_bytes_after_close": _reserved()}


def _run(job: CellJob, engine: Engine, number: int) -> dict[str, Any]:
    precision, part = KINDS[number % len(KINDS)]
    cancelled: set[int] = set()
    failed = None
    for event in engine.run(_requests(job, number, precision, part), cancelled.__contains__):
        if isinstance(event, StepDone) and number % CANCEL_EVERY == CANCEL_EVERY - 2:
            cancelled.add(0)
        elif isinstance(event, ImageFailed) and not event.is_cancelled:
            failed = event.message
    return {
        "precision": precision.value,
        "reserved_bytes": _reserved(),
        "weight_bytes": engine.info()["weight_bytes"],
        "rss_bytes": psutil.Process().memory_info().rss,
        "was_cancelled": bool(cancelled),
        "error": failed,
    }


def _requests(job: CellJob, number: int, precision: Precision, part: float) -> Any:
    side = int(job.size * part) // 8 * 8
    asked = {"steps": job.steps, "width": job.size, "height": side, "precision": precision}
    return requests(from_folder(job.checkpoint), [prompt(number)], seed=number, **asked)


def _reserved() -> int | None:
    return torch.cuda.memory_reserved() if torch.cuda.is_available() else None
