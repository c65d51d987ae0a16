"""Which of the waiting jobs one worker is to take, where there are several: values that a claim is narrowed by.

Pure. `turns.py` chooses among what is left; without a route all that waits is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixart_ui.jobs.open_work import COST_KEY
from pixart_ui.jobs.turns import Among

# A run of a comparison is for the worker that ran another of it: measured on two devices, they could not be compared.
_NOT_ANOTHERS = """(comparison IS NULL OR NOT EXISTS (
    SELECT 1 FROM jobs AS run JOIN workers ON workers.id = run.worker
    WHERE run.comparison = jobs.comparison AND workers.id != :worker AND workers.heartbeat_at >= :alive_since
        AND workers.device NOT IN (SELECT id FROM drained_devices)))"""


@dataclass(frozen=True)
class Route:
    """`refused` are the cost keys of what the worker cannot make and another can.

    `warm` is the group key of the weights that it has, `elsewhere` are those that other workers have. Runs of
    comparisons are for those alone that are `is_measuring`.
    """

    refused: frozenset[str] = frozenset()
    warm: str | None = None
    elsewhere: frozenset[str] = frozenset()
    is_measuring: bool = True


EVERYTHING = Route()


def among(route: Route, only: Sequence[int] | None, worker: str, alive_since: float) -> Among:
    """The condition on rows of `jobs` that this worker's claim is narrowed by."""
    values: dict[str, Any] = {}
    conditions = [_NOT_ANOTHERS if route.is_measuring else "comparison IS NULL"]
    if route.is_measuring:
        values |= {"worker": worker, "alive_since": alive_since}
    if only is not None:
        conditions.append("id IN (SELECT value FROM json_each(:only))")
        values["only"] = json.dumps([*only])
    if route.refused:
        conditions.append(f"{COST_KEY} NOT IN (SELECT value FROM json_each(:refused))")
        values["refused"] = json.dumps(sorted(route.refused))
    return Among(" AND ".join(conditions), values, route.warm, route.elsewhere)
