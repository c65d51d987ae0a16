"""The engine: resolved requests in, events out.

`run` reads as its verbs: encode every text of a group first, so that T5 is on the device once; then denoise and decode
picture by picture, so that the first one comes early. It knows no page, no journal and no owner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from PIL import Image

from pixart_ui import __version__
from pixart_ui.catalog import COMPONENTS, Component
from pixart_ui.engine import planner, previews, schedulers, sizes
from pixart_ui.engine.clock import PhaseClock, out_of_memory_as_sentence
from pixart_ui.engine.components import Components, Source, as_checkpoint_error, load_tokenizer
from pixart_ui.engine.decode import decode
from pixart_ui.engine.denoise import denoise
from pixart_ui.engine.device import Device, open_device
from pixart_ui.engine.embeddings import Embedding, EmbeddingCache
from pixart_ui.engine.encode import TextCleaner, encode
from pixart_ui.engine.group import Group, Texts
from pixart_ui.errors import Cancelled, JournalError, PixArtError
from pixart_ui.events import (
    Event,
    ImageFailed,
    ImageReady,
    LatentsReady,
    Phase,
    PhaseFinished,
    PhaseMeasurement,
    PhaseStarted,
    Plan,
    StepDone,
)
from pixart_ui.request import ResolvedRequest

if TYPE_CHECKING:
    from pixart_ui.hub import Located

Locate = Callable[[str], "Located"]
Hashes = Callable[["Located"], Mapping[str, str]]
IsCancelled = Callable[[int], bool]
WEIGHTS: tuple[Component, ...] = ("text_encoder", "transformer", "vae")
PREVIEWS_A_PICTURE = 8


class Engine:
    """Owns one device. `locate` finds a checkpoint's folders, `hashes` names their content."""

    def __init__(self, device: Device, locate: Locate, hashes: Hashes) -> None:
        self._device = device
        self._locate = locate
        self._hashes = hashes
        self._components = Components(device)
        self._embeddings = EmbeddingCache()
        self._cleaner = TextCleaner()
        self._versions = _versions()

    @classmethod
    def open(cls, device: str, locate: Locate, hashes: Hashes) -> Engine:
        """Take the device of that name. Raises DeviceError where it is absent."""
        _quiet_libraries()
        return cls(open_device(device), locate, hashes)

    @property
    def device_id(self) -> str:
        return self._device.id

    @property
    def device_name(self) -> str:
        return self._device.name

    def info(self) -> dict[str, Any]:
        """The device as a line on the page shows it; JSON values, bytes."""
        free, total = self._device.memory()
        return {
            "device": str(self._device.torch_device),
            "name": self._device.name,
            "memory_free_bytes": free,
            "memory_total_bytes": total,
            "weight_bytes": self._components.kept_bytes(),
            "threads": torch.get_num_threads(),
        }

    def close(self) -> None:
        """Take everything off the device."""
        self._components.keep_only(())

    def run(self, requests: Sequence[ResolvedRequest], is_cancelled: IsCancelled) -> Iterator[Event]:
        """Make the pictures of requests that share checkpoint, precision and numerics.

        Yields events; a picture that cannot be made yields `ImageFailed` and the others go on. Raises CheckpointError,
        DeviceError or OutOfMemory where that holds for the whole group.
        """
        group = self._open_group(requests)
        embeddings, encoding = yield from self._encode(group)
        for index in range(len(requests)):
            try:
                latents, denoising = yield from self._denoise(group, index, embeddings, is_cancelled)
                yield LatentsReady(index, _as_array(latents))
                image, decoding = yield from self._decode(group, index, latents)
            except JournalError:
                raise  # from asking whether it was cancelled: not this picture's fault
            except Cancelled:
                yield ImageFailed(index, "Cancelled.", is_cancelled=True)
            except PixArtError as error:
                yield ImageFailed(index, error.message)
            else:
                yield ImageReady(index, image, self._facts(group, (encoding, denoising, decoding)))

    def embed(self, requests: Sequence[ResolvedRequest]) -> list[tuple[Embedding, Embedding | None]]:
        """Only the first verb: the embeddings of each request's prompt and, where guidance is on, its negative."""
        group = self._open_group(requests)
        encoding = self._encode(group)
        while True:
            try:
                next(encoding)
            except StopIteration as end:
                found: dict[str, Embedding] = end.value[0]
                break
        return [
            (found[texts.prompt], found[texts.negative] if texts.negative is not None else None)
            for texts in group.texts
        ]

    def _encode(self, group: Group) -> Generator[Event, None, tuple[dict[str, Embedding], PhaseMeasurement]]:
        """All texts of the group that the cache does not hold, with one visit of T5."""
        yield PhaseStarted(Phase.ENCODE)
        clock = PhaseClock(Phase.ENCODE, self._device)
        keys = {text: self._embedding_key(group, text) for texts in group.texts for text in texts}
        found = {text: self._embeddings.get(key) for text, key in keys.items()}
        missing = [text for text, embedding in found.items() if embedding is None]
        if missing:
            residency = group.plan.residency(Phase.ENCODE)
            needed = group.weight_bytes["text_encoder"] + planner.ENCODE_BYTES
            self._components.make_room(group.sources["text_encoder"], needed)
            with (
                out_of_memory_as_sentence(Phase.ENCODE, self._device),
                self._components.on_device(group.sources["text_encoder"], residency) as encoder,
            ):
                clock.loaded(encoder)
                for text in missing:
                    embedding = encode(text, group.tokenizer, encoder.module, group.max_tokens, group.numerics)
                    self._embeddings.put(keys[text], embedding)
                    found[text] = embedding
                measurement = clock.stop()
        else:
            measurement = clock.stop(is_cached=True)
        yield PhaseFinished(measurement)
        return {text: embedding for text, embedding in found.items() if embedding is not None}, measurement

    def _denoise(
        self, group: Group, index: int, embeddings: Mapping[str, Embedding], is_cancelled: IsCancelled
    ) -> Generator[Event, None, tuple[torch.Tensor, PhaseMeasurement]]:
        request, texts = group.requests[index], group.texts[index]
        if is_cancelled(index):
            raise Cancelled
        yield PhaseStarted(Phase.DENOISE, index)
        clock = PhaseClock(Phase.DENOISE, self._device)
        scheduler = schedulers.build(request.scheduler, group.located.folders["scheduler"])
        negative = embeddings[texts.negative] if texts.negative is not None else None
        with (
            out_of_memory_as_sentence(Phase.DENOISE, self._device),
            self._components.on_device(
                group.sources["transformer"], group.plan.residency(Phase.DENOISE)
            ) as transformer,
        ):
            clock.loaded(transformer)
            for step in denoise(
                transformer.module, scheduler, request, embeddings[texts.prompt], negative, self._device.torch_device
            ):
                shown = step.clean_latents if step.clean_latents is not None else step.latents
                is_shown = step.number % -(-step.total // PREVIEWS_A_PICTURE) == 0
                preview = previews.preview(shown, group.rgb) if is_shown else None
                yield StepDone(index, step.number, step.total, preview)
                if is_cancelled(index):
                    raise Cancelled
            measurement = clock.stop()
        yield PhaseFinished(measurement, index)
        return step.latents, measurement

    def _decode(
        self, group: Group, index: int, latents: torch.Tensor
    ) -> Generator[Event, None, tuple[Image.Image, PhaseMeasurement]]:
        yield PhaseStarted(Phase.DECODE, index)
        clock = PhaseClock(Phase.DECODE, self._device)
        with (
            out_of_memory_as_sentence(Phase.DECODE, self._device),
            self._components.on_device(group.sources["vae"], group.plan.residency(Phase.DECODE)) as vae,
        ):
            clock.loaded(vae)
            image = decode(vae.module, latents, group.requests[index])
            measurement = clock.stop()
        yield PhaseFinished(measurement, index)
        return image, measurement

    def _open_group(self, requests: Sequence[ResolvedRequest]) -> Group:
        """Find the files, drop what another checkpoint left on the device, and plan."""
        first = requests[0]
        located = self._locate(first.checkpoint)
        sources = {
            component: Source(
                component,
                located.folders[component],
                first.precision,
                is_pickled=component in located.checkpoint.pickled,
                variant=located.variants.get(component),
            )
            for component in WEIGHTS
        }
        for scheduler in {request.scheduler for request in requests}:
            with as_checkpoint_error(located.folders["scheduler"]):
                schedulers.build(scheduler, located.folders["scheduler"])
        self._components.keep_only(sources.values())
        weight_bytes = self._weight_bytes(sources)
        return Group(
            requests=requests,
            texts=[self._texts(request) for request in requests],
            located=located,
            hashes=self._hashes(located),
            sources=sources,
            weight_bytes=weight_bytes,
            plan=self._plan(requests, weight_bytes),
            tokenizer=load_tokenizer(located.folders["tokenizer"]),
            rgb=previews.latent_rgb(located.folders["vae"], first.family),
        )

    def _weight_bytes(self, sources: Mapping[Component, Source]) -> dict[Component, int]:
        is_cpu = self._device.torch_device.type == "cpu"
        return {
            component: sizes.device_bytes(
                component, source.folder, source.precision, is_cpu=is_cpu, variant=source.variant
            )
            for component, source in sources.items()
        }

    def _plan(self, requests: Sequence[ResolvedRequest], weight_bytes: Mapping[Component, int]) -> Plan:
        pixels = max(request.bin_width * request.bin_height for request in requests)
        free, _ = self._device.memory()
        return planner.plan(planner.Demand(weight_bytes, pixels), free + self._components.kept_bytes())

    def _texts(self, request: ResolvedRequest) -> Texts:
        prompt = self._cleaner.clean(request.full_prompt, request.clean_caption)
        if not request.is_guided:
            return Texts(prompt, None)
        return Texts(prompt, self._cleaner.clean(request.full_negative_prompt, request.clean_caption))

    def _embedding_key(self, group: Group, text: str) -> Any:
        dtype = str(self._device.compute_dtype(group.precision))
        return group.embedding_key(text, dtype, self._device.torch_device.type, self._versions)

    def _facts(self, group: Group, measurements: Sequence[PhaseMeasurement]) -> dict[str, Any]:
        """What the picture's file says beside its request."""
        return {
            "plan": group.plan.as_json(),
            "measurements": {measurement.phase.value: measurement.as_json() for measurement in measurements},
            "device": {"name": self._device.name, "type": self._device.torch_device.type},
            "dtypes": {
                "stored": str(self._device.storage_dtype(group.precision)).removeprefix("torch."),
                "computed": str(self._device.compute_dtype(group.precision)).removeprefix("torch."),
            },
            "versions": self._versions,
            "components": {name: group.hashes[name] for name in COMPONENTS if name in group.hashes},
            "revisions": dict(group.located.revisions),
        }


def _as_array(latents: torch.Tensor) -> Any:
    """To NumPy, which has no bf16; fp32 holds every bf16 value exactly."""
    latents = latents.detach().cpu()
    return (latents.float() if latents.dtype is torch.bfloat16 else latents).numpy()


def _quiet_libraries() -> None:
    """Progress bars and advice of the libraries would drown the worker's own log."""
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _versions() -> dict[str, str]:
    """Versions of everything that has a say in a picture's numbers."""
    found = {"pixart-ui": __version__}
    for package in ("torch", "diffusers", "transformers", "bitsandbytes"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
