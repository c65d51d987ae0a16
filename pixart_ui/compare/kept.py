"""Comparisons that are kept: a folder for each under `data_dir/comparisons`, listed, named, reopened and deleted.

A kept comparison is a report's folder, so it can be opened without this app. Its name is in a file of its own: naming
it while its runs are still being written changes nothing that they write. What must stay true: an id is a folder name
and nothing else, and nothing outside that one folder is ever touched.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pixart_ui.access.viewer import LOCAL_OWNER
from pixart_ui.compare import report
from pixart_ui.compare.comparison import IMAGES, MAX_NAME_CHARS, Comparison
from pixart_ui.errors import InputError

NAME_FILE = "name.txt"
# Whose it is; without one it was made on this machine.
OWNER_FILE = "owner.txt"
MAX_OWNER_CHARS = 100
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}", re.ASCII)
# A folder on its way in, or out; what an interrupted deletion left goes with the next one.
_COMING, _LEAVING = ".new-", ".deleted-"
Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Entry:
    """A kept comparison in a list. `problem` is a sentence where its report cannot be read."""

    id: str
    name: str
    created: datetime | None
    num_done: int
    num_runs: int
    problem: str | None = None
    owner: str = LOCAL_OWNER


class Kept:
    """The comparisons of one folder; several processes may use it.

    A list looks at every comparison, and reads again those whose files have changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Stamp, Entry]] = {}

    def create(self, comparison: Comparison, owner: str = LOCAL_OWNER) -> str:
        """Keep a new one, with or without results; returns its id."""
        comparison_id = f"{comparison.created.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        aside = self._folder / f"{_COMING}{comparison_id}"
        (aside / IMAGES).mkdir(parents=True)
        report.save_json(comparison, aside)
        if owner != LOCAL_OWNER:
            (aside / OWNER_FILE).write_text(owner, encoding="utf-8")
        aside.rename(self._folder / comparison_id)
        return comparison_id

    def save(self, comparison_id: str, comparison: Comparison) -> None:
        """Replace what is known of it; its name stays what it was given. Raises InputError."""
        report.save_json(comparison, self.path(comparison_id))

    def open(self, comparison_id: str) -> Comparison:
        """The comparison of that id, by its given name. Raises InputError."""
        folder = self.path(comparison_id)
        comparison = report.read(folder)
        name = _given_name(folder)
        return comparison if name is None else comparison.model_copy(update={"name": name})

    def owner(self, comparison_id: str) -> str:
        """Whose it is. Raises InputError."""
        return _owner(self.path(comparison_id))

    def entries(self) -> tuple[Entry, ...]:
        """All of them, the newest first; a damaged one is listed too, so that it can be deleted."""
        return tuple(self._entry(comparison_id) for comparison_id in sorted(self._ids(), reverse=True))

    def rename(self, comparison_id: str, name: str) -> None:
        """Give it another name. Raises InputError."""
        name = " ".join(name.split())
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise InputError(
                f"A comparison's name has from 1 to {MAX_NAME_CHARS} characters that can be printed, this one has "
                f"{len(name)}: write another one."
            )
        report.write_aside(self.path(comparison_id) / NAME_FILE, name.encode())

    def delete(self, comparison_id: str) -> None:
        """Take it away at once: it is out of the list before the first file goes. Raises InputError."""
        folder = self.path(comparison_id)
        folder.rename(self._folder / f"{_LEAVING}{comparison_id}")
        for leaving in self._folder.glob(f"{_LEAVING}*"):
            shutil.rmtree(leaving, ignore_errors=True)

    def path(self, comparison_id: str) -> Path:
        """Its folder, which is there. Raises InputError for an id that is none, or of none."""
        folder = self._folder / comparison_id if _ID.fullmatch(comparison_id) else None
        if folder is None or folder.is_symlink() or not folder.is_dir():
            raise unknown_comparison(comparison_id)
        return folder

    def _ids(self) -> Iterator[str]:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if _ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path.name

    def _entry(self, comparison_id: str) -> Entry:
        present = stamp(self._folder / comparison_id)
        known = self._known.get(comparison_id)
        if known is None or known[0] != present:
            known = self._known[comparison_id] = (present, self._read_entry(comparison_id))
        return known[1]

    def _read_entry(self, comparison_id: str) -> Entry:
        try:
            comparison = self.open(comparison_id)
        except InputError as error:
            name = _given_name(self._folder / comparison_id)
            shown = name if name is not None else comparison_id
            return Entry(comparison_id, shown, None, 0, 0, error.message, _owner(self._folder / comparison_id))
        return Entry(
            comparison_id,
            comparison.name,
            comparison.created,
            len(comparison.results),
            comparison.sweep.num_runs,
            owner=_owner(self._folder / comparison_id),
        )


def unknown_comparison(comparison_id: str) -> InputError:
    return InputError(f"Comparison {comparison_id[:40]!r} is not kept here: choose one from the list.")


def _owner(folder: Path) -> str:
    """A file that cannot be read makes it nobody's but the local owner's."""
    try:
        return (folder / OWNER_FILE).read_text(encoding="utf-8")[:MAX_OWNER_CHARS] or LOCAL_OWNER
    except (OSError, UnicodeDecodeError):
        return LOCAL_OWNER


def stamp(folder: Path) -> Stamp:
    """Changes with every write to the comparison, or to its name."""
    stats = [_stat(folder / name) for name in (report.JSON_NAME, NAME_FILE)]
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats if stat is not None)


def _stat(path: Path) -> os.stat_result | None:
    """None where it is not there, or no longer."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _given_name(folder: Path) -> str | None:
    try:
        return (folder / NAME_FILE).read_text(encoding="utf-8")[:MAX_NAME_CHARS] or None
    except (OSError, UnicodeDecodeError):
        return None
