"""Whether a file can be what its name says, found quickly: headers, lengths and JSON, never every byte.

A file that was cut short or overwritten with something else is found here, before anything maps it: a map of a file
that ends early kills the process that reads it. Answers are remembered by size and time: asking again is a stat.
"""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 100_000_000  # what safetensors itself allows


class Damage(Exception):
    """What is wrong with a file, as a phrase that follows its name."""


@dataclass(frozen=True)
class _Stamp:
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class _Answer:
    damage: str | None
    names: frozenset[str]


class Contents:
    """Checks files; safe to use from several threads."""

    def __init__(self) -> None:
        self._answers: dict[Path, tuple[_Stamp, _Answer]] = {}

    def damage(self, path: Path) -> str | None:
        """What is wrong with the file, as a phrase that follows its name; None if nothing can be seen."""
        return self._answer(path).damage

    def index_damage(self, index: Path) -> tuple[Path, str] | None:
        """The file that does not keep what the index promises, and what is wrong with it."""
        damage = self.damage(index)
        if damage is not None:
            return index, damage
        weight_map = json.loads(index.read_text(encoding="utf-8")).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            return index, "has no weight_map"
        for tensor, name in weight_map.items():
            if not isinstance(name, str) or Path(name).name != name:
                return index, "names a file outside its folder"
            shard = index.parent / name
            if not shard.is_file():
                return shard, "is missing"
            answer = self._answer(shard)
            if answer.damage is None and shard.suffix == ".safetensors" and tensor not in answer.names:
                return shard, f"lacks the tensor {tensor[:80]}, which its index promises"
        return None

    def _answer(self, path: Path) -> _Answer:
        try:
            stat = path.stat()
            stamp = _Stamp(stat.st_size, stat.st_mtime_ns)
            known = self._answers.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            answer = _Answer(None, _names(path, stamp.size))
        except FileNotFoundError:
            return _Answer("is missing", frozenset())
        except OSError as error:
            return _Answer(f"cannot be read ({error.strerror})", frozenset())
        except Damage as damage:
            answer = _Answer(str(damage), frozenset())
        self._answers[path] = (stamp, answer)
        return answer


def _names(path: Path, size: int) -> frozenset[str]:
    """The tensors of a safetensors file; nothing for other files. Raises Damage, OSError."""
    if size == 0:
        raise Damage("is empty")
    if path.suffix == ".safetensors":
        return _tensor_names(path, size)
    if path.suffix == ".json":
        _check_json(path)
    elif path.suffix == ".model":
        _check_sentencepiece(path)
    elif path.suffix == ".bin":
        _check_pickle(path)
    return frozenset()


def _tensor_names(path: Path, size: int) -> frozenset[str]:
    with path.open("rb") as file:
        start = file.read(8)
        header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= header_bytes <= MAX_HEADER_BYTES:
            raise Damage("is not a safetensors file")
        if header_bytes + 8 > size:
            raise Damage(f"is cut short: it ends after {size:,} bytes, inside its header")
        try:
            header = json.loads(file.read(header_bytes))
            tensors = {name: value["data_offsets"] for name, value in header.items() if name != "__metadata__"}
            end = _end_of_data(tensors)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Damage("is not a safetensors file: its header cannot be read") from None
    promised = 8 + header_bytes + end
    if size != promised:
        what = "is cut short" if size < promised else "is too long"
        raise Damage(f"{what}: it has {size:,} bytes, its header says {promised:,}")
    return frozenset(tensors)


def _end_of_data(tensors: dict[str, Any]) -> int:
    """Where the last tensor ends; the tensors lie one after the other without a hole. Raises ValueError."""
    end = 0
    for begin, stop in sorted((int(begin), int(stop)) for begin, stop in tensors.values()):
        if begin != end or stop < begin:
            raise ValueError("tensors overlap or leave a hole")
        end = stop
    return end


def _check_json(path: Path) -> None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise Damage("is not readable JSON") from None
    if not isinstance(value, dict):
        raise Damage("is not a JSON object")


def _check_sentencepiece(path: Path) -> None:
    """Walk the top fields of the protobuf: they must end exactly where the file ends."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key >> 3 == 0 or key & 7 != 2:
            raise Damage("is not a SentencePiece model")
        length, at = _varint(data, at)
        at += length
    if at != len(data):
        raise Damage("is cut short: its last entry runs past its end")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damage("is not a SentencePiece model")


def _check_pickle(path: Path) -> None:
    """torch.save writes a zip, whose directory is at the end; before 2020 a bare pickle."""
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK":
        if not zipfile.is_zipfile(path):
            raise Damage("is cut short: the directory at its end is missing")
    elif start != b"\x80\x02":
        raise Damage("is not a file of PyTorch weights")
