"""Embeddings that were computed already, kept in RAM; a hit skips T5 altogether.

The key is strict: whatever could change a number is in it. Least recently used ones leave when the cache is full.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch

from pixart_ui.request import Numerics, Precision

DEFAULT_BYTES = 64 * 1024**2


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
    """A size-capped LRU of embeddings. Used by the one thread that owns the device."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()
        self._bytes = 0

    def get(self, key: EmbeddingKey) -> Embedding | None:
        embedding = self._entries.get(key)
        if embedding is not None:
            self._entries.move_to_end(key)
        return embedding

    def put(self, key: EmbeddingKey, embedding: Embedding) -> None:
        previous = self._entries.pop(key, None)
        self._bytes += embedding.nbytes - (previous.nbytes if previous is not None else 0)
        self._entries[key] = embedding
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.nbytes

    def __len__(self) -> int:
        return len(self._entries)
