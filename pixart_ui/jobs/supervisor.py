"""Keeps a worker process alive beside the page: starts it, watches it, starts it again when it ends.

The page talks to the worker through the journal alone. Between this module and the process there are three lines only:
its stdin is the lifeline (it closes when the page dies, however that happens, and the worker leaves), its stdout
carries one JSON object a line (`ready`, or why it ended), its stderr is the log. A worker whose engine hangs ends
itself (see `watchdog.py`); one that does not even report to the journal any more is ended from here (`silence.py`).
"""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import pixart_ui
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.lock import DeviceTaken
from pixart_ui.jobs.silence import listening
from pixart_ui.jobs.worker import new_name
from pixart_ui.settings import Settings

MAX_LOG_BYTES = 5_000_000
MAX_BACKOFF_SECONDS = 30.0
GOOD_LIFE_SECONDS = 60.0
# A device that another worker has comes free when that worker leaves the journal; one that we cannot see may anyway.
TAKEN_SECONDS = 5.0
POLITE_SECONDS = 10.0

log = logging.getLogger(__name__)


def worker_arguments(settings: Settings) -> list[str]:
    """Of `python -m pixart_ui` for a worker on the device of the settings."""
    return ["worker", f"--device={settings.device}", *budget_argument(settings), *queue_arguments(settings)]


def budget_argument(settings: Settings) -> list[str]:
    return [] if settings.vram_budget is None else [f"--vram-budget={settings.vram_budget}B"]


def queue_arguments(settings: Settings) -> list[str]:
    """What every worker is told of the queue and of keeping pictures."""
    given = {
        "--group-size": settings.group_size,
        "--keep-images": settings.keep_images,
        "--keep-days": settings.keep_days,
    }
    return [f"{flag}={value}" for flag, value in given.items() if value is not None]


@dataclass(frozen=True)
class Task:
    """What is kept running: the arguments of `python -m pixart_ui`, and what is added to its environment.

    A process may have several workers: they are called like it, with a dot and a number.
    """

    arguments: Callable[[Settings], list[str]] = worker_arguments
    environ: Mapping[str, str] = field(default_factory=dict)


WORKER = Task()


