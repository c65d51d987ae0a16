"""Which files a component needs, decided from file names alone: the same rule for a listing of the Hub and a folder.

Weights come as one file or as numbered shards with an index, in safetensors or (older) `.bin`, and sometimes in a
variant such as `fp16`. Exactly one set is chosen: safetensors before `.bin`, the plain set before a variant, one file
before shards, as diffusers and transformers would.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from pixart_ui.catalog import Component

CONFIG: Final = "config.json"
SCHEDULER_CONFIG: Final = "scheduler_config.json"
MODEL_INDEX: Final = "model_index.json"
VOCABULARIES: Final = ("spiece.model", "tokenizer.json")
TOKENIZER_EXTRAS: Final = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

_WEIGHTS = re.compile(
    r"(?P<stem>model|pytorch_model|diffusion_pytorch_model)"
    r"(?:\.(?P<variant>[A-Za-z0-9_]+))?"
    r"(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
    r"(?:\.(?P<late_variant>[A-Za-z0-9_]+))?"
    r"\.(?P<format>safetensors|bin)"
)


@dataclass(frozen=True)
class Needed:
    """The files that make a component work. `missing` names the first one that is not there, in words.

    `defining` are the files that decide the component's output and therefore its hash. `variant` is the word that
    diffusers and transformers must be given to load them, if they are not the plain ones.
    """

    files: tuple[str, ...]
    defining: tuple[str, ...]
    index: str | None = None
    missing: str | None = None
    variant: str | None = None

    @property
    def is_pickled(self) -> bool:
        return any(name.endswith(".bin") for name in self.defining)


def needed(component: Component, names: Collection[str]) -> Needed:
    """Choose from `names`, the plain file names in the component's folder."""
    if component == "tokenizer":
        vocabularies = tuple(name for name in VOCABULARIES if name in names)
        extras = tuple(name for name in TOKENIZER_EXTRAS if name in names)
        return Needed(vocabularies + extras, vocabularies, missing=None if vocabularies else " or ".join(VOCABULARIES))
    if component == "scheduler":
        there = (SCHEDULER_CONFIG,) if SCHEDULER_CONFIG in names else ()
        return Needed(there, there, missing=None if there else SCHEDULER_CONFIG)
    return _model(names)


def _model(names: Collection[str]) -> Needed:
    sets = _weight_sets(names)
    best = min(sets, default=None)
    if best is None:
        return Needed((), (), missing=CONFIG if CONFIG not in names else "the weights (model.safetensors)")
    files = tuple(sorted(sets[best].files))
    missing = _absent_shard(sets[best])
    index = None
    if best.is_sharded:
        index_name = best.index_name
        index = index_name if index_name in names else None
        missing = missing if missing is not None or index is not None else index_name
    if CONFIG not in names:
        missing = CONFIG
    around = tuple(name for name in (CONFIG, index) if name is not None and name in names)
    return Needed(around + files, files, index, missing, best.variant or None)


@dataclass(frozen=True, order=True)
class _Kind:
    """One way the weights are stored; sorts by preference."""

    is_bin: bool
    variant: str
    is_sharded: bool
    stem: str

    @property
    def index_name(self) -> str:
        variant = f".{self.variant}" if self.variant else ""
        return f"{self.stem}.{'bin' if self.is_bin else 'safetensors'}.index{variant}.json"


@dataclass
class _Set:
    files: list[str] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    count: int = 1
    last: str = ""


def _weight_sets(names: Collection[str]) -> dict[_Kind, _Set]:
    sets: dict[_Kind, _Set] = {}
    for name in names:
        match = _WEIGHTS.fullmatch(name)
        if match is None:
            continue
        kind = _Kind(
            is_bin=match["format"] == "bin",
            variant=match["variant"] or match["late_variant"] or "",
            is_sharded=match["number"] is not None,
            stem=match["stem"],
        )
        found = sets.setdefault(kind, _Set())
        found.files.append(name)
        found.last = max(found.last, name)
        if kind.is_sharded:
            found.numbers.add(int(match["number"]))
            found.count = max(found.count, int(match["count"]))
    return sets


def _absent_shard(found: _Set) -> str | None:
    """The name of the first shard that is not there."""
    if not found.numbers:
        return None
    absent = next((number for number in range(1, found.count + 1) if number not in found.numbers), None)
    return None if absent is None else re.sub(r"\d{5}(?=-of-)", f"{absent:05d}", found.last)
