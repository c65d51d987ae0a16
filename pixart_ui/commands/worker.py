"""`worker`: own a device and run jobs of the data folder's journal until told to stop.

The page starts it with `--lifeline`: it then leaves when its stdin closes, which happens however the page ends, and
says on stdout what became of it. Started by hand it runs until Ctrl+C.

With `--cluster` it makes this machine a part of a Ray cluster, once what is here is what the app there needs: the app
then draws with this machine's GPUs, or with its processor if `--device cpu` asks for that.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from pixart_ui.commands.flags import add_device_flags, add_worker_flags
from pixart_ui.commands.lifeline import leaving_at_once, say, start_log, stop_event
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.lock import DeviceTaken
from pixart_ui.jobs.worker import leave, new_name, open_worker
from pixart_ui.services import Services
from pixart_ui.settings import Settings

log = logging.getLogger(__name__)


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: Sequence[argparse.ArgumentParser]
) -> None:
    parser = subparsers.add_parser(
        "worker", parents=parents, help="run jobs of the queue on one device", description=__doc__
    )
    add_device_flags(parser)
    add_worker_flags(parser)
    parser.add_argument("--cluster", dest="joined", metavar="HOST:PORT", help="join the Ray cluster of an app there")
    parser.add_argument("--lifeline", action="store_true", help="leave when standard input closes")
    parser.add_argument("--name", default=None, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(settings: Settings, args: argparse.Namespace) -> int:
    stop = stop_event(has_lifeline=args.lifeline)
    if args.joined is not None:
        from pixart_ui.cluster.joining import join

        return join(args.joined, settings, os.environ, stop)
    try:
        with ExitStack() as opened:
            with leaving_at_once(stop):
                services = Services.open(settings)
                start_log(settings, has_supervisor=args.lifeline)
                name = args.name if args.name is not None else new_name()
                on_hang = partial(_leave, args.lifeline)
                worker = opened.enter_context(open_worker(services, name=name, on_hang=on_hang))
            say(args.lifeline, event="ready")
            log.info("ready")
            worker.serve(stop)
    except PixArtError as error:
        device = error.device_id if isinstance(error, DeviceTaken) else None
        say(args.lifeline, event="ended", kind=type(error).__name__, message=error.message, device=device)
        raise
    log.info("stopped as asked")
    return 0


def _leave(has_lifeline: bool, reason: str) -> None:
    say(has_lifeline, event="ended", kind="Hung", message=f"{reason} It is started anew.")
    leave(reason)
