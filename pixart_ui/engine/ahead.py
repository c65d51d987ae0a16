"""While the last picture of a group is denoised, the texts of the next group pass through T5 beside it.

Denoising leaves the link idle, and encoding is mostly a matter of the link: T5's parts come on a stream of their own
and are computed whenever the host has queued a step. What must stay true: the picture at hand comes first, so where
memory or time would not do, or anything goes wrong, the texts wait for their own group as if nobody had looked ahead.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pixart_ui.engine import memory
from pixart_ui.engine.beside import SideStream
from pixart_ui.engine.clock import is_out_of_memory, out_of_memory_as_sentence
from pixart_ui.engine.coming import Foresee
from pixart_ui.engine.components import Components, Loaded
from pixart_ui.engine.device import Device
from pixart_ui.engine.encode import encode_by_unit
from pixart_ui.engine.group import Group
from pixart_ui.engine.ladder import Ladder
from pixart_ui.engine.opening import Opening
from pixart_ui.engine.paged import ByUnit
from pixart_ui.errors import JournalError, OutOfMemory
from pixart_ui.events import EncodedAhead, Phase, PhasePlan, Plan

# How long the host sleeps between two looks at what has arrived, once all steps are queued.
SECONDS_BETWEEN = 0.0005
log = logging.getLogger(__name__)


@dataclass
class LookAhead:
    """Of one engine. Until somebody sets `foresee`, nothing is foreseen.

    `too_much` is the least that both together were to take when memory ran out; nothing as large is tried again.
    """

    device: Device
    components: Components
    opening: Opening
    ladder: Ladder
    side: SideStream
    foresee: Foresee = lambda: None
    too_much: float = math.inf

    @contextmanager
    def beside(self, group: Group, index: int) -> Iterator[Ahead]:
        """For the length of a picture's steps; after it T5 is off the device again."""
        ahead = Ahead(self, group, index)
        try:
            yield ahead
        except (RuntimeError, MemoryError) as error:  # it is no sentence yet
            if is_out_of_memory(error):
                ahead.note_shortage()
            raise
        finally:
            ahead.close()
        group.plan_alone = None

    def encode(self, following: Group, encoder: Loaded) -> ByUnit[EncodedAhead]:
        """Into the cache, where its own group will find it."""
        embeddings = yield from encode_by_unit(following.missing, encoder, self.device.torch_device)
        for tokens, embedding in zip(following.missing, embeddings, strict=True):
            self.opening.keep(following, tokens.text, embedding)
        return EncodedAhead(len(embeddings), encoder.bytes_moved)


class Ahead:
    """Beside one picture: it looks after each step until something comes, and begins at most once."""

    def __init__(self, engine: LookAhead, group: Group, index: int) -> None:
        self._engine = engine
        self._group = group
        self._index = index
        self._ended = ExitStack()
        is_last = index == len(group.requests) - 1
        self._is_looking = is_last and group.looks_ahead and engine.opening.may_look_ahead(group)
        self._encoding: ByUnit[EncodedAhead] | None = None
        self._has_arrived: Callable[[], bool] = lambda: True
        self._units_a_step = 0
        self.has_begun = False
        self.done: EncodedAhead | None = None

    def after_step(self, steps_left: int) -> None:
        """Begin, or go on with what has arrived; no more at once than lets the next step be queued in time."""
        if self._is_looking and steps_left > 0 and not self._group.is_decoding:
            with self._leaving_it_where_it_fails():
                self._look(steps_left)
        for _ in range(self._units_a_step):
            if self._encoding is not None and self._has_arrived():
                self._go_on(self._encoding)

    def until(self, is_over: Callable[[], bool]) -> None:
        """Go on while the device is busy with the steps that were queued."""
        while self._encoding is not None and not is_over():
            if self._has_arrived():
                self._go_on(self._encoding)
            else:
                time.sleep(SECONDS_BETWEEN)

    def note_shortage(self) -> None:
        """Memory ran out, in the picture's steps or in the texts."""
        if self.has_begun:
            together = self._group.plan.phase(Phase.DENOISE).predicted_peak_bytes
            self._engine.too_much = min(self._engine.too_much, together)

    def close(self) -> None:
        """What is not finished is left."""
        encoding, self._encoding = self._encoding, None
        try:
            if encoding is not None:
                encoding.close()
        finally:
            self._ended.close()

    def _look(self, steps_left: int) -> None:
        """Begin, where something comes whose texts fit beside the steps that are left and get through."""
        engine, group = self._engine, self._group
        coming = engine.foresee()
        if coming is None:
            return
        self._is_looking = False
        source = group.sources["text_encoder"]
        following = engine.opening.following(group, coming.requests, coming.scopes)
        if not following.missing or not engine.components.is_prepared(source):
            return
        found = engine.opening.look_ahead(group, self._index, following, steps_left)
        if found is None or found[0].phase(Phase.DENOISE).predicted_peak_bytes >= engine.too_much:
            return
        self._begin(following, *found)

    def _begin(self, following: Group, together: Plan, entry: PhasePlan) -> None:
        engine, group = self._engine, self._group
        self.has_begun = True
        if group.decoded_at:
            memory.release(engine.device)  # what decoding the picture before has left
        group.plan_alone, group.plan = group.plan, together
        self._cap()
        self._ended.callback(memory.forget_scratch, engine.device)
        encoder = self._ended.enter_context(engine.components.on_device(group.sources["text_encoder"], entry))
        self._units_a_step, self._encoding = entry.slots, engine.encode(following, encoder)

    def _go_on(self, encoding: ByUnit[EncodedAhead]) -> None:
        with self._leaving_it_where_it_fails():
            try:
                self._has_arrived = next(encoding)
            except StopIteration as end:
                self.done, self._encoding = end.value, None

    def _cap(self) -> None:
        memory.cap(self._engine.device, self._engine.ladder.cap(self._group, Phase.DENOISE, self._index))

    @contextmanager
    def _leaving_it_where_it_fails(self) -> Iterator[None]:
        """Whatever is wrong with the texts, their own group will meet it and say it; the picture at hand goes on."""
        try:
            with self._engine.side.apart(), out_of_memory_as_sentence(Phase.ENCODE, self._engine.device):
                yield
        except JournalError:
            raise  # the worker cannot go on without it
        except Exception as error:  # noqa: BLE001 - somebody else's text may be the cause, whatever it is
            log.warning("the texts of the next group wait for their turn: %s", error)
            if isinstance(error, OutOfMemory):
                self.note_shortage()
            self._give_up()

    def _give_up(self) -> None:
        """As if nobody had looked."""
        self._is_looking = self._group.looks_ahead = False
        self.close()
        if self._group.plan_alone is not None:
            self._group.plan, self._group.plan_alone = self._group.plan_alone, None
            self._cap()
