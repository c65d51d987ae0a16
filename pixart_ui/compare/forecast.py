"""What a sweep would take on a device, before it starts: each run for itself, since each begins with an empty device.

Pure arithmetic with the engine's own planner. A run that does not fit counts for nothing here: it ends at once. One by
a strategy of diffusers counts as a staged one of ours, which is no more than a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pixart_ui.catalog import Checkpoint
from pixart_ui.compare import strategies
from pixart_ui.compare.sweep import Cell, Sweep
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.costs import Limits
from pixart_ui.engine.forced import Forced
from pixart_ui.errors import CheckpointError, InputError, OutOfMemory
from pixart_ui.events import Plan, Residency
from pixart_ui.prediction import demand_of, limits_of
from pixart_ui.ram import ram
from pixart_ui.request import GenerationRequest, ResolvedRequest

Resolve = Callable[[GenerationRequest], tuple[ResolvedRequest, ...]]
# What has no say in how long a picture takes.
_OWN = frozenset({"prompt", "full_prompt", "negative_prompt", "full_negative_prompt", "seed"})


class SweepPrediction(NamedTuple):
    """Seconds of all runs one after the other, and the largest peak among them; None where nothing is known."""

    seconds: float | None
    peak_bytes: int | None
    num_runs: int


def predict_sweep(
    sweep: Sweep,
    resolve: Resolve,
    checkpoint_of: Callable[[str], Checkpoint],
    info: Mapping[str, Any] | None,
    table: Table,
) -> SweepPrediction:
    """On the worker that says `info` of itself. Raises InputError, CheckpointError where it has no reference."""
    plans: dict[str, Plan | None] = {}
    found = []
    for cell in sweep.cells():
        try:
            (request,) = resolve(cell.request)
        except (InputError, CheckpointError):
            if cell.is_reference:
                raise
            continue
        if info is None:
            continue
        key = f"{cell.strategy} {request.model_dump_json(exclude=set(_OWN))}"
        if key not in plans:
            plans[key] = _plan(cell, request, checkpoint_of(request.checkpoint), limits_of(info, table))
        if (plan := plans[key]) is not None:
            found.append(plan)
    if not found:
        return SweepPrediction(None, None, sweep.num_runs)
    seconds, peak = sum(plan.predicted_seconds for plan in found), max(plan.predicted_peak_bytes for plan in found)
    return SweepPrediction(seconds, peak, sweep.num_runs)


def processor_info(table: Table) -> Mapping[str, Any]:
    """What a worker on this machine's processor would say of itself, with what the last one measured."""
    keys = [key for key in table.devices if key.startswith("CPU")]
    memory = ram()
    return {
        "device": "cpu",
        "memory_free_bytes": memory.available,
        "ram_bytes": memory.total,
        "calibration_key": keys[-1] if keys else None,
    }


def _plan(cell: Cell, request: ResolvedRequest, checkpoint: Checkpoint, limits: Limits) -> Plan | None:
    demand = demand_of([request], checkpoint, is_cpu=limits.is_cpu)
    try:
        return _forced(strategies.parse(cell.strategy)).plan(demand, limits)
    except (InputError, OutOfMemory):
        return None


def _forced(strategy: strategies.Strategy) -> Forced:
    if strategy.is_ours:
        return Forced(strategy.residency, strategy.budget_bytes)
    return Forced(Residency.STAGED)
