"""`worker`: own a device and run jobs of the data folder's journal until told to stop.

The page starts it with `--lifeline`: it then leaves when its stdin closes, which happens however the page ends, and
says on stdout what became of it. Started by hand it runs until Ctrl+C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from pixart_ui.commands.flags import add_device_flags, add_worker_flags
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.lock import DeviceTaken
from pixart_ui.jobs.worker import LOG_FORMAT, new_name, open_worker
from pixart_ui.services import Services
from pixart_ui.settings import Settings

# Longer than any step; a device that hangs must not keep its lock for ever.
GRACE_SECONDS = 60.0

log = logging.getLogger(__name__)


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "worker", parents=parents, help="run jobs of the queue on one device", description=__doc__
    )
    add_device_flags(parser)
    add_worker_flags(parser)
    parser.add_argument("--lifeline", action="store_true", help="leave when standard input closes")
    parser.add_argument("--name", default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if args.lifeline:
        threading.Thread(target=_watch_lifeline, args=(stop,), name="lifeline", daemon=True).start()
    try:
        services = Services.open(settings)
        _start_log(settings, has_supervisor=args.lifeline)
        with open_worker(services, name=args.name if args.name is not None else new_name()) as worker:
            _say(args.lifeline, event="ready")
            log.info("ready")
            worker.serve(stop)
    except PixArtError as error:
        device = error.device_id if isinstance(error, DeviceTaken) else None
        _say(args.lifeline, event="ended", kind=type(error).__name__, message=error.message, device=device)
        raise
    log.info("stopped as asked")
    return 0


def _start_log(settings: Settings, *, has_supervisor: bool) -> None:
    """To stderr, which a supervisor sends to the log file; without one, to that file as well."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if not has_supervisor:
        handlers.append(logging.FileHandler(settings.logs_dir / "worker.log", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=handlers)
    logging.captureWarnings(True)


def _say(has_lifeline: bool, **message: Any) -> None:
    """One line for the supervisor, if there is one."""
    if has_lifeline:
        try:
            print(json.dumps(message), flush=True)
        except OSError:
            log.warning("nobody listens: the page is gone")


def _watch_lifeline(stop: threading.Event) -> None:
    """Wait for the end of stdin. `os.read`, since a thread inside Python's own reader blocks the interpreter's exit."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()
    threading.Event().wait(GRACE_SECONDS)
    log.error("the device did not stop within %g seconds of being asked: leaving without it", GRACE_SECONDS)
    os._exit(1)
