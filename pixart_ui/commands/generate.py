"""`generate`: make pictures from a prompt, or again from a picture's own PNG.

It puts jobs at the head of the queue, as the page does, and follows them. If no worker runs it is one itself, for its
own jobs only, and leaves when they have ended. Progress goes to stderr, paths or JSON to stdout.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixart_ui import prediction
from pixart_ui.byte_size import show_bytes
from pixart_ui.commands.flags import add_device_flags, add_request_flags, asked, given_request_flags
from pixart_ui.commands.progress import Progress
from pixart_ui.errors import DiskFullError, InputError
from pixart_ui.gallery import images
from pixart_ui.jobs.job import Job, JobState, WorkerStatus
from pixart_ui.jobs.lock import DeviceTaken
from pixart_ui.jobs.worker import LOG_FORMAT, new_name, open_worker
from pixart_ui.request import GenerationRequest, ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings

POLL_SECONDS = 0.1
# How often, and for how long, to try a device whose worker is not to be seen in our journal.
RETRY_SECONDS = 1.0
PATIENCE_SECONDS = 30.0


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser("generate", parents=parents, help="make pictures", description=__doc__)
    parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="what the picture should show")
    add_request_flags(parser)
    parser.add_argument(
        "--from", dest="source", metavar="FILE.png", help="make this picture again, from the settings in it"
    )
    parser.add_argument("--out", metavar="FILE.png|DIR", help="copy the pictures there (numbered, if several)")
    parser.add_argument("--json", action="store_true", help="print paths, requests and measurements as JSON")
    add_device_flags(parser, whose="for a worker of its own: ")
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    source = Path(args.source) if args.source is not None else None
    recorded = images.read_facts(source) if source is not None else None
    wanted = _asked(args) if source is None else None
    target = Target.parse(args.out)
    services = Services.open(settings)
    log_aside(settings)
    check_workers(settings, services.journal.workers())
    requests = services.resolve(wanted) if wanted is not None else _again(services, source, args)
    target.check()
    jobs = services.submit_resolved(requests)
    jobs = _follow(services, jobs, Progress(sys.stderr, jobs))
    paths = _deliver(services, jobs, target)
    if recorded is not None:
        for job in jobs:
            _say_differences(recorded, job)
    _print(jobs, paths, is_json=args.json)
    return _conclude(jobs)


def log_aside(settings: Settings) -> None:
    """The terminal gets sentences; what the libraries say beside goes where the page's worker writes as well."""
    logging.basicConfig(filename=settings.logs_dir / "worker.log", format=LOG_FORMAT)
    logging.captureWarnings(True)
    logging.raiseExceptions = False


# What was asked


def _asked(args: argparse.Namespace) -> GenerationRequest:
    if args.prompt is None:
        raise InputError("The prompt is missing, there must be one: write it in quotes, or use --from FILE.png.")
    return asked(args, args.prompt)


def _again(services: Services, source: Path | None, args: argparse.Namespace) -> tuple[ResolvedRequest, ...]:
    """The request in the picture, unchanged. Raises InputError, or CheckpointError if its weights are not here."""
    given = ["PROMPT"] if args.prompt is not None else []
    given += given_request_flags(args)
    if given:
        raise InputError(f"{given[0]} cannot go with --from, which makes the picture as it was: leave one of them out.")
    assert source is not None
    request = images.read_request(source)
    services.hub.locate(services.catalog.get(request.checkpoint))
    return (request,)


def check_workers(settings: Settings, workers: Sequence[WorkerStatus]) -> None:
    """Whether the flags ask for what a worker that runs is not. Raises InputError."""
    _check_device(settings, workers)
    _check_budget(settings, workers)


