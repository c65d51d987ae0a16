"""The engine: resolved requests in, events out.

`run` reads as its verbs: encode every text of a group first, so that T5 is on the device once; then denoise and decode
picture by picture, so that the first one comes early. It knows no page, no journal and no owner.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from pixart_ui.catalog import Component
from pixart_ui.engine import attention, compiling, facts, fused, libraries, memory, shapes
from pixart_ui.engine.ahead import LookAhead
from pixart_ui.engine.beside import HeadStart, SideStream
from pixart_ui.engine.clock import Pace, PhaseClock, out_of_memory_as_sentence
from pixart_ui.engine.coming import Foresee
from pixart_ui.engine.components import Components, Loaded
from pixart_ui.engine.costs import COMPONENT_OF, Demand, Limits
from pixart_ui.engine.decode import decode, decoded_bytes
from pixart_ui.engine.denoise import LATENT_PIXELS, as_array, denoise
from pixart_ui.engine.device import Device, open_device, used_bytes
from pixart_ui.engine.embeddings import Embedding, EmbeddingCache, EmbeddingFiles
from pixart_ui.engine.encode import encode
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.group import Group
from pixart_ui.engine.known_text import KnownText
from pixart_ui.engine.ladder import Ladder
from pixart_ui.engine.opening import Hashes, Locate, Opening
from pixart_ui.engine.planning import Planning
from pixart_ui.engine.preparation import Preparation
from pixart_ui.engine.previews import Previewer
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import Cancelled, JournalError, OutOfMemory, PixArtError
from pixart_ui.events import (
    Event,
    ImageFailed,
    ImageReady,
    LatentArray,
    LatentsReady,
    Phase,
    PhaseFinished,
    PhaseMeasurement,
    PhaseStarted,
    Plan,
    Planned,
    Residency,
    StepDone,
)
from pixart_ui.ram import ram
from pixart_ui.request import Numerics, ResolvedRequest

IsCancelled = Callable[[int], bool]
Denoised = tuple[torch.Tensor, PhaseMeasurement]
Result = TypeVar("Result")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineFiles:
    """Where the engine keeps what it may need again; None keeps that in memory only."""

    weights_dir: Path
    embeddings_dir: Path | None = None
    calibration_path: Path | None = None
    compile_cache_dir: Path | None = None


class Engine:
    """Owns one device. `locate` finds a checkpoint's folders, `hashes` names their content."""

    def __init__(
        self,
        device: Device,
        locate: Locate,
        hashes: Hashes,
        files: EngineFiles,
        embeddings: EmbeddingCache | None = None,
    ) -> None:
        self._device = device
        self._components = Components(device, WeightStore(files.weights_dir))
        kept = EmbeddingFiles(files.embeddings_dir) if files.embeddings_dir else None
        self._embeddings = embeddings if embeddings is not None else EmbeddingCache(kept)
        self._planning = Planning(device, files.calibration_path)
        self._ladder = Ladder(device, self._planning)
        self._opening = Opening(device, locate, hashes, self._components, self._embeddings, self._planning)
        self._met = set[str]()
        self._side = SideStream(device.torch_device)
        self._look_ahead = LookAhead(device, self._components, self._opening, self._ladder, self._side)

    @classmethod
    def open(
        cls, device: str, locate: Locate, hashes: Hashes, files: EngineFiles, *, budget_bytes: int | None = None
    ) -> Engine:
        """Take the device of that name; on a GPU tensors will use at most `budget_bytes`.

        Raises DeviceError where it is absent.
        """
        libraries.quiet()
        if files.compile_cache_dir is not None:
            compiling.keep_cache_in(files.compile_cache_dir)
        return cls(open_device(device, budget_bytes), locate, hashes, files)

    @property
    def device_id(self) -> str:
        return self._device.id

    @property
    def device_ids(self) -> tuple[str, ...]:
        """Of all that it owns."""
        return (self._device.id,)

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
            "ram_bytes": ram().total,
            "budget_bytes": self._device.budget_bytes,
            "calibration_key": self._planning.key,
            "on_device": self._on_device_now(),
            "context_bytes": self._device.context_bytes,
            "weight_bytes": self._components.kept_bytes(),
            "threads": torch.get_num_threads(),
        }

    def _on_device_now(self) -> dict[str, list[str]]:
        """Which components lie there, of which checkpoint and in which precision."""
        return {
            source.component: [self._opening.checkpoint, str(source.whole or source.precision)]
            for source in self._components.sources_now()
        }

    def close(self) -> None:
        """Take everything off the device, and keep what was measured on it."""
        self._components.close()
        self._planning.save()

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: IsCancelled,
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
        *,
        forced: Forced | None = None,
    ) -> Iterator[Event]:
        """Make the pictures of requests that share checkpoint, precisions, numerics and whether blocks are compiled.

        A picture whose `latents` are given, as `LatentsReady` said them in a run with the same of `latents_keys`, is
        decoded at once. With `forced` the weights are held that way, and every text is encoded. With `scopes`, one for
        each request, an embedding that was kept in another scope is not used.

        Yields events; a picture that cannot be made yields `ImageFailed` and the others go on. Raises CheckpointError,
        DeviceError or OutOfMemory where that holds for the whole group.
        """
        group = self._open(requests, latents, forced, scopes)
        yield Planned(group.plan)
        try:
            with closing(self._preparation(group, is_cancelled)) as preparation:
                yield from self._draw(group, preparation, is_cancelled)
        finally:
            if group.decoded_at:
                memory.forget_scratch(self._device)
            (memory.collect if group.has_run_out else memory.release)(self._device)
        self._planning.save()

    def _draw(self, group: Group, preparation: Preparation, is_cancelled: IsCancelled) -> Iterator[Event]:
        """The three verbs."""
        try:
            encoding = yield from self._encode(group, preparation)
        except Cancelled:
            yield from (ImageFailed(index, "Cancelled.", is_cancelled=True) for index in range(len(group.requests)))
            return
        pictures = range(len(group.requests))
        with ExitStack() as ended:
            own = [HeadStart(self._denoise(group, index, preparation, is_cancelled)) for index in pictures]
            for start in own:
                ended.callback(start.close)
            yield from self._draw_pictures(group, preparation, encoding, own)

    def _draw_pictures(
        self,
        group: Group,
        preparation: Preparation,
        encoding: PhaseMeasurement,
        denoisings: Sequence[HeadStart[Denoised]],
    ) -> Iterator[Event]:
        """The last two verbs, one picture beside the next where that was planned."""
        for index, own in enumerate(denoisings):
            try:
                latents, denoising = yield from own.rest()
                if index not in group.latents:
                    yield LatentsReady(index, as_array(latents), facts.kernels(group))
                following = denoisings[index + 1] if group.is_decoded_beside(index) else None
                image, decoding = yield from self._decode(group, index, preparation, latents, following)
            except JournalError:
                raise  # from asking whether it was cancelled: not this picture's fault
            except Cancelled:
                yield ImageFailed(index, "Cancelled.", is_cancelled=True)
            except OutOfMemory as error:
                yield ImageFailed(index, error.message, is_out_of_memory=True)
            except PixArtError as error:
                yield ImageFailed(index, error.message)
            else:
                measurements = (encoding, denoising, decoding)
                yield ImageReady(
                    index, image, facts.of(group, index, measurements, self._device, self._opening.versions)
                )

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        """Everything that decides each picture's latents, as text, for requests as `run` takes them.

        Raises CheckpointError.
        """
        located = self._opening.locate(requests[0].checkpoint)
        shared = {
            "components": dict(self._opening.hashes(located)),
            "device": [self._device.torch_device.type, self._device.name],
            "versions": dict(self._opening.versions),
        }
        return [
            json.dumps(shared | {"request": request.model_dump(mode="json")}, sort_keys=True) for request in requests
        ]

    def prepare(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: IsCancelled = lambda _: False,
        *,
        forced: Forced | None = None,
    ) -> None:
        """Have all weights that these need in their stored form, without drawing.

        Raises what `run` raises, and Cancelled.
        """
        with closing(self._preparation(self._open(requests, forced=forced), is_cancelled)) as preparation:
            for component in shapes.WEIGHTS:
                for _ in preparation.wait(component):
                    pass

    def clear(self) -> None:
        """Let go of everything that is held on the device, so that what comes next is measured alone."""
        self._components.keep_only(())
        self._components.warm_up.wait()
        memory.collect(self._device)
        memory.trim()

    def folders(self, checkpoint: str) -> Mapping[Component, Path]:
        """Where its components are. Raises CheckpointError."""
        return self._opening.locate(checkpoint).folders

    def device_used_bytes(self) -> int | None:
        """What the driver's library counts on the whole GPU; None on a CPU, or where that is absent."""
        return used_bytes(self._device.id) if self._device.is_cuda else None

    def held_bytes(self) -> int:
        """What torch has reserved of a GPU; on a CPU this process's resident set. Safe to ask from another thread."""
        return memory.held_bytes(self._device)

    def foresee(self, foresee: Foresee) -> None:
        """From now on ask that what comes next; its texts are encoded beside the last picture's steps, where that fits.

        It is asked in `run`, between two steps, and says what shares with the group at hand all that a group shares.
        """
        self._look_ahead.foresee = foresee

    def weigh(self) -> dict[str, Any]:
        """What lies on the device now, in bytes, for `jobs/watch.py`. Safe to ask from another thread."""
        return {
            "components": self._components.bytes_now(),
            "held_bytes": self.held_bytes(),
            "rss_bytes": memory.rss_bytes(),
        }

    def known_text(self, request: ResolvedRequest) -> KnownText | None:
        """The embedding of a request's prompt and the words of its tokens, once `run` has encoded it."""
        return self._opening.known_text(request)

    def embedding_paths(self, requests: Sequence[ResolvedRequest], scopes: Sequence[str] = ()) -> list[Path]:
        """Where the embeddings of their texts are kept on disk, or would be. Raises CheckpointError."""
        return self._opening.embedding_paths(requests, scopes)

    def adopt_embeddings(self, files: Mapping[str, bytes]) -> None:
        """Keep embeddings that the same engine computed elsewhere; one that is not as it was written is left aside."""
        self._embeddings.adopt(files)

    def embed(self, requests: Sequence[ResolvedRequest]) -> list[tuple[Embedding, Embedding | None]]:
        """Only the first verb: the embeddings of each request's prompt and, where guidance is on, its negative."""
        group = self._open(requests)
        with closing(self._preparation(group, lambda _: False)) as preparation:
            for _ in self._encode(group, preparation):
                pass
        return [
            (group.embeddings[texts.prompt], group.embeddings[texts.negative] if texts.negative is not None else None)
            for texts in group.texts
        ]

    def limits(self) -> Limits:
        """The device as it is now, for planning."""
        return self._planning.limits(self._components.on_device_now(), self._components.kept_bytes())

    def keep_only(self, source: WeightSource) -> None:
        """Drop every other component from the device."""
        self._components.keep_only((source,))

    def _open(
        self,
        requests: Sequence[ResolvedRequest],
        latents: Mapping[int, LatentArray] | None = None,
        forced: Forced | None = None,
        scopes: Sequence[str] = (),
    ) -> Group:
        group = self._opening.open(requests, latents, forced, scopes)
        self._spread_out(group)
        return group

    def _spread_out(self, group: Group) -> None:
        """Say what of an opened group lies elsewhere; here nothing does."""

    def _preparation(
        self, group: Group, is_cancelled: IsCancelled, wanted: Sequence[Component] = shapes.WEIGHTS
    ) -> Preparation:
        """Begin to get the weights ready that this group needs."""
        needless = set[Component]()
        if not group.missing:
            needless.add("text_encoder")
        if len(group.latents) == len(group.requests):
            needless.add("transformer")
        return Preparation(
            self._components,
            [group.sources[component] for component in wanted if component not in needless],
            lambda: all(is_cancelled(index) for index in range(len(group.requests))),
        )

    def _encode(self, group: Group, preparation: Preparation) -> Generator[Event, None, PhaseMeasurement]:
        """All texts of the group that the cache does not hold, while T5 passes once."""
        yield PhaseStarted(Phase.ENCODE)
        if group.missing:
            with out_of_memory_as_sentence(Phase.ENCODE, self._device):  # quantizing happens on the device
                self._components.warm_up.meet_text_encoder()
                yield from preparation.wait("text_encoder")
            measurement = yield from self._ladder.descend(group, Phase.ENCODE, lambda: self._encode_missing(group))
        else:
            measurement = PhaseClock(Phase.ENCODE, self._device).stop()
        yield PhaseFinished(measurement)
        return measurement

    def _encode_missing(self, group: Group) -> Generator[Event, None, PhaseMeasurement]:
        group.missing = [tokens for tokens in group.missing if tokens.text not in group.embeddings]
        demand = group.demand()
        with self._phase(group, Phase.ENCODE) as clock, self._on_device(group, Phase.ENCODE) as encoder:
            states = encode(group.missing, encoder, self._device.torch_device)
            for tokens, embedding in zip(group.missing, states, strict=True):
                group.embeddings[tokens.text] = embedding
                self._opening.keep(group, tokens.text, embedding)
            measurement = clock.stop(encoder)
            seconds = (measurement.seconds - measurement.load_seconds) / demand.num_passes
            # The first of its kind meets cold kernels, which a longer text would not meet more of: no time is learned.
            kind = demand.kind(Phase.ENCODE)
            self._learn(group.plan, demand, measurement, seconds if kind in self._met else None)
            self._met.add(kind)
        yield from ()
        return measurement

    def _denoise(
        self, group: Group, index: int, preparation: Preparation, is_cancelled: IsCancelled
    ) -> Generator[Event, None, Denoised]:
        if is_cancelled(index):
            raise Cancelled
        yield PhaseStarted(Phase.DENOISE, index)
        if index in group.latents:
            latents = torch.tensor(group.latents[index], device=self._device.torch_device)
            measurement = PhaseClock(Phase.DENOISE, self._device).stop()
        else:
            yield from preparation.wait("transformer")
            latents, measurement = yield from self._ladder.descend(
                group, Phase.DENOISE, lambda: self._denoise_picture(group, index, is_cancelled), index
            )
        yield PhaseFinished(measurement, index)
        return latents, measurement

    def _denoise_picture(self, group: Group, index: int, is_cancelled: IsCancelled) -> Generator[Event, None, Denoised]:
        request, texts, device = group.requests[index], group.texts[index], self._device.torch_device
        scheduler = copy.deepcopy(group.schedulers[request.scheduler])  # they keep state between steps
        negative = group.embeddings[texts.negative] if texts.negative is not None else None
        with (
            self._phase(group, Phase.DENOISE) as clock,
            self._on_device(group, Phase.DENOISE) as transformer,
            self._look_ahead.beside(group, index) as ahead,
        ):
            pace, module, previewer = Pace(self._device), transformer.module, Previewer(group.rgb, device)
            group.kernel = self._kernel(request, module)
            with self._blocks(request, module, group.kernel) as group.blocks:
                for step in denoise(module, scheduler, request, group.embeddings[texts.prompt], negative, device):
                    yield StepDone(index, step.number, step.total, previewer.after(step))
                    pace.step()
                    if is_cancelled(index):
                        raise Cancelled
                    ahead.after_step(step.total - step.number)
                ahead.until(pace.is_over)
            measurement = clock.stop(transformer, since=math.inf if group.is_decoding else group.decoded_at)
            if clock.is_alone and not ahead.has_begun:
                self._learn(group.plan, group.demand(index), measurement, pace.seconds_a_step())
        if ahead.done is not None:
            yield ahead.done
        return step.latents, measurement

    @contextmanager
    def _blocks(self, request: ResolvedRequest, transformer: Any, kernel: str) -> Iterator[str]:
        """The transformer's blocks as the numerics want them; tells how they are run."""
        with ExitStack() as stack:
            way = compiling.EAGER
            if request.numerics is Numerics.FAST and request.transformer_precision.is_16_bit:
                backend, is_joined = attention.backend_of(kernel), not request.compile_blocks
                stack.enter_context(fused.fused_blocks(transformer, backend, is_joined=is_joined))
                way = fused.FUSED
            if request.compile_blocks:
                stack.enter_context(compiling.compiled_blocks(transformer))
                way = compiling.COMPILED
            yield way

    def _kernel(self, request: ResolvedRequest, transformer: Any) -> str:
        """The self-attention kernel: in `exact` what the stock pipeline would run."""
        if request.numerics is Numerics.EXACT or not request.transformer_precision.is_16_bit:
            return attention.DEFAULT
        pixels_a_token = LATENT_PIXELS * transformer.config.patch_size
        tokens = (request.bin_width // pixels_a_token) * (request.bin_height // pixels_a_token)
        return self._planning.kernel(transformer, batch=2 if request.is_guided else 1, tokens=tokens)

    def _decode(
        self,
        group: Group,
        index: int,
        preparation: Preparation,
        latents: torch.Tensor,
        following: HeadStart[Denoised] | None,
    ) -> Generator[Event, None, tuple[Image.Image, PhaseMeasurement]]:
        """Pixels of the picture; meanwhile the `following` one takes its first steps, if there is one."""
        yield PhaseStarted(Phase.DECODE, index)
        yield from preparation.wait("vae")

        def attempt() -> Generator[Event, None, tuple[Image.Image, PhaseMeasurement]]:
            yield from ()
            if following is not None and group.is_decoded_beside(index):
                return self._decode_beside(group, index, latents, following)
            return self._decode_picture(group, index, latents)

        image, measurement = yield from self._ladder.descend(group, Phase.DECODE, attempt, index)
        yield PhaseFinished(measurement, index)
        return image, measurement

    def _decode_picture(self, group: Group, index: int, latents: torch.Tensor) -> tuple[Image.Image, PhaseMeasurement]:
        request, tile = group.requests[index], group.plan_of(index).phase(Phase.DECODE).tile
        with self._phase(group, Phase.DECODE, index) as clock, self._on_device(group, Phase.DECODE) as vae:
            image = decode(vae.module, latents, request, tile)
            measurement = clock.stop(vae)
            seconds = measurement.seconds - measurement.load_seconds
            self._learn(group.plan_of(index), group.demand(index), measurement, seconds)
        return image, measurement

    def _decode_beside(
        self, group: Group, index: int, latents: torch.Tensor, following: HeadStart[Denoised]
    ) -> tuple[Image.Image, PhaseMeasurement]:
        """Nothing is learned from it: time and memory are those of two phases."""
        request, tile = group.requests[index], group.plan.phase(Phase.DECODE).tile
        with self._phase(group, Phase.DECODE, index) as clock, self._on_device(group, Phase.DECODE) as vae:
            with self._side.current():
                fetched = self._side.fetch(decoded_bytes(vae.module, latents, request, tile))
            group.is_decoding = True
            try:
                following.run_until(fetched.is_there)
            finally:
                group.is_decoding = False
            image = fetched.image()
            group.decoded_at = time.perf_counter()
            return image, clock.stop(vae, is_waiting=False)

    @contextmanager
    def _phase(self, group: Group, phase: Phase, index: int | None = None) -> Iterator[PhaseClock]:
        """Take off the device what the plan does not want there, cap the allocator, count time and memory."""
        residents = {COMPONENT_OF[entry.phase] for entry in group.plan.phases if entry.residency is Residency.RESIDENT}
        self._components.leave_only(residents | {COMPONENT_OF[phase]})
        if phase is not Phase.ENCODE:
            self._components.warm_up.wait()
        if group.decoded_at and not group.is_decoding:
            memory.forget_scratch(self._device)  # the side stream's, so that it is not counted for what comes now
        with out_of_memory_as_sentence(phase, self._device):
            cap = self._ladder.cap(group, phase, index)
            yield PhaseClock(phase, self._device, cap, is_alone=not group.is_decoding)

    def _on_device(self, group: Group, phase: Phase) -> AbstractContextManager[Loaded]:
        return self._components.on_device(group.sources[COMPONENT_OF[phase]], group.plan.phase(phase))

    def _learn(self, plan: Plan, demand: Demand, measurement: PhaseMeasurement, unit_seconds: float | None) -> None:
        """Called while the component is still on the device."""
        self._planning.learn_reads(self._components.reads())
        reserved = measurement.peak_reserved_bytes
        self._planning.learn(
            demand,
            plan,
            measurement,
            activation_bytes=max(1, reserved - self._components.kept_bytes()) if reserved is not None else None,
            unit_seconds=unit_seconds,
        )
