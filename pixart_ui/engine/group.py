"""What the pictures of one run share: checkpoint, precision, numerics, compiling, texts, plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pixart_ui.catalog import Component
from pixart_ui.engine.costs import Demand
from pixart_ui.engine.embeddings import Embedding, EmbeddingKey
from pixart_ui.engine.encode import Tokens
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.previews import LatentRgb
from pixart_ui.engine.shapes import ComponentShape
from pixart_ui.events import LatentArray, Phase, Plan
from pixart_ui.request import Precision, ResolvedRequest, Scheduler

if TYPE_CHECKING:
    from pixart_ui.hub import Located


@dataclass(frozen=True)
class Texts:
    """A request's two texts after cleaning; `negative` is None where guidance is off."""

    prompt: str
    negative: str | None

    def __iter__(self) -> Any:
        return iter([self.prompt] if self.negative is None else [self.prompt, self.negative])


@dataclass
class Group:
    """Requests that share checkpoint, precisions, numerics and compiling, with everything that was decided for them.

    `embeddings` fills while texts are encoded. `tiles` are the pieces that each picture is decoded in. `plan` is
    replaced when a phase runs out of memory; `notes` says so. `latents` are those that an earlier run made already.
    `scopes` are those of the requests' embeddings in the cache; none where all share them. While a picture
    `is_decoding` beside the next one's steps it is not told of yet; `decoded_at` is when the last such one was there.
    While texts of the next group are encoded beside the last picture's steps, `plan_alone` is the plan without that.
    """

    requests: Sequence[ResolvedRequest]
    texts: Sequence[Texts]
    located: Located
    hashes: Mapping[str, str]
    sources: Mapping[Component, WeightSource]
    shapes: Mapping[Component, ComponentShape]
    schedulers: Mapping[Scheduler, Any]
    rgb: LatentRgb
    embeddings: dict[str, Embedding]
    missing: list[Tokens]
    num_tokens: int
    plan: Plan
    latents: Mapping[int, LatentArray] = field(default_factory=dict)
    forced: Forced | None = None
    scopes: Sequence[str] = ()
    kernel: str = ""
    blocks: str = ""
    is_cap_lifted: bool = False
    has_run_out: bool = False
    is_tile_lowered: bool = False
    is_decoding: bool = False
    looks_ahead: bool = True
    plan_alone: Plan | None = None
    decoded_at: float = 0.0
    tiles: list[int | None] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def precision(self) -> Precision:
        return self.requests[0].precision

    @property
    def has_fixed_residency(self) -> bool:
        return self.forced is not None and self.forced.residency is not None

    def scopes_of(self, text: str) -> list[str]:
        """Whose requests have that text."""
        if not self.scopes:
            return [""]
        owning = [scope for scope, texts in zip(self.scopes, self.texts, strict=True) if text in list(texts)]
        return list(dict.fromkeys(owning))

    def plan_of(self, index: int) -> Plan:
        """The plan with the picture's own decode tile, or the smaller one that memory was enough for."""
        tile = self.tiles[index]
        if self.is_tile_lowered:
            planned = self.plan.phase(Phase.DECODE).tile
            tile = min((tile, planned), key=lambda tile: math.inf if tile is None else tile)
        entries = tuple(
            replace(entry, tile=tile) if entry.phase is Phase.DECODE else entry for entry in self.plan.phases
        )
        return replace(self.plan, phases=entries)

    def is_decoded_beside(self, index: int) -> bool:
        """Whether that picture's pixels are made while the next one is denoised.

        The next one must be like it, so that what its first steps need has just worked: no weights that come, nothing
        to compile, no kernel that meets its size for the first time.
        """
        is_planned = self.plan.phase(Phase.DECODE).is_beside and self.plan_of(index) == self.plan
        if not is_planned or index + 1 == len(self.requests) or {index, index + 1} & set(self.latents):
            return False
        own, following = (
            (request.bin_width, request.bin_height, request.is_guided) for request in self.requests[index : index + 2]
        )
        return own == following

    def demand(self, index: int | None = None) -> Demand:
        """The group in numbers: its largest picture stands for all, or the one at `index`."""
        wanted = self.requests if index is None else self.requests[index : index + 1]
        largest = max(wanted, key=lambda request: request.bin_width * request.bin_height)
        return Demand(
            shapes=self.shapes,
            width=largest.bin_width,
            height=largest.bin_height,
            steps=largest.steps,
            is_guided=any(request.is_guided for request in wanted),
            num_images=len(self.requests),
            num_texts=len(self.missing),
            num_tokens=self.num_tokens,
            precision=self.precision,
            numerics=largest.numerics,
            transformer_precision=largest.transformer_precision,
        )


def embedding_key(
    request: ResolvedRequest,
    text: str,
    hashes: Mapping[str, str],
    *,
    dtype: str,
    device: str,
    versions: Mapping[str, str],
) -> EmbeddingKey:
    """The strict key of a cleaned text for requests like this one."""
    return EmbeddingKey(
        text=text,
        encoder=f"{hashes.get('tokenizer', '')}/{hashes['text_encoder']}",
        precision=request.precision,
        numerics=request.numerics,
        dtype=dtype,
        device=device,
        max_tokens=request.max_tokens,
        clean_caption=request.clean_caption,
        versions=tuple(versions.values()),
    )