def _check_device(settings: Settings, workers: Sequence[WorkerStatus]) -> None:
    """A worker that runs has its device already; asking for another kind beside it is a mistake worth a word."""
    kind = settings.device.partition(":")[0]
    if not workers or kind == "auto":
        return
    devices = {str(worker.info.get("device", worker.device)) for worker in workers}
    if settings.device in devices or (settings.device == kind and any(name.startswith(kind) for name in devices)):
        return
    name = workers[0].info.get("name", workers[0].device)
    raise InputError(
        f"Device {settings.device} was asked for, but the worker of this data folder runs on {name}: "
        "leave out --device, stop that worker, or use another --data-dir."
    )


def _check_budget(settings: Settings, workers: Sequence[WorkerStatus]) -> None:
    """Neither does a worker that runs change its budget; a CPU has none."""
    if not workers or settings.vram_budget is None or prediction.is_cpu(workers[0].info):
        return
    budget = workers[0].info.get("budget_bytes")
    if budget != settings.vram_budget:
        runs_with = f"a budget of {show_bytes(budget)}" if budget is not None else "no budget"
        raise InputError(
            f"Budget {show_bytes(settings.vram_budget)} was asked for, but the worker of this data folder runs with "
            f"{runs_with}: leave out --vram-budget, stop that worker, or use another --data-dir."
        )


# Where the pictures go


@dataclass(frozen=True)
class Target:
    """Where copies go: nowhere, to files named after `file`, or into `folder` under their own names."""

    folder: Path | None = None
    file: Path | None = None

    @classmethod
    def parse(cls, out: str | None) -> Target:
        if out is None:
            return cls()
        path = Path(out).expanduser()
        if path.is_dir() or out.endswith(("/", "\\")) or not path.suffix:
            return cls(folder=path)
        if path.suffix.lower() != ".png":
            raise InputError(
                f"Output {path.name[:60]!r} is neither a folder nor a .png file, and pictures are PNG: "
                "end its name in .png."
            )
        return cls(folder=path.parent, file=path)

    def check(self) -> None:
        """Make the folder and try it, before anything is computed. Raises InputError."""
        if self.folder is None:
            return
        if self.file is not None and not self.folder.is_dir():
            raise InputError(f"Output folder {str(self.folder)!r} does not exist: make it first, or choose another.")
        probe = self.folder / ".pixart-ui-probe.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"Output folder {str(self.folder)!r} cannot be written ({error.strerror}): choose another."
            ) from None

    def path(self, job: Job, number: int, num_images: int) -> Path | None:
        """Where picture `number` of `num_images` (from 1) goes; None where it stays in the data folder."""
        if self.file is not None:
            numbered = self.file.with_name(f"{self.file.stem}-{number}{self.file.suffix}")
            return self.file if num_images == 1 else numbered
        return self.folder / job.image if self.folder is not None and job.image is not None else None


def _deliver(services: Services, jobs: Sequence[Job], target: Target) -> dict[int, Path]:
    """The final path of every finished picture, by job, after copying."""
    paths: dict[int, Path] = {}
    for number, job in enumerate(jobs, start=1):
        made = services.image_path(job)
        if made is None:
            continue
        wanted = target.path(job, number, len(jobs))
        paths[job.id] = made if wanted is None else _copy(made, wanted)
    return paths


def _copy(made: Path, wanted: Path) -> Path:
    """Copy so that nobody sees half a file. Raises DiskFullError, InputError."""
    aside = wanted.with_name(f".{wanted.name}.part")
    try:
        shutil.copyfile(made, aside)
        aside.replace(wanted)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The copy {wanted} does not fit on its disk: free some space; the picture itself is {made}."
            ) from None
        raise InputError(
            f"The copy {wanted} cannot be written ({error.strerror}): the picture itself is {made}."
        ) from None
    return wanted


# Following the jobs


