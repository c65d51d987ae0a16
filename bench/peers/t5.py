"""T5 alone as transformers loads it: fp16, and quantized by bitsandbytes on the way.

All parts share one process; each model is deleted and torch's peaks are set back before the next. The first time
includes loading; `warm` ones are new prompts afterwards, once as the pipeline's own call does it (each with its
negative prompt again) and once the prompts alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from bench.job import CellJob, prompt
from bench.peers.parts import load, release
from bench.peers.staged import INT8, NF4, Encoder, t5, t5_quantized
from bench.recorder import peaks, reset_peaks, synchronize

NUM_PROMPTS, NUM_WARM = 4, 3
PARTS: Mapping[str, Encoder] = {"fp16": t5(), "nf4": t5_quantized(**NF4), "int8": t5_quantized(**INT8)}


def run(job: CellJob) -> dict[str, Any]:
    """The row's `parts`: each with what was measured, or the error that ended it."""
    return {"parts": [_measured(job, name, make) for name, make in PARTS.items()]}


def _measured(job: CellJob, name: str, make: Encoder) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "numerics": "stock", "error": None}
    release()
    reset_peaks()
    try:
        return row | _encoded(job, make)
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        return row | {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    finally:
        release()


def _encoded(job: CellJob, make: Encoder) -> dict[str, Any]:
    load_seconds, encoder = _timed(lambda: make(job))
    pipeline = load(job, text_encoder=encoder, transformer=None, vae=None)
    del encoder
    first, _ = _timed(lambda: _texts(pipeline, job, 0, is_guided=True))
    warm = [_timed(lambda n=n: _texts(pipeline, job, n, is_guided=True))[0] for n in range(1, 1 + NUM_WARM)]  # type: ignore[misc]
    alone = [_timed(lambda n=n: _texts(pipeline, job, n, is_guided=False))[0] for n in range(10, 10 + NUM_WARM)]  # type: ignore[misc]
    return {
        "load_seconds": load_seconds,
        "first_seconds": first,
        "warm_seconds": statistics.median(warm),
        "warm_prompts_alone_seconds": statistics.median(alone),
        "peak_reserved_bytes": peaks()[1],
    }


@torch.no_grad()
def _texts(pipeline: Any, job: CellJob, group: int, *, is_guided: bool) -> None:
    for index in range(NUM_PROMPTS):
        pipeline.encode_prompt(
            prompt(NUM_PROMPTS * group + index),
            do_classifier_free_guidance=is_guided,
            negative_prompt="",
            device=job.device,
            clean_caption=True,
        )


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds until the device has finished, and what came out."""
    synchronize()
    started = time.perf_counter()
    result = call()
    synchronize()
    return time.perf_counter() - started, result
