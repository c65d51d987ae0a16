"""Which jobs are for which of several workers: what each can make by what it reported, and what weights it has.

It asks the planner, once for each kind of picture and amount of memory. No torch. What must stay true: a job is refused
by one worker only while another that runs can make it; where none can, the first one says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixart_ui import prediction
from pixart_ui.catalog import Catalog
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.jobs.open_work import Cost, read_cost
from pixart_ui.jobs.route import EVERYTHING, Route
from pixart_ui.paces import demand_of_kind
from pixart_ui.request import TransformerPrecision

# Free memory flickers; an answer holds for so much more or less.
GRAIN_BYTES = 256 * 2**20
MOST_KEPT = 4096
GPU_ONLY = frozenset({TransformerPrecision.INT8, TransformerPrecision.NF4})


class Router:
    """Used by one thread."""

    def __init__(self, catalog: Catalog, calibration_path: Path) -> None:
        self._catalog = catalog
        self._calibration_path = calibration_path
        self._answers: dict[tuple[Cost, bool, int], bool] = {}

    def route(self, worker: str, workers: Sequence[WorkerStatus], cost_keys: Collection[str]) -> Route:
        """What is for the worker of that name among those that run; everything where it is alone."""
        mine = next((status.info for status in workers if status.id == worker), None)
        others = [status.info for status in workers if status.id != worker and status.is_taking]
        if mine is None or not others:
            return EVERYTHING
        return Route(
            refused=frozenset(key for key in cost_keys if self._is_for_others(read_cost(key), mine, others)),
            warm=mine.get("group_key"),
            elsewhere=frozenset(str(info["group_key"]) for info in others if "group_key" in info),
        )

    def _is_for_others(self, cost: Cost, mine: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
        return not self._can(cost, mine) and any(self._can(cost, info) for info in others)

    def _can(self, cost: Cost, info: Mapping[str, Any]) -> bool:
        there = info.get("checkpoints")
        if there is not None and cost.checkpoint not in there and not Path(cost.checkpoint).is_absolute():
            return False  # a folder is where the node has it, or not: its worker says so
        is_cpu = prediction.is_cpu(info)
        key = cost._replace(steps=1), is_cpu, prediction.usable_bytes(info) // GRAIN_BYTES
        if key not in self._answers:
            if len(self._answers) >= MOST_KEPT:
                self._answers.clear()
            self._answers[key] = self._ask(cost, info, is_cpu=is_cpu)
        return self._answers[key]

    def _ask(self, cost: Cost, info: Mapping[str, Any], *, is_cpu: bool) -> bool:
        """Memory decides on a GPU; a processor has enough of it, and no way to some precisions."""
        if is_cpu:
            return cost.transformer_precision not in GPU_ONLY
        try:
            limits = prediction.limits_of(info, Table.load(self._calibration_path))
            planner.choose_plan(demand_of_kind(self._catalog, cost, is_cpu=False), limits)
        except PixArtError:
            return False
        return True
