"""While the last picture of a group is denoised, the texts of the next group pass through T5 beside it.

Denoising leaves the link idle, and encoding is mostly a matter of the link: T5's parts come on a stream of their own
and are computed whenever the host has queued a step. What must stay true: the picture at hand comes first, so where
memory or time would not do, or anything goes wrong, the texts wait for their own group as if nobody had looked ahead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pixart_ui.engine import memory
from pixart_ui.engine.beside import SideStream
from pixart_ui.engine.clock import out_of_memory_as_sentence
from pixart_ui.engine.coming import Foresee
from pixart_ui.engine.components import Components, Loaded
from pixart_ui.engine.device import Device
from pixart_ui.engine.encode import encode_by_unit
from pixart_ui.engine.group import Group
from pixart_ui.engine.ladder import Ladder
from pixart_ui.engine.opening import Opening
from pixart_ui.engine.paged import ByUnit
from pixart_ui.errors import PixArtError
from pixart_ui.events import EncodedAhead, Phase

# How long the host sleeps between two looks at what has arrived, once all steps are queued.
SECONDS_BETWEEN = 0.0005
log = logging.getLogger(__name__)


@dataclass
class LookAhead:
    """Of one engine. Until somebody sets `foresee`, nothing is foreseen."""

    device: Device
    components: Components
    opening: Opening
    ladder: Ladder
    side: SideStream
    foresee: Foresee = lambda: None

    @contextmanager
    def beside(self, group: Group, index: int) -> Iterator[Ahead]:
        """For the length of a picture's steps; after it T5 is off the device again."""
        ahead = Ahead(self, group, index)
        try:
            yield ahead
        finally:
            ahead.close()
        group.plan_alone = None

    def following(self, group: Group, index: int) -> Group | None:
        """What to encode beside that picture's steps; None while there is nothing."""
        is_last = index == len(group.requests) - 1
        if not is_last or group.is_decoding or group.forced is not None or not group.looks_ahead:
            return None
        coming = self.foresee()
        return self.opening.following(group, coming.requests, coming.scopes) if coming is not None else None

    def begin(self, group: Group, index: int, following: Group, steps_left: int, ended: ExitStack) -> Loaded | None:
        """T5 until `ended`, where it fits beside the steps that are left and gets through; None where not."""
        source = group.sources["text_encoder"]
        if not following.missing or not self.components.is_prepared(source):
            return None
        found = self.opening.look_ahead(group, index, following, steps_left)
        if found is None:
            return None
        if group.decoded_at:
            memory.release(self.device)  # what decoding the picture before has left
        group.plan_alone, (group.plan, entry) = group.plan, found
        memory.cap(self.device, self.ladder.cap(group, Phase.DENOISE, index))
        ended.callback(memory.forget_scratch, self.device)
        return ended.enter_context(self.components.on_device(source, entry))

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
        self._has_looked = False
        self._encoding: ByUnit[EncodedAhead] | None = None
        self._has_arrived: Callable[[], bool] = lambda: True
        self.has_begun = False
        self.done: EncodedAhead | None = None

    def after_step(self, steps_left: int) -> None:
        """Begin, or go on with what has arrived."""
        if not self._has_looked and steps_left > 0:
            self._look(steps_left)
        while self._encoding is not None and self._has_arrived():
            self._go_on(self._encoding)

    def until(self, is_over: Callable[[], bool]) -> None:
        """Go on while the device is busy with the steps that were queued."""
        while self._encoding is not None and not is_over():
            if self._has_arrived():
                self._go_on(self._encoding)
            else:
                time.sleep(SECONDS_BETWEEN)

    def close(self) -> None:
        """What is not finished is left."""
        if self._encoding is not None:
            self._encoding.close()
            self._encoding = None
        self._ended.close()

    def _look(self, steps_left: int) -> None:
        following = self._engine.following(self._group, self._index)
        if following is None:
            return
        self._has_looked = True
        with self._leaving_it_where_it_fails():
            encoder = self._engine.begin(self._group, self._index, following, steps_left, self._ended)
            if encoder is not None:
                self.has_begun = True
                self._encoding = self._engine.encode(following, encoder)

    def _go_on(self, encoding: ByUnit[EncodedAhead]) -> None:
        with self._leaving_it_where_it_fails():
            try:
                self._has_arrived = next(encoding)
            except StopIteration as end:
                self.done, self._encoding = end.value, None

    @contextmanager
    def _leaving_it_where_it_fails(self) -> Iterator[None]:
        """Its own group will meet what is wrong, and say it."""
        try:
            with self._engine.side.apart(), out_of_memory_as_sentence(Phase.ENCODE, self._engine.device):
                yield
        except PixArtError as error:
            log.warning("the texts of the next group wait for their turn: %s", error)
            self._group.looks_ahead = False
            self.close()
