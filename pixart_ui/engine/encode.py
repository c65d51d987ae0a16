"""Phase one: text to embeddings, each text as its own sequence.

`exact` pads to the family's token limit as the stock pipelines do; `fast` encodes the real tokens only, since the mask
hides the padding from T5 and from the transformer alike. Neither depends on what else is in the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import PixArtAlphaPipeline

from pixart_ui.engine.components import Loaded
from pixart_ui.engine.costs import texts_a_pass
from pixart_ui.engine.embeddings import Embedding
from pixart_ui.engine.paged import ByUnit
from pixart_ui.request import Numerics


class TextCleaner:
    """The caption cleaning of the stock pipelines (lower case, HTML and links removed), which both families share."""

    def __init__(self) -> None:
        self._pipeline = PixArtAlphaPipeline(
            tokenizer=None, text_encoder=None, vae=None, transformer=None, scheduler=None
        )

    def clean(self, text: str, clean_caption: bool) -> str:
        return str(self._pipeline._text_preprocessing(text, clean_caption=clean_caption)[0])


@dataclass(frozen=True)
class Tokens:
    """A cleaned text's ids and mask, both `[1, tokens]`, on the CPU."""

    text: str
    ids: torch.Tensor
    mask: torch.Tensor

    @property
    def count(self) -> int:
        return int(self.ids.shape[1])


def tokenize(text: str, tokenizer: Any, max_tokens: int, numerics: Numerics) -> Tokens:
    """Tokens of a cleaned text, cut at the family's limit; padded to it in `exact`."""
    found = tokenizer(
        text,
        padding="max_length" if numerics is Numerics.EXACT else False,
        max_length=max_tokens,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    )
    return Tokens(text, found.input_ids, found.attention_mask)


@torch.no_grad()
def encode(texts: Sequence[Tokens], encoder: Loaded, device: torch.device) -> Iterator[Embedding]:
    """Encode texts in their order, as many side by side as one pass takes. Shapes as in `Embedding`."""
    module = encoder.module
    count = texts_a_pass(max(tokens.count for tokens in texts))
    for start in range(0, len(texts), count):
        some = texts[start : start + count]
        for tokens, states in zip(some, encoder.run([_call(module, tokens, device) for tokens in some]), strict=True):
            yield _embedding(tokens, states, module)


@torch.no_grad()
def encode_by_unit(texts: Sequence[Tokens], encoder: Loaded, device: torch.device) -> ByUnit[list[Embedding]]:
    """The same for texts of a single pass, with a pause before each part of T5; see `Paged.run_by_unit`."""
    module = encoder.module
    found = yield from encoder.run_by_unit([_call(module, tokens, device) for tokens in texts])
    return [_embedding(tokens, states, module) for tokens, states in zip(texts, found, strict=True)]


def _embedding(tokens: Tokens, states: torch.Tensor, module: Any) -> Embedding:
    return Embedding(states.to(module.dtype).cpu(), tokens.mask)


def _call(module: Any, tokens: Tokens, device: torch.device) -> Callable[[], torch.Tensor]:
    def call() -> torch.Tensor:
        states: torch.Tensor = module(tokens.ids.to(device), attention_mask=tokens.mask.to(device))[0]
        return states

    return call


def pad_to(embedding: Embedding, num_tokens: int) -> Embedding:
    """Add masked zeros at the end, so that two texts of different length can share a batch."""
    missing = num_tokens - embedding.mask.shape[1]
    return Embedding(
        torch.nn.functional.pad(embedding.states, (0, 0, 0, missing)),
        torch.nn.functional.pad(embedding.mask, (0, missing)),
    )
