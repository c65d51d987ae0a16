"""From requests to rows and back: what the journal's columns hold, for all of its rooms."""

from __future__ import annotations

import json
import secrets
import sqlite3

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState, Trial, WorkerStatus
from pixart_ui.request import ResolvedRequest


def group_key(request: ResolvedRequest) -> str:
    """The same for jobs that can share one load of the weights."""
    shared = (request.checkpoint, request.precision, request.transformer_precision)
    return json.dumps([*shared, request.numerics, request.compile_blocks])


def trial_key(trial: Trial) -> str:
    """Each run of a comparison is measured alone: no other job has its key."""
    return json.dumps(["trial", trial.comparison, trial.cell, secrets.token_hex(4)])


def job_of(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        batch=row["batch"],
        owner=row["owner"],
        state=JobState(row["state"]),
        request=ResolvedRequest.parse(json.loads(row["request"])),
        created_at=row["created_at"],
        attempt=row["attempt"],
        worker=row["worker"],
        phase=Phase(row["phase"]) if row["phase"] is not None else None,
        step=row["step"],
        preview=row["preview"],
        image=row["image"],
        error=row["error"],
        facts=json.loads(row["facts"]) if row["facts"] is not None else None,
        is_cancel_requested=bool(row["is_cancel_requested"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        is_starred=bool(row["is_starred"]),
        image_removed_at=row["image_removed_at"],
        trial=_trial_of(row),
    )


def _trial_of(row: sqlite3.Row) -> Trial | None:
    if row["comparison"] is None:
        return None
    return Trial(row["comparison"], row["cell"], row["strategy"])


def worker_of(row: sqlite3.Row) -> WorkerStatus:
    return WorkerStatus(
        id=row["id"],
        device=row["device"],
        pid=row["pid"],
        started_at=row["started_at"],
        heartbeat_at=row["heartbeat_at"],
        info=json.loads(row["info"]),
        is_drained=bool(row["is_drained"]),
    )
