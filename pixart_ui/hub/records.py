"""What was fetched: one small JSON file for each checkpoint, with commit, sizes and SHA-256 of its files.

Written once all files are there and checked, by rename. A record that cannot be read counts as none: fetching again
repairs it and moves no byte that is already there.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class FileRecord:
    size: int
    sha256: str


@dataclass(frozen=True)
class RepoRecord:
    """`files` maps a path inside the repository, with slashes, to what it must be."""

    commit: str
    files: Mapping[str, FileRecord]


class Records:
    """The records in a folder, by checkpoint name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def read(self, name: str) -> Mapping[str, RepoRecord] | None:
        """Repository -> what was fetched from it; None if there is no readable record."""
        try:
            value = json.loads(self.path(name).read_text(encoding="utf-8"))
            return _parse(value)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, name: str, record: Mapping[str, RepoRecord]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        value = {
            "format": FORMAT,
            "checkpoint": name,
            "repositories": {
                repo: {
                    "commit": entry.commit,
                    "files": {
                        path: {"size": file.size, "sha256": file.sha256} for path, file in sorted(entry.files.items())
                    },
                }
                for repo, entry in sorted(record.items())
            },
        }
        temporary = self._folder / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
            temporary.replace(self.path(name))
        finally:
            temporary.unlink(missing_ok=True)

    def commit_of(self, repo: str, preferred: str) -> str | None:
        """The commit at which `repo` was fetched, by the checkpoint `preferred` or else by any other."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        for name in (preferred, *names):
            record = self.read(name)
            if record is not None and repo in record:
                return record[repo].commit
        return None


def _parse(value: Any) -> dict[str, RepoRecord]:
    """Raises ValueError, TypeError, KeyError or AttributeError for anything that is not a record."""
    if value["format"] != FORMAT:
        raise ValueError("unknown format")
    record: dict[str, RepoRecord] = {}
    for repo, entry in value["repositories"].items():
        if _COMMIT.fullmatch(entry["commit"]) is None or any(".." in path.split("/") for path in entry["files"]):
            raise ValueError("not a commit, or a path that leaves the repository")
        files = {path: FileRecord(int(file["size"]), str(file["sha256"])) for path, file in entry["files"].items()}
        record[repo] = RepoRecord(entry["commit"], files)
    return record
