"""Writing one file of the weight store, so that it can be stopped at any moment and gone on with.

The header is known before the first tensor, so bytes only ever go to the end. They go to `NAME.part`; `NAME.part.json`
says how much of it is surely on the disk. Once all is, the record `NAME.json` is written and the file renamed: a name
without `.part` is a whole file. Knows bytes and not tensors; brings in no torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from pixart_ui.engine.tensorfile import ITEM_BYTES
from pixart_ui.engine.weights import Record, read_json, record_path
from pixart_ui.errors import CheckpointError, DiskFullError

# Bytes written so far, and bytes in all. What it raises stops the writing.
Progress = Callable[[int, int], None]
Buffer = bytes | memoryview

# How much is written before it is made sure of: what a power cut costs at most.
SYNC_BYTES = 256 * 2**20
# What stays free on the disk.
SPARE_BYTES = 256 * 2**20
HASH_CHUNK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor to be written; `dtype` is the format's own word."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        size = ITEM_BYTES[self.dtype]
        for length in self.shape:
            size *= length
        return size


@dataclass(frozen=True)
class PlannedFile:
    """A file to be written: its header, and where each of its parts ends. A part is what one source tensor becomes."""

    path: Path
    header: bytes
    metadata: Mapping[str, str]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, metadata: Mapping[str, str], parts: Sequence[Sequence[PlannedTensor]]) -> PlannedFile:
        header = _header(metadata, [tensor for part in parts for tensor in part])
        sizes = [sum(tensor.nbytes for tensor in part) for part in parts]
        return cls(path, header, metadata, tuple(accumulate(sizes, initial=len(header))))

    @property
    def num_parts(self) -> int:
        return len(self.ends) - 1

    @property
    def size(self) -> int:
        return self.ends[-1]

    @property
    def header_sha256(self) -> str:
        return hashlib.sha256(self.header).hexdigest()

    @property
    def part_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")


def write(
    planned: PlannedFile,
    make_part: Callable[[int], Iterable[Buffer]],
    versions: Mapping[str, str],
    progress: Progress,
) -> None:
    """Write what is not there yet, then let the file count. The caller holds its lock.

    `make_part` gives the bytes of the part of that number. An exception from it or from `progress` leaves what was
    written to be gone on with. Raises DiskFullError, CheckpointError.
    """
    with _disk_errors(planned):
        kept = _kept_parts(planned)
        if kept == 0:
            _discard(planned)
        check_room(planned.path.parent, planned.size - (planned.ends[kept] if kept else 0))
        with planned.part_path.open("r+b" if kept else "wb") as file:
            progress(planned.ends[kept] if kept else 0, planned.size)
            writer = _Writer(planned, file, kept, progress)
            try:
                for index in range(kept, planned.num_parts):
                    writer.write_part(index, make_part(index))
            finally:
                writer.make_sure()
        _finish(planned, writer.sha256, versions)


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises DiskFullError where the disk has no room for so many bytes more."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + SPARE_BYTES:
        raise DiskFullError(
            f"The disk of {folder} has {free / 1e9:.1f} GB free, converted weights need "
            f"{(needed_bytes + SPARE_BYTES) / 1e9:.1f} GB there: free some space, or run "
            "`python -m pixart_ui models prune`."
        )


class _Writer:
    """Appends parts, hashing what goes by."""

    def __init__(self, planned: PlannedFile, file: BinaryIO, kept: int, progress: Progress) -> None:
        self._planned = planned
        self._file = file
        self._progress = progress
        self._done = kept
        self._sure = kept
        self._hasher = hashlib.sha256()
        if kept:
            self._take_up()
        else:
            self._write(planned.header)

    @property
    def sha256(self) -> str:
        return self._hasher.hexdigest()

    def write_part(self, index: int, buffers: Iterable[Buffer]) -> None:
        planned = self._planned
        for buffer in buffers:
            self._write(buffer)
        if self._file.tell() != planned.ends[index + 1]:
            raise CheckpointError(f"Part {index} of {planned.path} came out at another size than its header says.")
        self._done = index + 1
        if planned.ends[self._done] - planned.ends[self._sure] >= SYNC_BYTES:
            self.make_sure()
        self._progress(planned.ends[self._done], planned.size)

    def make_sure(self) -> None:
        """What was written goes to the disk, and only then it is said to be there."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _write_json(
            record_path(self._planned.part_path),
            {"header_sha256": self._planned.header_sha256, "num_parts": self._done},
        )
        self._sure = self._done

    def _take_up(self) -> None:
        """Cut off what is not sure, and hash the rest."""
        end = self._planned.ends[self._done]
        self._file.truncate(end)
        while chunk := self._file.read(HASH_CHUNK_BYTES):
            self._hasher.update(chunk)
            self._progress(end, self._planned.size)

    def _write(self, buffer: Buffer) -> None:
        self._hasher.update(buffer)
        self._file.write(buffer)


def _header(metadata: Mapping[str, str], tensors: Iterable[PlannedTensor]) -> bytes:
    """The header with its length before it, padded with spaces as the format's own library does."""
    table: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.nbytes
        table[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _kept_parts(planned: PlannedFile) -> int:
    """How many parts an earlier run left that are surely on the disk and belong to the same file."""
    record = read_json(record_path(planned.part_path))
    count = record.get("num_parts")
    if record.get("header_sha256") != planned.header_sha256 or not isinstance(count, int) or count < 0:
        return 0
    try:
        with planned.part_path.open("rb") as file:
            is_same = file.read(len(planned.header)) == planned.header
        is_long_enough = planned.part_path.stat().st_size >= planned.ends[count]
    except (OSError, IndexError):
        return 0
    return count if is_same and is_long_enough else 0


def _finish(planned: PlannedFile, sha256: str, versions: Mapping[str, str]) -> None:
    """The record first: until the rename there is no file that it could speak for."""
    stat = planned.part_path.stat()
    record = Record(
        sha256=sha256,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        header_bytes=len(planned.header),
        header_sha256=planned.header_sha256,
        metadata=dict(planned.metadata),
        versions=dict(versions),
    )
    _write_json(record_path(planned.path), asdict(record))
    planned.part_path.replace(planned.path)
    _sync_folder(planned.path.parent)
    record_path(planned.part_path).unlink(missing_ok=True)


def _write_json(path: Path, value: object) -> None:
    aside = path.with_name(f"{path.name}.new")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _sync_folder(folder: Path) -> None:
    """A rename is sure once its folder is; Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(planned: PlannedFile) -> None:
    """Remove what stands in the way, so that its room counts as free."""
    for path in (planned.part_path, planned.path):
        path.unlink(missing_ok=True)
        record_path(path).unlink(missing_ok=True)


@contextmanager
def _disk_errors(planned: PlannedFile) -> Iterator[None]:
    """A full disk gives back what was written: the journal and the pictures need it more."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _discard(planned)
            raise DiskFullError(
                f"The disk of {planned.path.parent} became full, converted weights need {planned.size / 1e9:.1f} GB "
                "there: free some space, or run `python -m pixart_ui models prune`."
            ) from error
        raise CheckpointError(
            f"{planned.part_path} cannot be written ({error.strerror}): check the disk and its folder's permissions."
        ) from error
