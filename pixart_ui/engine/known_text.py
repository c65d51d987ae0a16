"""An embedding as others may look at it: NumPy arrays, and the words that its tokens stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pixart_ui.engine.embeddings import Embedding
from pixart_ui.engine.encode import Tokens


@dataclass(frozen=True)
class KnownText:
    """`states` is `[tokens, width]` in fp32; `mask` `[tokens]` is 1 for a real token, and `tokens` names those."""

    states: npt.NDArray[Any]
    mask: npt.NDArray[Any]
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, embedding: Embedding, tokens: Tokens, tokenizer: Any) -> KnownText:
        mask = embedding.mask[0].numpy()
        real = tokens.ids[0][tokens.mask[0].bool()].tolist()
        words = tuple(str(word).replace("▁", " ").strip() or "▁" for word in tokenizer.convert_ids_to_tokens(real))
        return cls(embedding.states[0].float().numpy(), mask, words)
