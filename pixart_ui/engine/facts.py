"""What a picture's file says of its making, beside its request; JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixart_ui.catalog import COMPONENTS
from pixart_ui.engine.device import Device
from pixart_ui.engine.group import Group
from pixart_ui.events import PhaseMeasurement


def of(
    group: Group,
    index: int,
    measurements: Sequence[PhaseMeasurement],
    device: Device,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """Of the picture at `index` of the group, as it was made on `device`."""
    return {
        "plan": group.plan_of(index).as_json(),
        "notes": list(group.notes),
        "measurements": {measurement.phase.value: measurement.as_json() for measurement in measurements},
        "device": {
            "name": device.name,
            "type": device.torch_device.type,
            "context_bytes": device.context_bytes,
        },
        "dtypes": {
            "stored": str(device.storage_dtype(group.precision)).removeprefix("torch."),
            "computed": str(device.compute_dtype(group.precision)).removeprefix("torch."),
            "transformer": str(group.requests[0].transformer_precision),
        },
        "kernels": kernels(group),
        "versions": dict(versions),
        "components": {name: group.hashes[name] for name in COMPONENTS if name in group.hashes},
        "revisions": dict(group.located.revisions),
    }


def kernels(group: Group) -> dict[str, str]:
    """What drew it."""
    return {"self_attention": group.kernel, "blocks": group.blocks}
