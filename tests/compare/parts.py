"""Comparisons made by hand: figures that are known beforehand, for the tests of what is said and drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.comparison import Comparison, Device, PhaseFigures, Quality, Result, State
from pixart_ui.compare.metrics import psnr_db
from pixart_ui.compare.sweep import Cell, Role, Sweep, parse_axis
from pixart_ui.request import GenerationRequest

GIB = 2**30
PROMPT = "a red circle above a blue square"
Outcome = Callable[[Cell], Result | None]


def sweep(*axes: str, prompts: Sequence[str] = (), **asked: Any) -> Sweep:
    request = GenerationRequest.parse({"prompt": PROMPT, "checkpoint": "tiny", "steps": 8} | asked)
    return Sweep(request, tuple(parse_axis(axis) for axis in axes or ("precision=fp16,int8,nf4,fp4",)), tuple(prompts))


def differing(rms_levels: float, ssim: float = 0.9) -> Quality:
    return Quality(rms_levels=rms_levels, psnr_db=psnr_db(rms_levels), ssim=1.0 if rms_levels == 0 else ssim)


def done(cell: Cell, gib: float, rms_levels: float | None = None, seconds: float = 4.0, **rest: Any) -> Result:
    """A run that gave a picture: its peak in GiB, and its distance from the reference."""
    peak = round(gib * GIB)
    phases = (
        PhaseFigures(name="encode", seconds=seconds / 4, load_seconds=seconds / 8, peak_reserved_bytes=peak),
        PhaseFigures(name="denoise", seconds=seconds / 2, peak_reserved_bytes=peak // 4),
        PhaseFigures(name="decode", seconds=seconds / 4, peak_reserved_bytes=peak // 2),
    )
    quality = differing(rms_levels) if rms_levels is not None and not cell.is_reference else None
    return Result.of(cell, State.DONE, phases=phases, quality=quality, **rest)


def apart(cell: Cell, gib: float, rms_levels: float) -> Result:
    """A run that far from its reference; the reference repeated is identical, and with another seed 50 levels away."""
    return done(cell, gib, {Role.REPEATED: 0.0, Role.OTHER_SEED: 50.0, Role.CELL: rms_levels}[cell.role])


def precision(cell: Cell) -> str:
    return cell.values[AxisName.PRECISION]


def ended(cell: Cell, state: State, reason: str) -> Result:
    return Result.of(cell, state, reason=reason)


def comparison(of: Sweep, outcome: Outcome, **rest: Any) -> Comparison:
    """Every run of a sweep as `outcome` says; None for one that is still to come."""
    results = tuple(result for cell in of.cells() if (result := outcome(cell)) is not None)
    values = {
        "name": "made by hand",
        "created": datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
        "device": Device(name="NVIDIA Imaginary", type="cuda", total_bytes=24 * GIB),
        "versions": {"pixart-ui": "0.1.0", "torch": "2.13.0"},
    }
    return Comparison(sweep=of, results=results, **(values | rest))


def precisions(cell: Cell) -> Result:
    """fp16 holds 11.0 GiB, 8-bit 7.5, nf4 and fp4 5.8; another seed is 50 levels away, nf4 10, fp4 25, 8-bit 1."""
    figures = {"fp16": (11.0, 0.0), "int8": (7.5, 1.0), "nf4": (5.8, 10.0), "fp4": (5.9, 25.0)}
    return apart(cell, *figures[precision(cell)])
