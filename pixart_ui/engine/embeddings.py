"""Embeddings that were computed already, kept in RAM and on disk; a hit skips T5 altogether.

The key is strict: whatever could change a number is in it. Least recently used ones leave when a cache is full.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pixart_ui.request import Numerics, Precision

DEFAULT_BYTES = 64 * 1024**2
DEFAULT_DISK_BYTES = 1024**3
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingKey:
    """Everything that an embedding depends on. `encoder` is the hash of its weights, `versions` of what computes it."""

    text: str
    encoder: str
    precision: Precision
    numerics: Numerics
    dtype: str
    device: str
    max_tokens: int
    clean_caption: bool
    versions: tuple[str, ...]

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


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
    """

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_DISK_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._known_bytes: int | None = None

    def get(self, key: EmbeddingKey) -> Embedding | None:
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                # Copies: a file that is cut short under a map would end the process.
                found = Embedding(file.get_tensor("states").clone(), file.get_tensor("mask").clone())
            if metadata.get("key") != key.as_json() or metadata.get("sha256") != _sha256(found):
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            log.warning("embedding %s is left aside: %s", path.name, error)
            return None
        return found

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        path = self._path(key)
        aside = path.with_suffix(f".{os.getpid()}.part")
        tensors = {"states": embedding.states.contiguous(), "mask": embedding.mask.contiguous()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, aside, metadata={"key": key.as_json(), "sha256": _sha256(embedding)})
            aside.replace(path)
            self._make_room(path.stat().st_size)
        except (OSError, SafetensorError) as error:
            log.warning("embedding %s is not kept: %s", path.name, error)
            aside.unlink(missing_ok=True)

    def _make_room(self, added_bytes: int) -> None:
        """Remove the least recently used ones, a tenth more than is needed, so that it is not done each time."""
        if self._known_bytes is not None and self._known_bytes + added_bytes <= self._max_bytes:
            self._known_bytes += added_bytes
            return
        files = [(path.stat(), path) for path in self._folder.glob("*.safetensors")]
        total = sum(stat.st_size for stat, _ in files)
        allowed = self._max_bytes if total <= self._max_bytes else self._max_bytes * 9 // 10
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if total <= allowed:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size
        self._known_bytes = total

    def _path(self, key: EmbeddingKey) -> Path:
        return self._folder / f"{hashlib.sha256(key.as_json().encode()).hexdigest()}.safetensors"


def _sha256(embedding: Embedding) -> str:
    """Of the numbers and their shapes: a bit that a disk lost must not become a picture."""
    digest = hashlib.sha256(f"{tuple(embedding.states.shape)}{tuple(embedding.mask.shape)}".encode())
    for tensor in (embedding.states, embedding.mask):
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