def _follow(services: Services, jobs: Sequence[Job], progress: Progress) -> tuple[Job, ...]:
    """Wait until the jobs have ended, being their worker where there is none. Ctrl+C cancels them, as does SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ids = [job.id for job in jobs]
    own = OwnWorker(services, ids)
    try:
        with progress:
            while not all(job.state.is_end for job in jobs):
                own.start_if_needed()
                time.sleep(POLL_SECONDS)
                jobs = _present(services, jobs)
                progress.show(jobs, services.journal.workers(), pause=services.journal.pause_reason())
    except BaseException:
        services.journal.cancel(ids)
        raise
    finally:
        own.stop()
    return tuple(jobs)


def _present(services: Services, jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs as they are now. Somebody may clear those that ended, between two looks even before we saw the end."""
    now = {job.id: job for job in services.journal.jobs(batch=jobs[0].batch)}
    return tuple(now.get(job.id, job if job.state.is_end else _removed(services, job)) for job in jobs)


def _removed(services: Services, job: Job) -> Job:
    message = (
        f"Job {job.id} was cleared from the list: its picture, if there is one, is in {services.settings.images_dir}."
    )
    return replace(job, state=JobState.FAILED, error=message)


class OwnWorker:
    """A worker in a thread of this process, for given jobs; it exists only while no other worker is seen."""

    def __init__(self, services: Services, job_ids: Sequence[int]) -> None:
        self._services = services
        self._job_ids = job_ids
        self._name = new_name()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._first_refusal_at: float | None = None
        self._last_refusal_at = 0.0

    def start_if_needed(self) -> None:
        """Raises what ended our own worker; WorkerError if a worker that we cannot see keeps the device."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._error is not None:
            self._consider(self._error)
            self._error = None
        if self._services.journal.workers():
            self._first_refusal_at = None
        elif time.monotonic() - self._last_refusal_at > RETRY_SECONDS:
            self._thread = threading.Thread(target=self._serve, name="own worker")
            self._thread.start()

    def _consider(self, error: Exception) -> None:
        """A device that is taken by a worker that is just starting, or just leaving, is worth some patience."""
        now = self._last_refusal_at = time.monotonic()
        if self._first_refusal_at is None:
            self._first_refusal_at = now
        if not isinstance(error, DeviceTaken) or now - self._first_refusal_at > PATIENCE_SECONDS:
            raise error

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        try:
            with open_worker(self._services, name=self._name) as worker:
                worker.serve(self._stop, only=self._job_ids)
        except Exception as error:  # noqa: BLE001 - carried to the thread that waits, and raised there
            self._error = error


# What is said at the end


def _say_differences(recorded: Mapping[str, Any], job: Job) -> None:
    """A picture depends on its request, the device and the versions: name what is not as it was."""
    if job.facts is None:
        return
    for kind, word in (("versions", "version of"), ("components", "content of the"), ("device", "device's")):
        for name, before, now in _differences(recorded.get(kind), job.facts.get(kind)):
            shown = f"{before} then, {now} now" if kind != "components" else "the weights are not the same"
            print(f"The {word} {name} differs ({shown}): the picture may differ too.", file=sys.stderr)


def _differences(before: object, now: object) -> Iterator[tuple[str, Any, Any]]:
    before = before if isinstance(before, Mapping) else {}
    now = now if isinstance(now, Mapping) else {}
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield name, before.get(name, "unknown"), now.get(name, "unknown")


def _print(jobs: Iterable[Job], paths: Mapping[int, Path], *, is_json: bool) -> None:
    done = [job for job in jobs if job.id in paths]
    if not is_json:
        for job in done:
            print(paths[job.id])
        return
    print(json.dumps({"images": [_as_json(job, paths[job.id]) for job in done]}, indent=2))


def _as_json(job: Job, path: Path) -> dict[str, Any]:
    facts = dict(job.facts) if job.facts is not None else {}
    return {
        "path": str(path.absolute()),
        "seed": job.request.seed,
        "request": job.request.model_dump(mode="json"),
        **facts,
    }


def _conclude(jobs: Sequence[Job]) -> int:
    """One sentence for each reason, once. Raises nothing: the pictures that are there were printed."""
    reasons = dict.fromkeys(
        job.error if job.error is not None else "The picture was cancelled."
        for job in jobs
        if job.state is not JobState.DONE
    )
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1 if reasons else 0
