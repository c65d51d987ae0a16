"""How much RAM this process may still take: what the machine has free, or less where a control group limits it.

Containers, batch systems and `systemd-run -p MemoryMax=…` limit by control groups of the kernel, in version 2 of their
interface or in version 1. A limit anywhere above the process counts. What a group holds as clean copies of files is
free: the kernel drops it when something else is wanted. Without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

PROCESS_FILE = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")
# Where both versions are in use, the second is mounted beside the controllers of the first.
MOUNTS_OF_VERSION_2 = ("", "unified")


@dataclass(frozen=True)
class Ram:
    """In bytes. `total` is the machine's, or the smallest limit."""

    available: int
    total: int


@dataclass(frozen=True)
class _Names:
    """The files of a group: limits of which the smallest counts, use, and keys of its statistics that can be freed."""

    limits: tuple[str, ...]
    use: str
    freeable: tuple[str, ...]


_VERSION_2 = _Names(("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file"))
_VERSION_1 = _Names(("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))


def ram(process_file: Path = PROCESS_FILE, mount: Path = MOUNT) -> Ram:
    """What is free now and what there is in all, for this process."""
    memory = psutil.virtual_memory()
    available, total = int(memory.available), int(memory.total)
    for folder, names in _groups(process_file, mount):
        limit = min((_number(folder / name) for name in names.limits), default=math.inf)
        if limit < total:
            total = int(limit)
        if limit < math.inf:
            available = min(available, max(0, int(limit) - _held(folder, names)))
    return Ram(available, total)


def _groups(process_file: Path, mount: Path) -> Iterator[tuple[Path, _Names]]:
    """The folders of the process's groups and of all above them. A container may see its own group as the topmost."""
    try:
        lines = process_file.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            tops, names = [mount / name for name in MOUNTS_OF_VERSION_2], _VERSION_2
        elif "memory" in controllers.split(","):
            tops, names = [mount / "memory"], _VERSION_1
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        yield from ((top / part, names) for top in tops for part in (inside, *inside.parents))


def _held(folder: Path, names: _Names) -> int:
    """What the group uses and would not give up; nothing where its files do not say."""
    use = _number(folder / names.use)
    if use == math.inf:
        return 0
    statistics = dict(line.split(maxsplit=1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    return max(0, int(use) - sum(int(statistics.get(key, "0")) for key in names.freeable))


def _number(path: Path) -> float:
    """The number in one of the kernel's files; infinite where it says `max`, or where there is none."""
    text = _text(path).strip()
    return float(text) if text.isdecimal() else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