class Supervisor:
    """Owns one worker process. `start` and `stop` are called once each, `status` from any thread."""

    def __init__(self, settings: Settings, journal: Journal, task: Task = WORKER) -> None:
        self._task = task
        self._settings = settings
        self._journal = journal
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._status: str | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    @property
    def log_path(self) -> Path:
        return self._settings.logs_dir / "worker.log"

    @property
    def pid(self) -> int | None:
        """The process id of the worker while there is one."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def status(self) -> str | None:
        """Why no worker can run, in a sentence; None while one runs, starts, or starts again after a first failure."""
        return self._status

    def start(self) -> None:
        """Returns at once; the worker becomes ready later."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker: politely, then less so. Its unfinished jobs are back in the queue afterwards."""
        self.ask_to_stop()
        process = self._process
        if process is not None:
            _end(process)
        if self._thread.is_alive():
            self._thread.join(POLITE_SECONDS)

    def ask_to_stop(self) -> None:
        """Close the worker's lifeline and start no other. Returns at once."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()

    def _watch(self) -> None:
        num_failures = 0
        while not self._stopping.is_set():
            name, started = new_name(), time.monotonic()
            try:
                reason = self._run_once(name)
            except OSError as error:
                reason = {"message": f"The worker cannot be started ({error.strerror}): see {self.log_path}."}
            self._bury(name)
            if self._stopping.is_set():
                return
            if time.monotonic() - started > GOOD_LIFE_SECONDS:
                num_failures = 0
            num_failures += 1
            log.warning("worker %s ended: %s", name, reason.get("message", "it did not say why"))
            if reason.get("kind") == DeviceTaken.__name__:
                self._wait_for_device(str(reason.get("device")), str(reason["message"]))
            else:
                self._status = self._trouble(reason, num_failures)
                self._stopping.wait(backoff_seconds(num_failures))

    def _run_once(self, name: str) -> dict[str, Any]:
        """Start a worker and follow it to its end; returns what it said about that."""
        with self._lock:
            if self._stopping.is_set():
                return {}
            with _open_log(self.log_path) as log_file:
                self._process = self._spawn(name, log_file)
            process = self._process
        reason: dict[str, Any] = {}
        assert process.stdout is not None
        with process.stdout as lines, listening(process, partial(self._heartbeat_of, name)) as silence:
            for line in lines:
                message = _parse(line)
                if message.get("event") == "ready":
                    self._status = None
                elif message.get("event") == "ended":
                    reason = message
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return {"message": silence[0]} if silence else reason

    def _heartbeat_of(self, name: str) -> float | None:
        """When a worker of that process reported last; None where none is there, or the journal cannot be read."""
        try:
            workers = self._journal.workers(alive_within=math.inf)
        except PixArtError:
            return None
        return max((worker.heartbeat_at for worker in workers if _is_of(worker.id, name)), default=None)

    def _spawn(self, name: str, log_file: IO[str]) -> subprocess.Popen[str]:
        own = ["--lifeline", f"--name={name}", f"--data-dir={self._settings.data_dir}"]
        return subprocess.Popen(
            [sys.executable, "-m", "pixart_ui", *self._task.arguments(self._settings), *own],
            env={**os.environ, **self._task.environ},
            # `-m` finds this package there, wherever the app was started from.
            cwd=Path(pixart_ui.__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            errors="replace",
        )

    def _bury(self, name: str) -> None:
        """The process is gone: its jobs need not wait for their lease to lapse."""
        try:
            known = [worker.id for worker in self._journal.workers(alive_within=math.inf)]
            for worker in {name, *(other for other in known if _is_of(other, name))}:
                self._journal.give_back(worker)
                self._journal.forget_worker(worker)
        except PixArtError as error:
            log.warning("%s", error)  # the leases lapse by themselves

    def _trouble(self, reason: Mapping[str, Any], num_failures: int) -> str | None:
        """A single crash is mended before anybody could read of it."""
        if "message" in reason:
            return str(reason["message"])
        if num_failures < 2:
            return None
        return f"The worker stopped {num_failures} times in a row and is started again: see {self.log_path}."

    def _wait_for_device(self, device: str, message: str) -> None:
        """Quietly, without starting processes, for as long as the journal shows the worker that has the device."""
        while True:
            is_seen = self._is_seen(device)
            self._status = None if is_seen else message
            if self._stopping.wait(1.0 if is_seen else TAKEN_SECONDS) or not self._is_seen(device):
                return

    def _is_seen(self, device: str) -> bool:
        """Whether a worker of that device reports; one of a cluster's workers stands for the cluster."""
        try:
            devices = [worker.info.get("lock", worker.device) for worker in self._journal.workers()]
            return device in devices
        except PixArtError:
            return False


def _is_of(worker: str, name: str) -> bool:
    """Whether that worker lives in the process of that name."""
    return worker == name or worker.startswith(f"{name}.")


def backoff_seconds(num_failures: int) -> float:
    """How long to wait after that many failures in a row: 0, 1, 2, 4 … 30 seconds."""
    return min(2.0 ** (num_failures - 2), MAX_BACKOFF_SECONDS) if num_failures > 1 else 0.0


def _end(process: subprocess.Popen[str]) -> None:
    """Close the lifeline, then ask, then kill."""
    if process.stdin is not None:
        process.stdin.close()
    for harder in (process.terminate, process.kill):
        try:
            process.wait(POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            harder()
        else:
            return
    process.wait()


def _open_log(path: Path) -> IO[str]:
    """The log, begun anew when it has grown large; the one before is kept beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return path.open("a", encoding="utf-8")


def _parse(line: str) -> dict[str, Any]:
    """A message of the worker; anything else that a library prints is no message."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
