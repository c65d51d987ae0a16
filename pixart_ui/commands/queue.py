"""`queue`: the jobs of the data folder, while the app runs or not: both act on the same journal.

`add`, `list`, `export`, `pause`, `resume`, `cancel`, `retry`, `move` and `clear` need no worker; `run` is one, without
the page.
Results go to stdout, with `--json` as JSON, what is to be said beside them to stderr.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pixart_ui.commands.flags import add_device_flags, add_worker_flags
from pixart_ui.commands.queue_add import add_adding_flags, run_add
from pixart_ui.commands.queue_export import add_export_flags, run_export
from pixart_ui.commands.queue_output import (
    as_json,
    jobs_in_words,
    line_of,
    names_of_workers,
    print_jobs,
    print_json,
    say,
    states_named,
)
from pixart_ui.errors import InputError, PixArtError, unknown_name
from pixart_ui.jobs.job import Job, JobState, Move, QueuePage
from pixart_ui.jobs.queue_edits import PAUSED_BY_HAND
from pixart_ui.jobs.worker import LOG_FORMAT, new_name, open_worker
from pixart_ui.services import Services
from pixart_ui.settings import Settings

POLL_SECONDS = 0.2

log = logging.getLogger(__name__)

Verb = Callable[[Services, argparse.Namespace], int]


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser("queue", parents=parents, help="add, see, run and change jobs", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, run: Verb, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, parents=parents, help=text)
        added.add_argument("--json", action="store_true", help="print JSON")
        added.set_defaults(run=_with_services(run))
        return added

    _add_adding(verb)
    _add_seeing(verb)
    _add_changing(verb)


def _add_adding(verb: Callable[[str, Verb, str], argparse.ArgumentParser]) -> None:
    add = verb("add", run_add, "put jobs at the end of the queue")
    add_adding_flags(add)
    running = verb("run", run_run, "run the jobs here, without the page, until Ctrl+C")
    running.add_argument("--drain", action="store_true", help="end when no job is left")
    add_device_flags(running)
    add_worker_flags(running)


def _add_seeing(verb: Callable[[str, Verb, str], argparse.ArgumentParser]) -> None:
    listing = verb("list", run_list, "what runs, what waits in its order, and what has ended")
    listing.add_argument("--state", metavar="STATE", help=f"only one of {', '.join(JobState)}")
    listing.add_argument("--text", metavar="TEXT", help="only prompts with this in them")
    _add_owner(listing)
    add_export_flags(verb("export", run_export, "the jobs as CSV or JSON, which `add` reads again, and their pictures"))


def _add_changing(verb: Callable[[str, Verb, str], argparse.ArgumentParser]) -> None:
    pause = verb("pause", run_pause, "let no job start; those that run go on")
    pause.add_argument("reason", nargs="?", default=PAUSED_BY_HAND, metavar="REASON", help="shown to everybody")
    verb("resume", run_resume, "let jobs start again")
    cancel = verb("cancel", run_cancel, "end jobs: waiting ones at once, running ones at the next step")
    _add_choice(cancel, "--all", "all that wait or run")
    retry = verb("retry", run_retry, "queue failed and cancelled jobs again, at their places")
    _add_choice(retry, "--failed", "all that failed")
    move = verb("move", run_move, "change the place of a waiting job")
    move.add_argument("id", metavar="ID", help="see `queue list`")
    move.add_argument("where", metavar="WHERE", help=", ".join(Move))
    _add_owner(verb("clear", run_clear, "take the jobs that have ended off the list; their pictures stay"))


def _add_choice(parser: argparse.ArgumentParser, flag: str, text: str) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="see `queue list`")
    parser.add_argument(flag, dest="is_all", action="store_true", help=text)
    _add_owner(parser)
    parser.set_defaults(flag=flag)


def _add_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--owner", metavar="NAME", help="only the jobs of this owner (default: everybody's)")


def _with_services(run: Verb) -> Callable[[Settings, argparse.Namespace], int]:
    def opened(settings: Settings, args: argparse.Namespace) -> int:
        services = Services.open(settings)
        try:
            return run(services, args)
        finally:
            services.journal.close()

    return opened


# The verbs


def run_list(services: Services, args: argparse.Namespace) -> int:
    page = services.journal.page(states=states_named(args.state), text=args.text, owner=args.owner)
    if args.json:
        print_json(as_json(services, page))
        return 0
    alive = names_of_workers(services)
    for job in page.jobs:
        print(line_of(services, job, page.places, alive))
    reason = services.journal.pause_reason()
    if reason is not None:
        say(f"The queue is paused ({reason}).")
    return 0


def run_pause(services: Services, args: argparse.Namespace) -> int:
    reason = args.reason.strip()
    if not reason or not reason.isprintable():
        raise InputError(f"Reason {args.reason[:60]!r} cannot be shown, it must be a line of text: write one, or none.")
    services.journal.pause(reason)
    return _print_pause(services, args)


def run_resume(services: Services, args: argparse.Namespace) -> int:
    services.journal.resume()
    return _print_pause(services, args)


def run_cancel(services: Services, args: argparse.Namespace) -> int:
    ids = _chosen(args)
    if ids is None:
        done = services.journal.cancel_all(owner=args.owner)
    else:
        done = services.journal.cancel(ids, is_strict=True)
    jobs = services.journal.jobs(ids=done, newest_first=False)
    print_jobs(services, jobs, args, did="cancelled", did_to_running="asked to stop")
    return 0


def run_retry(services: Services, args: argparse.Namespace) -> int:
    ids = _chosen(args)
    if ids is None:
        jobs = services.journal.retry_failed(owner=args.owner)
    else:
        jobs = services.journal.retry(ids)
    print_jobs(services, jobs, args, did="queued again")
    return 0


def run_move(services: Services, args: argparse.Namespace) -> int:
    if args.where not in list(Move):
        raise unknown_name("place", args.where, [place.value for place in Move])
    job_id = _id(args.id)
    services.journal.move([job_id], Move(args.where))
    print_jobs(services, [services.journal.job(job_id)], args, did="moved")
    return 0


def run_clear(services: Services, args: argparse.Namespace) -> int:
    num_removed = services.journal.clear_finished(owner=args.owner)
    if args.json:
        print_json({"removed": num_removed})
    else:
        print(f"{jobs_in_words(num_removed)} removed")
    return 0


def run_run(services: Services, args: argparse.Namespace) -> int:
    """Be a worker. Raises DeviceTaken where the app is one already, InputError if what is to be drained is paused."""
    stop = threading.Event()
    _start_log(services.settings)
    name = new_name()
    with _signals(stop), open_worker(services, name=name) as worker, _Report(services, name, args.json) as report:
        if not args.drain and (reason := services.journal.pause_reason()) is not None:
            say(f"The queue is paused ({reason}): waiting for `queue resume`.")
        worker.serve(stop, is_draining=args.drain)
    report.finish()
    if args.drain and not stop.is_set() and services.journal.has_open():
        raise InputError(
            f"The queue is paused ({services.journal.pause_reason()}), {_left(services)}: use `queue resume` first."
        )
    return 1 if report.has_failures else 0


def _print_pause(services: Services, args: argparse.Namespace) -> int:
    reason = services.journal.pause_reason()
    if args.json:
        print_json({"is_paused": reason is not None, "reason": reason})
    else:
        print(f"paused ({reason})" if reason is not None else "not paused")
    return 0


# Running


class _Report:
    """Tells of each job as it ends under our worker: the picture on stdout, a reason on stderr; JSON at the end."""

    def __init__(self, services: Services, worker: str, is_json: bool) -> None:
        self._services = services
        self._worker = worker
        self._is_json = is_json
        self._jobs: list[Job] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="report", daemon=True)

    @property
    def has_failures(self) -> bool:
        return any(job.state is JobState.FAILED for job in self._jobs)

    def __enter__(self) -> _Report:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def finish(self) -> None:
        self._look()
        if self._is_json:
            print_json(as_json(self._services, QueuePage(tuple(self._jobs), {}, len(self._jobs))))

    def _watch(self) -> None:
        seen = -1
        while not self._ended.wait(POLL_SECONDS):
            try:
                if (revision := self._services.journal.revision()) != seen:
                    seen = revision
                    self._look()
            except PixArtError as error:
                log.warning("%s", error)
            except BrokenPipeError:
                return  # nobody reads what we tell; the jobs go on, and `finish` meets the same end

    def _look(self) -> None:
        since = self._jobs[-1].finished_at if self._jobs else None
        for job in self._services.journal.ended_by(self._worker, since=0.0 if since is None else since):
            self._jobs.append(job)
            if job.error is not None:
                say(f"Job {job.id}: {job.error}")
            elif not self._is_json and (path := self._services.image_path(job)) is not None:
                print(path, flush=True)


def _start_log(settings: Settings) -> None:
    """What the worker and the libraries say goes where the page's worker writes as well."""
    logging.basicConfig(level=logging.INFO, filename=settings.logs_dir / "worker.log", format=LOG_FORMAT)
    logging.captureWarnings(True)
    logging.raiseExceptions = False


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl+C and SIGTERM let the worker leave politely: what it was making goes back to the queue."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _left(services: Services) -> str:
    counts = services.journal.counts()
    num_left = counts[JobState.QUEUED] + counts[JobState.RUNNING]
    return f"{jobs_in_words(num_left)} {'is' if num_left == 1 else 'are'} left"


# What was asked


def _chosen(args: argparse.Namespace) -> list[int] | None:
    """The jobs named, None for all. Raises InputError for both or neither."""
    if args.is_all == bool(args.ids):
        raise InputError(f"Either job numbers or {args.flag} say which jobs are meant: give one of the two.")
    if args.ids and args.owner is not None:
        raise InputError(f"--owner goes with {args.flag} only, job numbers say enough: leave one of them out.")
    return None if args.is_all else [_id(text) for text in args.ids]


def _id(text: str) -> int:
    # SQLite counts to 2^63.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InputError(f"Job {text[:40]!r} is no number, jobs have whole numbers: choose one from `queue list`.")
    return int(text)
