"""Embeddings that were computed already, kept in RAM and on disk; a hit skips T5 altogether.

The key is strict: whatever could change a number is in it. Least recently used ones leave when a cache is full.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from pixart_ui.request import Numerics, Precision

DEFAULT_BYTES = 64 * 1024**2
DEFAULT_DISK_BYTES = 1024**3
# How long to wait for another process that writes; after that the embedding is not kept.
LOCK_SECONDS = 5.0
_NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingKey:
    """Everything that an embedding depends on. `encoder` is the hash of its weights, `versions` of what computes it.

    `scope` keeps those apart who must not learn what others asked for; empty where there is nobody else.
    """

    text: str
    encoder: str
    precision: Precision
    numerics: Numerics
    dtype: str
    device: str
    max_tokens: int
    clean_caption: bool
    versions: tuple[str, ...]
    scope: str = ""

    def as_json(self) -> str:
        values = asdict(self)
        if not self.scope:
            del values["scope"]  # as it was written before there were any
        return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Embedding:
    """A text's T5 states `[1, tokens, width]` and its mask `[1, tokens]` (1 = a real token), on the CPU.

    In `exact` numerics `tokens` is the family's limit, padding included; in `fast` it is the number of real tokens.
    """

    states: torch.Tensor
    mask: torch.Tensor

    @property
    def nbytes(self) -> int:
        return self.states.nbytes + self.mask.nbytes


class EmbeddingCache:
    """Size-capped LRUs of embeddings, RAM before disk. Used by the one thread that owns the device."""

    def __init__(self, disk: EmbeddingFiles | None = None, max_bytes: int = DEFAULT_BYTES) -> None:
        self._disk = disk
        self._max_bytes = max_bytes
        self._entries: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()
        self._bytes = 0

    def get(self, key: EmbeddingKey) -> Embedding | None:
        embedding = self._entries.get(key)
        if embedding is not None:
            self._entries.move_to_end(key)
        elif self._disk is not None and (embedding := self._disk.get(key)) is not None:
            self._remember(key, embedding)
        return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        self._remember(key, embedding)
        if self._disk is not None:
            self._disk.put(key, embedding)

    def path(self, key: EmbeddingKey) -> Path | None:
        """Where it is kept on disk, or would be."""
        return self._disk.path(key) if self._disk is not None else None

    def adopt(self, files: Mapping[str, bytes]) -> None:
        """Keep files that another cache of the same kind wrote, by their names."""
        for name, content in files.items():
            if self._disk is not None and _NAME.fullmatch(name):
                self._disk.write(name, content)

    def _remember(self, key: EmbeddingKey, embedding: Embedding) -> None:
        previous = self._entries.pop(key, None)
        self._bytes += embedding.nbytes - (previous.nbytes if previous is not None else 0)
        self._entries[key] = embedding
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.nbytes

    def __len__(self) -> int:
        return len(self._entries)


class EmbeddingFiles:
    """One small safetensors file an embedding, named by its key's hash; the time of change says when it was used.

    A cache only: a file that cannot be read, or a disk that cannot be written, costs no more than the time to encode.
    Several processes share it: whoever writes holds the lock, so that the total beside it is right and an unfinished
    file is nobody's any more.
    """

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_DISK_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._is_swept = False

    def get(self, key: EmbeddingKey) -> Embedding | None:
        """None where it is absent. A file that is not as it was written is removed."""
        path = self.path(key)
        try:
            content = path.read_bytes()  # no map: a file that is cut short under one would end the process
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("embedding %s is left aside: %s", path.name, error)
            return None
        found = _parse(content, key)
        if found is None:
            log.warning("embedding %s is not as it was written: it is removed", path.name)
            with suppress(OSError):
                path.unlink()
        return found

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        tensors = {"states": embedding.states.contiguous(), "mask": embedding.mask.contiguous()}
        content = save(tensors, metadata={"key": key.as_json(), "sha256": _sha256(embedding)})
        self.write(self.path(key).name, content)

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, whole or not at all."""
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "lock", timeout=LOCK_SECONDS):
                if not self._is_swept:
                    self._sweep()
                self._make_room(len(content))
                aside = path.with_suffix(f".{os.getpid()}.part")
                aside.write_bytes(content)
                aside.replace(path)
        except (OSError, Timeout) as error:
            log.warning("embedding %s is not kept: %s", path.name, error)

    def _sweep(self) -> None:
        """Remove what writers left that were killed."""
        for path in self._folder.glob("*.part"):
            path.unlink(missing_ok=True)
        self._is_swept = True

    def _make_room(self, added_bytes: int) -> None:
        """Remove the least recently used ones, a tenth more than is needed, so that it is not done each time.

        The total is written before the file is: after a kill between the two it is too large, and counted anew sooner.
        """
        total = self._known_total()
        if total is None or total + added_bytes > self._max_bytes:
            total = self._trim(added_bytes)
        self._total_path.write_text(str(total + added_bytes), encoding="ascii")

    def _trim(self, added_bytes: int) -> int:
        """Count what is there, and remove until the new one fits; the bytes that stay."""
        self._sweep()
        files = [(path.stat(), path) for path in self._folder.glob("*.safetensors")]
        total = sum(stat.st_size for stat, _ in files)
        if total + added_bytes <= self._max_bytes:
            return total
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if total + added_bytes <= self._max_bytes * 9 // 10:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size
        return total

    def _known_total(self) -> int | None:
        """What all files were the last time, None where it has to be counted."""
        try:
            total = int(self._total_path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return total if total >= 0 else None

    @property
    def _total_path(self) -> Path:
        return self._folder / "total"

    def path(self, key: EmbeddingKey) -> Path:
        return self._folder / f"{hashlib.sha256(key.as_json().encode()).hexdigest()}.safetensors"


def _parse(content: bytes, key: EmbeddingKey) -> Embedding | None:
    """What a file holds; None where anything of it is not as it was written."""
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors = load(content)
        found = Embedding(tensors["states"], tensors["mask"])
        is_whole = metadata["key"] == key.as_json() and metadata["sha256"] == _sha256(found)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if is_whole else None


def _sha256(embedding: Embedding) -> str:
    """Of the numbers and their shapes: a bit that a disk lost must not become a picture."""
    digest = hashlib.sha256(f"{tuple(embedding.states.shape)}{tuple(embedding.mask.shape)}".encode())
    for tensor in (embedding.states, embedding.mask):
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
