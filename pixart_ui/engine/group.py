"""What the pictures of one run share: checkpoint, precision, numerics, plan, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixart_ui.catalog import Component
from pixart_ui.engine.components import Source
from pixart_ui.engine.embeddings import EmbeddingKey
from pixart_ui.engine.previews import LatentRgb
from pixart_ui.events import Plan
from pixart_ui.request import Numerics, Precision, ResolvedRequest

if TYPE_CHECKING:
    from pixart_ui.hub import Located


@dataclass(frozen=True)
class Texts:
    """A request's two texts after cleaning; `negative` is None where guidance is off."""

    prompt: str
    negative: str | None

    def __iter__(self) -> Any:
        return iter([self.prompt] if self.negative is None else [self.prompt, self.negative])


@dataclass(frozen=True)
class Group:
    """Requests that share checkpoint, precision and numerics, with everything that was decided for them."""

    requests: Sequence[ResolvedRequest]
    texts: Sequence[Texts]
    located: Located
    hashes: Mapping[str, str]
    sources: Mapping[Component, Source]
    weight_bytes: Mapping[Component, int]
    plan: Plan
    tokenizer: Any
    rgb: LatentRgb

    @property
    def precision(self) -> Precision:
        return self.requests[0].precision

    @property
    def numerics(self) -> Numerics:
        return self.requests[0].numerics

    @property
    def max_tokens(self) -> int:
        return self.requests[0].max_tokens

    def embedding_key(self, text: str, dtype: str, device: str, versions: Mapping[str, str]) -> EmbeddingKey:
        return EmbeddingKey(
            text=text,
            encoder=f"{self.hashes.get('tokenizer', '')}/{self.hashes['text_encoder']}",
            precision=self.precision,
            numerics=self.numerics,
            dtype=dtype,
            device=device,
            max_tokens=self.max_tokens,
            clean_caption=self.requests[0].clean_caption,
            versions=tuple(versions.values()),
        )
