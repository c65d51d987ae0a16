"""How claimed jobs come back into the queue: from a worker that died, that leaves, or that has not begun with them.

What must stay true: only the job in the active step is suspected of its worker's death, and only if it came no further
than the last time; whoever held the job finds on its next write that it is not theirs any more.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

# How often a worker may die over one job, without getting further, before the job is taken for the cause.
MAX_ATTEMPTS = 3

# How far a running job is, as one number: first by phase, then by step.
_FAR = "(CASE phase WHEN 'encode' THEN 1000 WHEN 'denoise' THEN 2000 ELSE 3000 END + step)"
_WAS_ACTIVE = "(:is_fault AND phase IS NOT NULL)"
# A strike: the worker died in this job's step, and this time it came no further than it had before.
_IS_STRIKE = f"({_WAS_ACTIVE} AND coalesce({_FAR} <= gained, 1))"
# A claimed job that nothing was drawn of yet: it waits in its group, or the group's texts are being encoded.
NOT_BEGUN = "(state='running' AND step=0 AND coalesce(phase, 'encode')='encode' AND NOT is_cancel_requested)"


def take_back(db: sqlite3.Connection, condition: str, values: Mapping[str, Any], *, is_fault: bool) -> tuple[int, ...]:
    """Running jobs that meet the condition go back to the queue: cancelled where asked for, failed at the third strike.

    A job that waited in its group (no phase) gets no strike: it was not what the worker died of. Neither does one that
    came further than when a worker last died over it: what it does then may still be done.
    """
    rows = db.execute(
        f"""
        UPDATE jobs SET
            strikes = strikes + {_IS_STRIKE},
            gained = CASE WHEN {_WAS_ACTIVE} THEN max(coalesce(gained, 0), {_FAR}) ELSE gained END,
            state = CASE
                WHEN is_cancel_requested THEN 'cancelled'
                WHEN strikes + {_IS_STRIKE} >= :max THEN 'failed'
                ELSE 'queued' END,
            error = CASE
                WHEN NOT is_cancel_requested AND strikes + {_IS_STRIKE} >= :max
                THEN 'The worker stopped ' || :max || ' times while it made this picture, last in the phase '
                    || coalesce(phase, 'start') || ': try a smaller size or another precision.' END,
            finished_at = CASE WHEN is_cancel_requested OR strikes + {_IS_STRIKE} >= :max THEN :at END,
            worker=NULL, lease_until=NULL, started_at=NULL, phase=NULL, step=0, preview=NULL
        WHERE state='running' AND {condition}
        RETURNING id
        """,
        {**values, "is_fault": is_fault, "max": MAX_ATTEMPTS, "at": time.time()},
    ).fetchall()
    return tuple(sorted(row["id"] for row in rows))
