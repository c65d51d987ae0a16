"""SHA-256 of files, remembered by path, size and time of change, so that gigabytes are read once.

The memory is a file of JSON lines that processes append to without asking each other: a line that was torn is skipped,
a file that changed is hashed again. Nothing is read or written at construction.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

from pixart_ui.errors import CheckpointError

CHUNK_BYTES = 4 << 20


class Fingerprints:
    """Safe to use from several threads and processes."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[tuple[str, int, int], str] = {}
        self._read_bytes = 0
        self._lock = threading.Lock()

    def sha256(self, path: Path) -> str:
        """The hash of the file, from memory where it has not changed. Raises CheckpointError if it cannot be read."""
        known = self.remembered(path)
        return known if known is not None else self.compute(path)

    def compute(self, path: Path) -> str:
        """Read the file and remember its hash. Raises CheckpointError if it cannot be read."""
        try:
            before = _key(path)
            digest = hash_file(path)
            unchanged = _key(path) == before
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}): get the checkpoint again.") from None
        if unchanged:
            self._remember(before, digest)
        return digest

    def remembered(self, path: Path) -> str | None:
        """The hash that was computed while the file had its present size and time, if any."""
        try:
            key = _key(path)
        except OSError:
            return None
        with self._lock:
            if key not in self._known:
                self._catch_up()
            return self._known.get(key)

    def _remember(self, key: tuple[str, int, int], digest: str) -> None:
        with self._lock:
            if self._known.get(key) == digest:
                return
            self._known[key] = digest
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            # The line break comes first, so that a line torn by a crash spoils no other.
            with self._memory.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps([*key, digest]))

    def _catch_up(self) -> None:
        """Read what this or another process appended since the last time; a file that shrank is read from its start."""
        try:
            size = self._memory.stat().st_size
            if size == self._read_bytes:
                return
            with self._memory.open("rb") as file:
                file.seek(self._read_bytes if size > self._read_bytes else 0)
                lines = file.read().splitlines()
        except OSError:
            return
        self._read_bytes = size
        for line in lines:
            try:
                path, length, mtime_ns, digest = json.loads(line)
                self._known[(path, length, mtime_ns)] = digest
            except (ValueError, TypeError):
                continue


def hash_file(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        buffer = bytearray(CHUNK_BYTES)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def combine(hashes: list[str]) -> str:
    """One hash for several files: of the sorted list of their hashes; of a single file its own."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _key(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return os.path.realpath(path), stat.st_size, stat.st_mtime_ns
