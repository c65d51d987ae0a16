"""Opens a group: finds the files, sees what is to be encoded, and plans. Nothing is drawn here.

What takes as long as a step and stays the same from one group to the next is kept: the tokenizer, the schedulers as
they are before their first step, and the sizes of weights that are prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixart_ui import __version__
from pixart_ui.catalog import Component
from pixart_ui.engine import compiling, memory, planner, schedulers, shapes
from pixart_ui.engine.components import Components, as_checkpoint_error, load_tokenizer
from pixart_ui.engine.device import Device
from pixart_ui.engine.embeddings import Embedding, EmbeddingCache, EmbeddingKey
from pixart_ui.engine.encode import TextCleaner, tokenize
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.group import Group, Texts, embedding_key
from pixart_ui.engine.known_text import KnownText
from pixart_ui.engine.planning import Planning
from pixart_ui.engine.precision import require_transformer
from pixart_ui.engine.previews import latent_rgb
from pixart_ui.events import LatentArray, PhasePlan, Plan
from pixart_ui.request import ResolvedRequest, Scheduler

if TYPE_CHECKING:
    from pixart_ui.hub import Located

Locate = Callable[[str], "Located"]
Hashes = Callable[["Located"], Mapping[str, str]]


def _versions() -> dict[str, str]:
    found = {"pixart-ui": __version__}
    for package in ("torch", "diffusers", "transformers", "bitsandbytes"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@dataclass
class Opening:
    """Belongs to one engine. `locate` finds a checkpoint's folders, `hashes` names their content.

    `checkpoint` is the last group's; `versions` are those of everything that has a say in a picture's numbers.
    """

    device: Device
    locate: Locate
    hashes: Hashes
    components: Components
    embeddings: EmbeddingCache
    planning: Planning
    checkpoint: str = ""
    versions: Mapping[str, str] = field(default_factory=_versions)
    _cleaner: TextCleaner = field(default_factory=TextCleaner)
    _tokenizers: dict[Path, Any] = field(default_factory=dict)
    _schedulers: dict[tuple[Scheduler, Path, bytes], Any] = field(default_factory=dict)
    _shapes: dict[WeightSource, shapes.ComponentShape] = field(default_factory=dict)

    def open(
        self,
        requests: Sequence[ResolvedRequest],
        latents: Mapping[int, LatentArray] | None = None,
        forced: Forced | None = None,
        scopes: Sequence[str] = (),
    ) -> Group:
        """Drop what another checkpoint left on the device, and plan. Raises what `Engine.run` raises."""
        first = requests[0]
        require_transformer(first.transformer_precision, self.device)
        if first.compile_blocks:
            compiling.require(self.device)
        located = self.locate(first.checkpoint)
        hashes = self.hashes(located)
        sources = {
            component: WeightSource.of(component, located.folders[component], first, hashes[component])
            for component in shapes.WEIGHTS
        }
        wanted = {request.scheduler for request in requests}
        found = {scheduler: self._scheduler(scheduler, located.folders["scheduler"]) for scheduler in wanted}
        self.components.keep_only(sources.values())
        self.checkpoint = first.checkpoint
        group = Group(
            requests=requests,
            texts=[self._texts(request) for request in requests],
            located=located,
            hashes=hashes,
            sources=sources,
            shapes={component: self._shape(located, component, source) for component, source in sources.items()},
            schedulers=found,
            rgb=latent_rgb(located.folders["vae"], first.family),
            embeddings={},
            missing=[],
            num_tokens=0,
            plan=Plan(()),
            latents={} if latents is None else latents,
            forced=forced,
            scopes=scopes,
        )
        self._see_texts(group)
        self._plan(group)
        return group

    def following(self, group: Group, requests: Sequence[ResolvedRequest], scopes: Sequence[str]) -> Group:
        """Requests that share what that group shares, as far as to know which of their texts are to be encoded."""
        texts = [self._texts(request) for request in requests]
        found = replace(group, requests=requests, texts=texts, scopes=scopes, embeddings={}, missing=[], latents={})
        self._see_texts(found)
        return found

    def may_look_ahead(self, group: Group) -> bool:
        """Whether it is worth to ask what comes next: nothing of the plan rules out what `look_ahead` would plan."""
        return self.device.is_cuda and group.forced is None and planner.may_look_ahead(group.plan, group.precision)

    def look_ahead(self, group: Group, index: int, following: Group, steps_left: int) -> tuple[Plan, PhasePlan] | None:
        """How to encode the texts of the following group beside a picture's steps; see `planner.look_ahead`."""
        demand, there = group.demand(index), self.components.on_device_now()
        return self.planning.look_ahead(demand, following.demand(), group.plan, steps_left, there)

    def keep(self, group: Group, text: str, embedding: Embedding) -> None:
        """In the cache, for all scopes that ask for it."""
        for key in self.embedding_keys(group, text):
            self.embeddings.put(key, embedding)

    def embedding_keys(self, group: Group, text: str) -> list[EmbeddingKey]:
        """One for each scope that the text is asked for in."""
        key = self._key(group.requests[0], text, group.hashes)
        return [replace(key, scope=scope) for scope in group.scopes_of(text)]

    def known_text(self, request: ResolvedRequest) -> KnownText | None:
        """The embedding of its prompt that is kept, with the words of its tokens; None where none is."""
        located = self.locate(request.checkpoint)
        key = self._key(request, self._texts(request).prompt, self.hashes(located))
        embedding = self.embeddings.get(key)
        if embedding is None:
            return None
        tokenizer = self._tokenizer(located.folders["tokenizer"])
        return KnownText.of(embedding, tokenize(key.text, tokenizer, request.max_tokens, request.numerics), tokenizer)

    def embedding_paths(self, requests: Sequence[ResolvedRequest], scopes: Sequence[str] = ()) -> list[Path]:
        """Where the embeddings of their texts are kept on disk, or would be. Raises CheckpointError."""
        hashes = self.hashes(self.locate(requests[0].checkpoint))
        owners = scopes if scopes else [""] * len(requests)
        pairs = [
            (text, scope) for request, scope in zip(requests, owners, strict=True) for text in self._texts(request)
        ]
        keys = [replace(self._key(requests[0], text, hashes), scope=scope) for text, scope in dict.fromkeys(pairs)]
        return [path for key in keys if (path := self.embeddings.path(key)) is not None]

    def _key(self, request: ResolvedRequest, text: str, hashes: Mapping[str, str]) -> EmbeddingKey:
        return embedding_key(
            request,
            text,
            hashes,
            dtype=str(self.device.compute_dtype(request.precision)),
            device=self.device.torch_device.type,
            versions=self.versions,
        )

    def _see_texts(self, group: Group) -> None:
        """Which texts the cache holds, and the tokens of the others; a picture that has its latents needs none."""
        first, tokenizer = group.requests[0], self._tokenizer(group.located.folders["tokenizer"])
        tokens = {
            text: tokenize(text, tokenizer, first.max_tokens, first.numerics)
            for text in dict.fromkeys(text for pair in group.texts for text in pair)
        }
        undrawn = [pair for index, pair in enumerate(group.texts) if index not in group.latents]
        for text in dict.fromkeys(text for pair in undrawn for text in pair):
            is_measured = group.forced is not None
            kept = [] if is_measured else [self.embeddings.get(key) for key in self.embedding_keys(group, text)]
            if kept and kept[0] is not None and all(embedding is not None for embedding in kept):
                group.embeddings[text] = kept[0]
            else:
                group.missing.append(tokens[text])
        group.num_tokens = max(found.count for found in (group.missing or tokens.values()))

    def _plan(self, group: Group) -> None:
        components, planning = self.components, self.planning
        if not self.device.is_roomy:
            components.warm_up.wait()  # it takes memory that is not ours to plan with
        memory.cap(self.device, self.device.budget_bytes)
        limits = planning.limits(components.on_device_now(), components.kept_bytes())  # once: it asks the system
        if group.forced is not None:
            tile = planner.decode_tile(group.demand(), group.forced.limits(limits))
            group.tiles = [tile] * len(group.requests)
            group.plan = group.forced.plan(group.demand(), limits)
            return
        group.tiles = [planner.decode_tile(group.demand(index), limits) for index in range(len(group.requests))]
        group.plan = planner.choose_plan(group.demand(), limits)

    def _tokenizer(self, folder: Path) -> Any:
        if folder not in self._tokenizers:
            self._tokenizers = {folder: load_tokenizer(folder)}
        return self._tokenizers[folder]

    def _scheduler(self, scheduler: Scheduler, folder: Path) -> Any:
        """Before its first step: to be copied. Raises CheckpointError."""
        with as_checkpoint_error(folder):
            key = scheduler, folder, (folder / "scheduler_config.json").read_bytes()
            if key not in self._schedulers:
                self._schedulers[key] = schedulers.build(scheduler, folder)
        return self._schedulers[key]

    def _shape(self, located: Located, component: Component, source: WeightSource) -> shapes.ComponentShape:
        """Sizes on the device, from headers; those of the published component where files are pickled."""
        if source not in self._shapes or not self.components.is_prepared(source):
            self._shapes[source] = self._shape_from_files(located, component, source)
        return self._shapes[source]

    def _shape_from_files(self, located: Located, component: Component, source: WeightSource) -> shapes.ComponentShape:
        is_cpu, checkpoint = not self.device.is_cuda, located.checkpoint
        if entries := source.entries():
            return shapes.shape_of(
                component,
                shapes.tensors_of(entries),
                source.precision,
                is_cpu=is_cpu,
                sample_size=checkpoint.sample_size,
                transformer_precision=source.whole,
            )
        published = shapes.published_shapes(
            checkpoint, source.precision, is_cpu=is_cpu, transformer_precision=source.whole
        )
        return published[component]

    def _texts(self, request: ResolvedRequest) -> Texts:
        prompt = self._cleaner.clean(request.full_prompt, request.clean_caption)
        if not request.is_guided:
            return Texts(prompt, None)
        return Texts(prompt, self._cleaner.clean(request.full_negative_prompt, request.clean_caption))
