"""The weight store: each component's weights on this disk, once in every form that was asked for, ready to be mapped.

`conversion.py` makes the forms, `weightfile.py` writes them. A file is named after the content that it was made from,
so checkpoints with the same T5 share one. Without torch.

What must stay true: a file counts only together with the record that was written when all of it was on the disk, and
only while size, time and header are as recorded. Anything else counts as absent and is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pixart_ui.engine.forms import WeightKey, is_current
from pixart_ui.engine.tensorfile import TensorEntry, read_entries
from pixart_ui.errors import CheckpointError
from pixart_ui.fingerprints import hash_file
from pixart_ui.hub import Problem

logger = logging.getLogger(__name__)

# Raised when what is inside a stored file changes: files of another number are made again.
STORE_VERSION = 1
HASH_CHARS = 16
State = Literal["complete", "partial", "damaged"]

_FILE_NAME = re.compile(r"(?P<component>[a-z_]+)-(?P<form>.+)-(?P<hash>[0-9a-f]{16})\.safetensors(?:\.part)?")


@dataclass(frozen=True)
class StoredFile:
    """One file of the store as a person would want it told."""

    path: Path
    component: str
    form: str
    source_hash_start: str
    nbytes: int
    state: State


@dataclass(frozen=True)
class Record:
    """What was true of a file of the store when it was written: without one it does not count."""

    sha256: str
    size: int
    mtime_ns: int
    header_bytes: int
    header_sha256: str
    metadata: Mapping[str, str]
    versions: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record of the file at `path`, if there is a readable one."""
        values = read_json(record_path(path))
        are_numbers = all(isinstance(values.get(name), int) for name in ("size", "mtime_ns", "header_bytes"))
        try:
            return cls(**values) if are_numbers else None
        except TypeError:
            return None


class WeightStore:
    """Safe to use from several processes. Nothing is made or read at construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: WeightKey) -> Path:
        return self.folder / f"{key.component}-{key.form}-{key.source_hash[:HASH_CHARS]}.safetensors"

    def find(self, key: WeightKey) -> dict[str, TensorEntry] | None:
        """The tensors of the file of that key; None where it is absent or not as it was written."""
        path = self.path(key)
        reason = _damage(path, metadata_of(key))
        if reason is None:
            return read_entries(path)
        if path.exists():
            logger.warning("%s %s: it will be made again.", path, reason)
        return None

    def files(self) -> list[StoredFile]:
        """Everything in the store, half-made files included, by name."""
        found = []
        for path in sorted(self.folder.glob("*.safetensors*")):
            match = _FILE_NAME.fullmatch(path.name)
            size = size_of(path)
            if match is not None and size is not None:
                state: State = "partial" if path.suffix == ".part" else "damaged" if _damage(path) else "complete"
                found.append(StoredFile(path, match["component"], match["form"], match["hash"], size, state))
        return found

    def verify(self) -> Iterator[tuple[StoredFile, Problem | None]]:
        """Read every byte of every finished file; yields each with what is wrong with it."""
        for stored in self.files():
            if stored.state != "partial":
                reason = _damage(stored.path) or _change(stored.path)
                yield stored, Problem(stored.path, f"{stored.path} {reason}.") if reason is not None else None

    def prune(self, keep: Collection[str], *, everything: bool = False) -> int:
        """Remove what no longer serves and return the bytes that this frees.

        That is half-made files, files made from a content that is not in `keep`, and quantized ones of another
        version of bitsandbytes; or all of them. What another process is making stays.
        """
        starts = {source_hash[:HASH_CHARS] for source_hash in keep}
        freed = 0
        for stored in self.files():
            serves = stored.state == "complete" and stored.source_hash_start in starts and is_current(stored.form)
            if everything or not serves:
                freed += self._remove_unlocked(stored)
        return freed

    def remove(self, path: Path) -> bool:
        """Remove a file of the store and its record; False where the system does not let go of it."""
        try:
            path.unlink(missing_ok=True)
            record_path(path).unlink(missing_ok=True)
        except PermissionError:  # Windows, while somebody reads it
            logger.warning("%s is in use and stays.", path)
            return False
        return True

    @contextmanager
    def locked(self, path: Path, timeout_seconds: float) -> Iterator[None]:
        """Be the only process that makes or removes this file.

        Raises Timeout where another one is at it, CheckpointError where the folder cannot be written.
        """
        # The file of the lock stays: whoever removed it could hand the lock out twice.
        lock = FileLock(self.folder / f"{path.name.removesuffix('.part')}.lock", thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout_seconds)
        except Timeout:
            raise
        except OSError as error:
            raise CheckpointError(
                f"Folder {self.folder} cannot be written ({error.strerror}): correct its permissions."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _remove_unlocked(self, stored: StoredFile) -> int:
        try:
            with self.locked(stored.path, 0):
                return stored.nbytes if self.remove(stored.path) else 0
        except Timeout:
            return 0


def metadata_of(key: WeightKey) -> dict[str, str]:
    """What a file says of itself; `format` is what the libraries want there."""
    return {"format": "pt", **asdict(key), "store_version": str(STORE_VERSION)}


def record_path(path: Path) -> Path:
    """Where the record of a file of the store is."""
    return path.with_name(f"{path.name}.json")


def size_of(path: Path) -> int | None:
    """How many bytes the file has; None where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def read_json(path: Path) -> dict[str, Any]:
    """The table in the file; an empty one where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _damage(path: Path, metadata: Mapping[str, str] | None = None) -> str | None:
    """Why the file does not count, as a phrase that follows its name. `metadata` is what it must say of itself."""
    record = Record.read(path)
    if record is None:
        return "has no record"
    try:
        stat = path.stat()
        with path.open("rb") as file:
            header = file.read(record.header_bytes)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.st_size != record.size:
        return f"has {stat.st_size:,} bytes, {record.size:,} were written"
    if stat.st_mtime_ns != record.mtime_ns:
        return "was changed after it was written"
    if hashlib.sha256(header).hexdigest() != record.header_sha256:
        return "has another header than was written"
    if metadata is not None and record.metadata != metadata:
        return "holds something else"
    return None


def _change(path: Path) -> str | None:
    """The same after reading every byte."""
    record = Record.read(path)
    try:
        is_same = record is not None and hash_file(path) == record.sha256
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if is_same else "has changed, its SHA-256 is another"
