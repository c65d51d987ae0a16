"""Phase one: text to embeddings, each text as its own sequence.

`exact` pads to the family's token limit as the stock pipelines do; `fast` encodes the real tokens only, since the mask
hides the padding from T5 and from the transformer alike. Neither depends on what else is in the queue.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import PixArtAlphaPipeline

from pixart_ui.engine.embeddings import Embedding
from pixart_ui.request import Numerics


class TextCleaner:
    """The caption cleaning of the stock pipelines (lower case, HTML and links removed), which both families share."""

    def __init__(self) -> None:
        self._pipeline = PixArtAlphaPipeline(
            tokenizer=None, text_encoder=None, vae=None, transformer=None, scheduler=None
        )

    def clean(self, text: str, clean_caption: bool) -> str:
        return str(self._pipeline._text_preprocessing(text, clean_caption=clean_caption)[0])


@torch.no_grad()
def encode(text: str, tokenizer: Any, text_encoder: Any, max_tokens: int, numerics: Numerics) -> Embedding:
    """Encode a cleaned text. The states have the text encoder's dtype; shapes as in `Embedding`."""
    tokens = tokenizer(
        text,
        padding="max_length" if numerics is Numerics.EXACT else False,
        max_length=max_tokens,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    )
    mask = tokens.attention_mask.to(text_encoder.device)
    states = text_encoder(tokens.input_ids.to(text_encoder.device), attention_mask=mask)[0]
    return Embedding(states.to(text_encoder.dtype).cpu(), mask.cpu())


def pad_to(embedding: Embedding, num_tokens: int) -> Embedding:
    """Add masked zeros at the end, so that two texts of different length can share a batch."""
    missing = num_tokens - embedding.mask.shape[1]
    return Embedding(
        torch.nn.functional.pad(embedding.states, (0, 0, 0, missing)),
        torch.nn.functional.pad(embedding.mask, (0, missing)),
    )
