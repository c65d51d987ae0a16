"""Long work on files that somebody started from the page: each in a process of its own, told through a small file.

Downloading, reading every byte, converting: minutes to hours. Any page sees how far it is, after any reload. What must
stay true: no call here waits for a chore; a chore ends with the process that started it (its lifeline is its stdin);
there is one at a time for each thing that it is about; what has arrived of a download stays.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

import pixart_ui
from pixart_ui.errors import InputError
from pixart_ui.settings import Settings

MAX_AT_ONCE = 4
# The weight store, as the subject of a chore; no checkpoint may have this name.
STORE = "weight-store"


class ChoreKind(StrEnum):
    """`VERIFY` and `PRUNE` of the weight store have `STORE` for a subject."""

    DOWNLOAD = "download"
    VERIFY = "verify"
    CONVERT = "convert"
    PRUNE = "prune"


class ChoreState(StrEnum):
    """`STOPPED`: its process is gone and did not say why. The last four are ends."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Chore:
    """`detail` is the precision of a conversion. `total_bytes` is 0 while it is not known.

    `message` is a sentence once it has ended, what is at work before. Times are seconds since 1970.
    """

    kind: ChoreKind
    subject: str
    detail: str = ""
    state: ChoreState = ChoreState.RUNNING
    done_bytes: int = 0
    total_bytes: int = 0
    # What was there when it began: the rate is of what came since.
    first_bytes: int = 0
    message: str = ""
    started_at: float = 0.0
    changed_at: float = 0.0
    pid: int = 0

    @property
    def key(self) -> str:
        """Its name among all chores: there is at most one with it."""
        return re.sub(r"[^a-z0-9-]+", "-", f"{self.kind}-{self.subject}-{self.detail}".lower()).strip("-")

    @property
    def bytes_a_second(self) -> float:
        seconds = self.changed_at - self.started_at
        return (self.done_bytes - self.first_bytes) / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        rate = self.bytes_a_second
        return (self.total_bytes - self.done_bytes) / rate if rate > 0 and self.total_bytes else None


class Chores:
    """Starts and follows them. Safe to use from several threads; nothing is read or made at construction."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir / "chores"
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def all(self) -> tuple[Chore, ...]:
        """Those that run and those whose end nobody has put aside yet, the oldest first."""
        found = [chore for path in self._folder.glob("*.json") if (chore := read(path)) is not None]
        return tuple(sorted((self._present(chore) for chore in found), key=lambda chore: chore.started_at))

    def start(self, kind: ChoreKind, subject: str, detail: str = "") -> Chore:
        """Begin, or go on where an earlier one stopped. Raises InputError where one is at it already."""
        with self._lock:
            running = [chore for chore in self.all() if chore.state is ChoreState.RUNNING]
            busy = next((chore for chore in running if chore.subject == subject), None)
            if busy is not None:
                raise InputError(f"{subject} is busy, a {busy.kind} of it is running: wait for it, or cancel it.")
            if len(running) >= MAX_AT_ONCE:
                raise InputError(f"{len(running)} such tasks are running, at most {MAX_AT_ONCE} may: wait for one.")
            self._forget(subject)
            chore = Chore(kind, subject, detail, started_at=time.time(), changed_at=time.time())
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{chore.key}.json"
            write(path, chore)
            self._processes[chore.key] = self._spawn(path)
            return chore

    def cancel(self, key: str) -> None:
        """Ask it to end; what it finished or fetched so far stays. One that is over stays as it is."""
        with self._lock:
            chore = self._find(key)
            if chore is None or chore.state is not ChoreState.RUNNING:
                return
            self._cancel_mark(key).touch()
            process = self._processes.get(key)
            if process is not None:
                process.terminate()
            elif _is_ours(chore.pid):
                psutil.Process(chore.pid).terminate()

    def dismiss(self, key: str) -> None:
        """Its end was read: put it aside."""
        with self._lock:
            chore = self._find(key)
            if chore is not None and chore.state is not ChoreState.RUNNING:
                self._remove(chore)

    def forget(self, subject: str) -> None:
        """Put aside all that ended and was about it, as it is gone."""
        with self._lock:
            self._forget(subject)

    def is_busy(self, subject: str) -> bool:
        return any(chore.subject == subject and chore.state is ChoreState.RUNNING for chore in self.all())

    def close(self) -> None:
        """End all that this object started."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
            process.wait()

    def _forget(self, subject: str) -> None:
        for chore in self.all():
            if chore.subject == subject and chore.state is not ChoreState.RUNNING:
                self._remove(chore)

    def _remove(self, chore: Chore) -> None:
        (self._folder / f"{chore.key}.json").unlink(missing_ok=True)
        self._cancel_mark(chore.key).unlink(missing_ok=True)

    def _find(self, key: str) -> Chore | None:
        return next((chore for chore in self.all() if chore.key == key), None)

    def _present(self, chore: Chore) -> Chore:
        """The file says what its process said last; one that died says nothing more."""
        if chore.state is not ChoreState.RUNNING or self._is_alive(chore):
            return chore
        path = self._folder / f"{chore.key}.json"
        last = read(path)
        if last is not None and last.state is not ChoreState.RUNNING:
            return last  # it ended while we looked
        was_cancelled = self._cancel_mark(chore.key).exists()
        return replace(chore, state=ChoreState.CANCELLED if was_cancelled else ChoreState.STOPPED, message="")

    def _is_alive(self, chore: Chore) -> bool:
        process = self._processes.get(chore.key)
        if process is None:
            return _is_ours(chore.pid)
        if process.poll() is not None and process.stdin is not None:
            process.stdin.close()
        return process.poll() is None

    def _cancel_mark(self, key: str) -> Path:
        return self._folder / f"{key}.cancel"

    def _spawn(self, path: Path) -> subprocess.Popen[bytes]:
        path.with_suffix(".cancel").unlink(missing_ok=True)
        log = self._settings.logs_dir / "chores.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pixart_ui.health.chore_process",
                    str(path),
                    str(self._settings.data_dir),
                    self._settings.device,
                ],
                cwd=Path(pixart_ui.__file__).resolve().parent.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )


def read(path: Path) -> Chore | None:
    """What the file tells; None where there is none that can be read."""
    try:
        values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind, state = ChoreKind(values["kind"]), ChoreState(values["state"])
        return Chore(**{**values, "kind": kind, "state": state})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(path: Path, chore: Chore) -> None:
    """Beside, then renamed: whoever reads sees the one before or this one."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        aside.write_text(json.dumps(asdict(chore)), encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _is_ours(pid: int) -> bool:
    """Whether that process is a chore, of whichever page; a number can have gone to another program since."""
    if not pid or pid == os.getpid():
        return False
    try:
        return "pixart_ui.health.chore_process" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
