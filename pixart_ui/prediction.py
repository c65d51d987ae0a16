"""What a request would take on a device, before anything is computed: for the page and the command line, without torch.

It asks the engine's own planner, with what a worker reports of its device and what was measured there. A prompt is not
looked at: it counts as one of usual length that T5 has not seen yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pixart_ui.catalog import Checkpoint, Component
from pixart_ui.engine import planner, shapes
from pixart_ui.engine.calibration import Calibration, Table
from pixart_ui.engine.costs import GPU_GRAIN_BYTES, Demand, Limits
from pixart_ui.engine.shapes import ComponentShape
from pixart_ui.events import Plan
from pixart_ui.ram import ram
from pixart_ui.request import Numerics, Precision, ResolvedRequest, TransformerPrecision

# How many tokens a prompt has, where padding to the limit is not asked for.
USUAL_TOKENS = 77


@dataclass(frozen=True)
class Prediction:
    """The plan of a request, and the least memory that any plan of it takes.

    On a GPU `context_bytes` is what CUDA takes beside the plan, None where that was not measured. On a CPU the bytes
    are RAM for weights and work, without what the worker itself takes.
    """

    plan: Plan
    least_bytes: int
    num_images: int
    is_cpu: bool
    context_bytes: int | None = None


def predict(
    demand: Demand, info: Mapping[str, Any], table: Table, on_device: frozenset[Component] = frozenset()
) -> Prediction:
    """What it takes on the device of the worker that says `info` of itself. Raises BudgetTooSmall."""
    limits = replace(limits_of(info, table), on_device=on_device)
    return Prediction(
        planner.choose_plan(demand, limits),
        planner.smallest_budget(demand, limits),
        demand.num_images,
        limits.is_cpu,
        info.get("context_bytes"),
    )


def limits_of(info: Mapping[str, Any], table: Table) -> Limits:
    """The device as its worker reports it."""
    key = info.get("calibration_key")
    return Limits(
        budget_bytes=usable_bytes(info),
        is_cpu=is_cpu(info),
        grain_bytes=1 if is_cpu(info) else GPU_GRAIN_BYTES,
        ram_bytes=int(info.get("ram_bytes", ram().total)),
        calibration=table.of(key) if isinstance(key, str) else Calibration(),
    )


def on_device(info: Mapping[str, Any], request: ResolvedRequest) -> frozenset[Component]:
    """The components that this request needs and that lie there already, as the worker's last picture left them."""
    known = info.get("on_device", {})
    wanted = {
        "text_encoder": {str(request.precision)},
        "transformer": {str(request.transformer_precision)},
        "vae": {str(request.precision)},
    }
    return frozenset(
        component
        for component in shapes.WEIGHTS
        if component in known and known[component][0] == request.checkpoint and known[component][1] in wanted[component]
    )


def usable_bytes(info: Mapping[str, Any]) -> int:
    """What a plan may use: what is free, and what the worker's weights take now."""
    return int(info.get("memory_free_bytes", 0)) + int(info.get("weight_bytes", 0))


def is_cpu(info: Mapping[str, Any]) -> bool:
    """Whether a worker's tensors are in RAM, which no budget limits."""
    return not str(info.get("device", "cpu")).startswith("cuda")


def demand_of(requests: Sequence[ResolvedRequest], checkpoint: Checkpoint, *, is_cpu: bool) -> Demand:
    """The pictures of one request in numbers. Raises CheckpointError for a damaged local folder."""
    request = requests[0]
    wanted = request.transformer_precision
    return Demand(
        weight_shapes(checkpoint, request.precision, wanted, is_cpu=is_cpu),
        request.bin_width,
        request.bin_height,
        request.steps,
        request.is_guided,
        num_images=len(requests),
        num_texts=2 if request.is_guided else 1,
        num_tokens=num_tokens(request.numerics, request.max_tokens),
        precision=request.precision,
        numerics=request.numerics,
        transformer_precision=wanted,
    )


def weight_shapes(
    checkpoint: Checkpoint, precision: Precision, transformer_precision: TransformerPrecision, *, is_cpu: bool
) -> Mapping[Component, ComponentShape]:
    """The sizes of a checkpoint's components in those precisions. Raises CheckpointError for a damaged local folder."""
    wanted, folder = transformer_precision, checkpoint.folder
    if folder is not None:
        return shapes.folder_shapes(folder, checkpoint, precision, is_cpu=is_cpu, transformer_precision=wanted)
    return shapes.published_shapes(checkpoint, precision, is_cpu=is_cpu, transformer_precision=wanted)


def num_tokens(numerics: Numerics, max_tokens: int) -> int:
    """Of a prompt of usual length; `exact` pads it to the limit."""
    return max_tokens if numerics is Numerics.EXACT else min(USUAL_TOKENS, max_tokens)
