"""Ends a worker process that reports no more: one that is frozen as a whole, and can do nothing about it itself.

It is not for an engine that hangs while the process lives: see `watchdog.py`. What must stay true: a page that was
itself stopped for a while blames nobody for what it did not see.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pixart_ui.jobs.watchdog import AwakeClock

# Heartbeats come every second; libraries that load on a busy machine have been seen to hold one up for five.
SILENT_SECONDS, LOOK_SECONDS = 60.0, 2.0


@contextmanager
def listening(process: subprocess.Popen[str], heartbeat: Callable[[], float | None]) -> Iterator[list[str]]:
    """For the length of the block; the list holds a sentence once the process was ended.

    `heartbeat` is when it reported last, None before the first time and where nobody can tell.
    """
    over, said = threading.Event(), list[str]()

    def listen() -> None:
        clock, heard, since = AwakeClock(LOOK_SECONDS), None, 0.0
        while not over.wait(LOOK_SECONDS):
            clock.tick()
            beat = heartbeat()
            if beat is None or beat != heard:
                heard, since = beat, clock.seconds()
            elif clock.seconds() - since > SILENT_SECONDS:
                said.append(f"The worker did not report for {SILENT_SECONDS:g} s and was ended. It is started anew.")
                process.kill()
                return

    thread = threading.Thread(target=listen, name="listening", daemon=True)
    thread.start()
    try:
        yield said
    finally:
        over.set()
        thread.join()
