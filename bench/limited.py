"""Limits the RAM of a process, page cache included, as a smaller machine would.

A control group of the kernel does it, made for the one process: in version 2 of their interface or in version 1 where
that may be written (root, as a rule), or by `systemd-run`. Where none can be had, the process runs without a limit and
the words say so. A limit on addresses (`ulimit -v`) would not do: CUDA reserves far more of them than it uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# The shell joins the group before it becomes the program, so that the group has every byte of it.
JOIN = 'echo $$ > "$0" && exec "$@"'
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Limit:
    """`prefix` goes before a command to run it under the limit; `words` say what limits it."""

    prefix: tuple[str, ...]
    words: str


@contextmanager
def memory(nbytes: int | None) -> Iterator[Limit]:
    """A limit for one process that starts and ends inside the block; None is no limit."""
    if nbytes is None:
        yield Limit((), "")
        return
    group, reason = _make_group(nbytes)
    if group is None:
        yield _by_systemd(nbytes, reason)
        return
    try:
        yield Limit(("sh", "-c", JOIN, str(group / "cgroup.procs")), f"control group, {nbytes:,} bytes")
    finally:
        _remove(group)


def _make_group(nbytes: int) -> tuple[Path | None, str]:
    """The group's folder; else None and why."""
    is_version_2 = (ROOT / "cgroup.controllers").exists()
    parent, limit = (ROOT, "memory.max") if is_version_2 else (ROOT / "memory", "memory.limit_in_bytes")
    group = parent / f"pixart-ui-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        return None, f"{parent} cannot be written: {error.strerror}"
    try:
        (group / limit).write_text(str(nbytes))
    except OSError as error:
        _remove(group)
        return None, f"{group / limit} cannot be written: {error.strerror}"
    return group, ""


def _remove(group: Path) -> None:
    """A group can be removed once its last process has gone, which may take a moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        else:
            return


def _by_systemd(nbytes: int, reason: str) -> Limit:
    """As a scope of its own, where systemd runs and lets us."""
    command = ("systemd-run", "--scope", "--quiet", "-p", f"MemoryMax={nbytes}")
    if shutil.which(command[0]) is None:
        return Limit((), f"none ({reason}; no systemd-run)")
    tried = subprocess.run([*command, "true"], check=False, capture_output=True, text=True, timeout=30)
    if tried.returncode != 0:
        return Limit((), f"none ({reason}; systemd-run: {' '.join(tried.stderr.split())[:120]})")
    return Limit(command, f"systemd-run, {nbytes:,} bytes")
