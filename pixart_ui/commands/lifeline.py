"""What a process that a supervisor started has in common with others: its log, its few words on stdout, its lifeline.

The lifeline is stdin: it closes when whoever started the process ends, however that happens.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixart_ui.jobs.worker import LOG_FORMAT
from pixart_ui.settings import Settings

# Longer than any step; a device that hangs must not keep its lock for ever.
GRACE_SECONDS = 60.0

log = logging.getLogger(__name__)


def stop_event(*, has_lifeline: bool) -> threading.Event:
    """Set by SIGINT, by SIGTERM, and by the end of the lifeline."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if has_lifeline:
        threading.Thread(target=_watch_lifeline, args=(stop,), name="lifeline", daemon=True).start()
    return stop


@contextmanager
def leaving_at_once(stop: threading.Event) -> Iterator[None]:
    """For what owns nothing yet: asked to stop in this block, the process ends. An import of seconds hears nobody."""
    is_over = threading.Event()

    def leave() -> None:
        stop.wait()
        if not is_over.is_set():
            os._exit(0)

    threading.Thread(target=leave, name="leave", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def start_log(settings: Settings, *, has_supervisor: bool) -> None:
    """To stderr, which a supervisor sends to the log file; without one, to that file as well."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if not has_supervisor:
        handlers.append(logging.FileHandler(settings.logs_dir / "worker.log", encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=handlers)
    logging.captureWarnings(True)


def say(has_lifeline: bool, **message: Any) -> None:
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
