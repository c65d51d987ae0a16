"""Runs one job in this process and says what it took as a row of JSON values."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from bench import disk, names, peers, surroundings, through
from bench.job import OURS_LEAKS, OURS_T5, STOCK_T5, CellJob
from bench.recorder import peaks, reset_peaks
from pixart_ui.engine.memory import peak_rss_bytes

MAX_ERROR_CHARS = 300
Row = dict[str, Any]


def measure(job: CellJob) -> Row:
    """The job's row: what was asked, what was measured, where. Never raises for what the strategy does."""
    _quiet_libraries()
    job.out.mkdir(parents=True, exist_ok=True)
    row: Row = {
        "strategy": job.strategy,
        "description": names.STOCK.get(job.strategy, job.strategy),
        "size": job.size,
        "steps": job.steps,
        "num_images": job.num_images,
        "cap_bytes": job.cap_bytes,
        "tile": job.tile,
        "error": None,
    }
    with tempfile.TemporaryDirectory(dir=job.out) as scratch:
        try:
            row |= _run(job, Path(scratch), row)
        except Exception as error:  # noqa: BLE001 - what a strategy raises is its result
            row["error"] = _one_line(error)
            row |= _peaks_after_error()
    row["peak_rss_bytes"] = peak_rss_bytes()
    return row | surroundings.describe(job.device)


def device(asked: str) -> str:
    """`auto` is a GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def _run(job: CellJob, scratch: Path, row: Row) -> Row:
    """Everything before the clock, then the strategy."""
    strategy = peers.STRATEGIES.get(job.strategy)
    for package in strategy.needs if strategy is not None else ():
        importlib.import_module(package)
    if job.device.startswith("cuda"):
        _cap(job.cap_bytes)
    if strategy is not None and strategy.prepare is not None:
        job = replace(job, checkpoint=strategy.prepare(job, scratch))
    run, files = _runner(job)
    row |= _ready_files(job, files)
    read_before = disk.bytes_read()
    reset_peaks()
    with surroundings.DriverWatch(job.device) as watch:
        try:
            return through.watched(job, watch) if job.is_watched and not job.is_ours else run(job)
        finally:
            row["device_used_bytes"] = watch.peak_bytes
            read = disk.bytes_read()
            row["disk_bytes_read"] = read - read_before if read is not None and read_before is not None else None


def _runner(job: CellJob) -> tuple[Callable[[CellJob], Row], list[Path]]:
    """Who measures, and the files that it reads. A peer's process does not import our engine."""
    name, checkpoint = job.strategy.partition("@")[0], surroundings.files(job.checkpoint)
    if name == STOCK_T5:
        from bench.peers import t5 as stock_t5

        return stock_t5.run, checkpoint
    if not job.is_ours:
        return lambda job: peers.run(job).as_row(), checkpoint
    from bench import leaks, ours, t5

    if name in (OURS_T5, OURS_LEAKS):
        several = t5 if name == OURS_T5 else leaks
        several.prepare(job)
        return several.run, [*checkpoint, *surroundings.files(ours.weights(job.checkpoint))]
    ours.prepare(job)
    return lambda job: ours.run(job).as_row(), [*checkpoint, *ours.stored(job)]


def _ready_files(job: CellJob, files: list[Path]) -> Row:
    """All of them in the page cache, or none."""
    found: Row = {"disk_bytes_a_second": None}
    if job.is_from_disk:
        found["disk_bytes_a_second"] = disk.sequential_rate(files)
        disk.drop(files)
    else:
        surroundings.read_once(files)
    return found | {
        "files_bytes": sum(path.stat().st_size for path in files),
        "cached_fraction": surroundings.cached_fraction(files),
    }


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
