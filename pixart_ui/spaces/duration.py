"""How long a GPU is asked of ZeroGPU for: what the planner predicts, with room, within what a visitor may ask.

Pure, without torch: it is asked before each call, in the page's process. A visitor's daily allowance is counted by what
is asked for, so that too much is as bad as too little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pixart_ui import prediction
from pixart_ui.catalog import Checkpoint
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import InputError
from pixart_ui.request import ResolvedRequest

# A process is forked, CUDA is opened in it, kernels are chosen on its first picture.
START_SECONDS = 10
# A card shared with others is not always as fast as it was.
ROOM = 1.5
LEAST_SECONDS = 15
MOST_SECONDS = 120


def seconds_for(
    requests: Sequence[ResolvedRequest], checkpoint: Checkpoint, info: Mapping[str, Any], table: Table
) -> int:
    """Seconds for the pictures of one request on the device that `info` describes, nothing being on it yet.

    Raises InputError where that is more than a visitor gets at a time, BudgetTooSmall where it does not fit at all.
    """
    demand = prediction.demand_of(requests, checkpoint, is_cpu=prediction.is_cpu(info))
    plan = prediction.predict(demand, info, table).plan
    wanted = math.ceil(START_SECONDS + ROOM * plan.predicted_seconds)
    if wanted > MOST_SECONDS:
        what = "This picture" if len(requests) == 1 else f"These {len(requests)} pictures"
        raise InputError(
            f"{what} would need a GPU for about {wanted:,} s, and ZeroGPU lends one for {MOST_SECONDS} s at a time: "
            "ask for fewer pictures, fewer steps or a smaller size."
        )
    return max(LEAST_SECONDS, wanted)
