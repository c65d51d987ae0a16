"""One measurement in a process of its own.

    python -m bench.cell --strategy staged --checkpoint /tmp/full --out /tmp/pictures [--cap 8GiB] [--json FILE]

Imports, the CUDA context and reading the checkpoint's files once come first; then the clock starts. It stops when the
last picture is on disk. Whatever a strategy raises becomes its row's `error`, with the memory used until then.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from bench import peers, surroundings
from bench.job import CellJob, is_ours
from bench.recorder import CellResult, peaks, reset_peaks
from bench.results import write_aside
from pixart_ui.byte_size import parse_bytes
from pixart_ui.engine.memory import peak_rss_bytes
from pixart_ui.errors import InputError

MAX_ERROR_CHARS = 300


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not (is_ours(asked.strategy) or asked.strategy in peers.STRATEGIES):
        parser.error(
            f"Strategy {asked.strategy!r} is unknown: choose ours@2GiB or one of {', '.join(peers.STRATEGIES)}."
        )
    try:
        cap_bytes = parse_bytes(asked.cap, "The cap") if asked.cap is not None else None
    except InputError as error:
        parser.error(error.message)
    _quiet_libraries()
    job = CellJob(
        strategy=asked.strategy,
        checkpoint=asked.checkpoint,
        out=asked.out,
        device=("cuda" if torch.cuda.is_available() else "cpu") if asked.device == "auto" else asked.device,
        size=asked.size,
        steps=asked.steps,
        num_images=asked.images,
        cap_bytes=cap_bytes,
        num_groups=asked.groups,
        calibration=asked.calibration,
    )
    text = json.dumps(measure(job), indent=2) + "\n"
    print(text) if asked.json is None else write_aside(asked.json, text)


def measure(job: CellJob) -> dict[str, Any]:
    """The job's row: what was asked, what was measured, where. Never raises for what the strategy does."""
    job.out.mkdir(parents=True, exist_ok=True)
    strategy = peers.STRATEGIES.get(job.strategy)
    row: dict[str, Any] = {
        "strategy": job.strategy,
        "description": strategy.description if strategy is not None else job.strategy,
        "size": job.size,
        "steps": job.steps,
        "num_images": job.num_images,
        "cap_bytes": job.cap_bytes,
        "error": None,
    }
    with tempfile.TemporaryDirectory(dir=job.out) as scratch:
        try:
            result = _run(job, Path(scratch), row)
        except Exception as error:  # noqa: BLE001 - what a strategy raises is its result
            row["error"] = _one_line(error)
            row |= _peaks_after_error()
        else:
            row |= result.groups[0].as_json()
            row["warm"] = result.groups[1].as_json() if len(result.groups) > 1 else None
            row |= {"numerics": result.numerics, "details": result.details}
    row["peak_rss_bytes"] = peak_rss_bytes()
    return row | surroundings.describe(job.device)


def _run(job: CellJob, scratch: Path, row: dict[str, Any]) -> CellResult:
    """Everything before the clock, then the strategy."""
    strategy = peers.STRATEGIES.get(job.strategy)
    for package in strategy.needs if strategy is not None else ():
        importlib.import_module(package)
    if job.device.startswith("cuda"):
        _cap(job.cap_bytes)
    if strategy is not None and strategy.prepare is not None:
        job = replace(job, checkpoint=strategy.prepare(job, scratch))
    run = _runner(job)
    surroundings.read_once(job.checkpoint)
    row["cached_fraction"] = surroundings.cached_fraction(job.checkpoint)
    reset_peaks()
    with surroundings.DriverWatch(job.device) as watch:
        try:
            return run(job)
        finally:
            row["device_used_bytes"] = watch.peak_bytes


def _runner(job: CellJob) -> Callable[[CellJob], CellResult]:
    """Who makes the pictures. A peer's process does not import our engine."""
    if not job.is_ours:
        return peers.run
    from bench import ours

    ours.prepare(job)
    return ours.run


def _cap(cap_bytes: int | None) -> None:
    """Make the context of each GPU, and hold torch to the cap there."""
    for index in range(torch.cuda.device_count()):
        torch.zeros(1, device=f"cuda:{index}")
        if cap_bytes is not None:
            total = torch.cuda.get_device_properties(index).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, cap_bytes / total), index)
    torch.cuda.empty_cache()


def _peaks_after_error() -> dict[str, int | None]:
    """Torch's figures, unless the error took the device with it."""
    try:
        allocated, reserved = peaks()
    except RuntimeError:
        allocated = reserved = None
    return {"peak_allocated_bytes": allocated, "peak_reserved_bytes": reserved}


def _one_line(error: Exception) -> str:
    """The exception's type and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_ERROR_CHARS]


def _quiet_libraries() -> None:
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cell", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", required=True, metavar="NAME", help="`python -m bench list` names them")
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="for the pictures")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--size", type=int, default=1024, help="width and height in pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=4, help="pictures, each with a prompt of its own")
    parser.add_argument("--cap", metavar="GIB", help="what torch may reserve on a GPU, for example 2GiB")
    parser.add_argument("--groups", type=int, choices=(1, 2), default=1, help="2: a second, warm group (ours only)")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="what was measured at other sizes (ours only)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row here and not to the screen")
    return parser


if __name__ == "__main__":
    main()
