"""An engine with a second GPU beside its own, for the text encoder: one picture over two GPUs.

The planner decides for each group whether the second one is used (`placement.py`). What must stay true: the pictures
are those of one GPU, bit for bit, so both must be of one kind; each is planned, capped and measured by itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import torch

from pixart_ui.catalog import Component
from pixart_ui.devices import PAIR
from pixart_ui.engine import memory, placement, shapes
from pixart_ui.engine.coming import Foresee
from pixart_ui.engine.device import Device, open_device
from pixart_ui.engine.engine import Engine, EngineFiles, IsCancelled
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.group import Group
from pixart_ui.engine.opening import Hashes, Locate
from pixart_ui.engine.placement import Spread
from pixart_ui.engine.preparation import Preparation
from pixart_ui.errors import DeviceError
from pixart_ui.events import Event, PhaseMeasurement
from pixart_ui.request import ResolvedRequest


def open_engine(
    device: str, locate: Locate, hashes: Hashes, files: EngineFiles, *, budget_bytes: int | None = None
) -> Engine:
    """On the device of that name, or on two with a plus between. Raises DeviceError where one is absent."""
    own, _, second = device.partition(PAIR)
    if not second:
        return Engine.open(own, locate, hashes, files, budget_bytes=budget_bytes)
    beside = open_device(second, budget_bytes)
    engine = PairedEngine.open(own, locate, hashes, files, budget_bytes=budget_bytes)
    assert isinstance(engine, PairedEngine)
    engine.take(beside, device)
    return engine


class PairedEngine(Engine):
    """`device_ids` are both devices', the own one first."""

    def __init__(self, device: Device, locate: Locate, hashes: Hashes, files: EngineFiles) -> None:
        super().__init__(device, locate, hashes, files)
        self._arguments = locate, hashes, files
        self._spread: Spread | None = None
        self._is_cancelled: IsCancelled = lambda _: False

    def take(self, beside: Device, place: str) -> None:
        """The second device, and what people call both; once, before anything is run.

        Raises DeviceError for one of another kind.
        """
        if beside.name != self._device.name:
            raise DeviceError(
                f"A pair must be of one kind, so that pictures are those of one GPU, and these are {self._device.name} "
                f"and {beside.name}: give each a worker of its own."
            )
        self._place = place
        self._encoder = Engine(beside, *self._arguments, embeddings=self._embeddings)
        if self._device.is_cuda:
            torch.cuda.set_device(self._device.torch_device)

    @property
    def device_ids(self) -> tuple[str, ...]:
        return self._device.id, *self._encoder.device_ids

    def info(self) -> dict[str, Any]:
        """Of the own device, which decides what fits; and what lies on the other."""
        return super().info() | {"place": self._place, "beside": self._encoder.info()}

    def weigh(self) -> dict[str, Any]:
        """What lies on the own device and, by itself, on the one beside it; a processor's memory is told once."""
        own, other = super().weigh(), self._encoder.weigh()
        if not self._device.is_cuda:
            other |= {"held_bytes": sum(other["components"].values())}
        return own | {"held_bytes": memory.held_bytes(self._device), "beside": other}

    def held_bytes(self) -> int:
        held = super().held_bytes()
        return held + self._encoder.held_bytes() if self._device.is_cuda else held

    def prepare(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: IsCancelled = lambda _: False,
        *,
        forced: Forced | None = None,
    ) -> None:
        super().prepare(requests, is_cancelled, forced=forced)
        if self._spread is not None:
            self._encoder.prepare(requests, is_cancelled)

    def foresee(self, foresee: Foresee) -> None:
        """What comes next waits for nothing that this device could do: T5 has one of its own."""

    def clear(self) -> None:
        self._encoder.clear()
        super().clear()

    def close(self) -> None:
        self._encoder.close()
        super().close()  # the last to write what was measured: it has learned from the other

    def _spread_out(self, group: Group) -> None:
        forced = group.forced
        self._encoder.keep_only(group.sources[placement.TEXT_ENCODER])
        self._spread = None
        if group.missing and (forced is None or forced.residency is None):
            limits = self.limits() if forced is None else forced.limits(self.limits())
            self._spread = placement.choose(group.demand(), limits, self._encoder.limits())
        if self._spread is not None:
            group.plan, group.shapes = self._spread.plan, self._spread.shapes

    def _preparation(
        self, group: Group, is_cancelled: IsCancelled, wanted: Sequence[Component] = shapes.WEIGHTS
    ) -> Preparation:
        self._is_cancelled = is_cancelled
        if self._spread is not None:
            wanted = [component for component in wanted if component != placement.TEXT_ENCODER]
        return super()._preparation(group, is_cancelled, wanted)

    def _encode(self, group: Group, preparation: Preparation) -> Generator[Event, None, PhaseMeasurement]:
        spread = self._spread
        if spread is None:
            return (yield from super()._encode(group, preparation))
        group.plan, group.shapes = spread.there, spread.there_shapes
        encoder = self._encoder
        try:
            with (
                _current(encoder._device),
                closing(encoder._preparation(group, self._is_cancelled, (placement.TEXT_ENCODER,))) as own,
            ):
                measurement = yield from encoder._encode(group, own)
        finally:
            group.plan, group.shapes = spread.after(group.plan), spread.shapes
            if group.has_run_out:
                memory.collect(encoder._device)
        self._planning.learn_encoding(encoder._planning)
        return measurement


@contextmanager
def _current(device: Device) -> Iterator[None]:
    """What names no device means that one for the length of the block; what it has to do is done at the end."""
    if not device.is_cuda:
        yield
        return
    with torch.cuda.device(device.torch_device):
        try:
            yield
        finally:
            memory.release(device)
