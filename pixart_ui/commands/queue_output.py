"""What the verbs of `queue` share: jobs as lines or as JSON, sentences beside them on stderr, names of states."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pixart_ui.errors import unknown_name
from pixart_ui.jobs.job import Job, JobState, QueuePage
from pixart_ui.services import Services

PROMPT_CHARS = 60
# Of more jobs than these a person reads how many there are.
MAX_LINES = 20


def print_jobs(
    services: Services, jobs: Sequence[Job], args: argparse.Namespace, *, did: str, did_to_running: str = ""
) -> None:
    """Each with what was done; with what was done to those that run, where that is something else."""
    places = services.journal.places()
    if args.json:
        print_json(as_json(services, QueuePage(tuple(jobs), places, len(jobs))))
        return
    alive = names_of_workers(services)
    for job in jobs[:MAX_LINES]:
        done = did_to_running if did_to_running and job.state is JobState.RUNNING else did
        print(f"{done}: {line_of(services, job, places, alive)}")
    print_rest(len(jobs))
    if not jobs:
        print("no jobs")


def print_rest(number: int) -> None:
    """How many were not shown."""
    if number > MAX_LINES:
        print(f"… and {number - MAX_LINES:,} more")


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def as_json(services: Services, page: QueuePage) -> list[dict[str, Any]]:
    return [_job_as_json(services, job, page.places.get(job.id)) for job in page.jobs]


def _job_as_json(services: Services, job: Job, position: int | None) -> dict[str, Any]:
    path = services.image_path(job)
    return {
        "id": job.id,
        "state": job.state,
        "position": position,
        "owner": job.owner,
        "batch": job.batch,
        "prompt": job.request.prompt,
        "seed": job.request.seed,
        "image": str(path) if path is not None else None,
        "error": job.error,
        "attempt": job.attempt,
        "phase": job.phase,
        "step": job.step,
        "is_cancel_requested": job.is_cancel_requested,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "request": job.request.model_dump(mode="json"),
    }


def names_of_workers(services: Services) -> frozenset[str]:
    """Those that are there."""
    return frozenset(worker.id for worker in services.journal.workers())


def line_of(services: Services, job: Job, places: Mapping[int, int], alive: Collection[str]) -> str:
    standing = _standing(services, job, places, alive)
    return f"{job.id:>6}  {job.state:<9}  {standing:<16}  {shortened(job.request.prompt)}"


def shortened(prompt: str, max_chars: int = PROMPT_CHARS) -> str:
    """A prompt on one line."""
    line = " ".join(prompt.split())
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def _standing(services: Services, job: Job, places: Mapping[int, int], alive: Collection[str]) -> str:
    """What there is to say of a job in its state, in a word or a sentence."""
    match job.state:
        case JobState.QUEUED:
            return f"place {places[job.id]}" if job.id in places else ""
        case JobState.RUNNING if job.worker not in alive:
            return "its worker is gone"
        case JobState.RUNNING:
            wanted = "cancelling" if job.is_cancel_requested else f"{job.phase or 'waiting'}"
            return f"{wanted} {job.step}/{job.request.steps}"
        case JobState.FAILED:
            return job.error or ""
    path = services.image_path(job)
    return path.name if path is not None else ""


def jobs_in_words(number: int) -> str:
    return "1 job" if number == 1 else f"{number:,} jobs"


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def states_named(name: str | None) -> list[JobState] | None:
    if name is None:
        return None
    if name not in list(JobState):
        raise unknown_name("state", name, [state.value for state in JobState])
    return [JobState(name)]
