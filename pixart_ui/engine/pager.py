"""Brings a component's weights to the device while it works: file → pinned ring → device slots, on a side stream.

Units that are kept stay where they were copied to; the others pass through slots in the order of their use, again and
again, the next ones in flight while one computes. Nothing is ever copied back: weights are read-only, a slot is simply
written over. What must stay true:

- a slot is written only after the device has finished with its last unit, and used only after the copy has arrived;
- a unit lies at the same place at each pass, so parameters are views that are made once;
- an error while reading comes out of `enter`, in the thread that computes.

On a processor the same code widens 16-bit weights to 32 as it copies them; there is no second stream there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch

from pixart_ui.engine.layout import Layout, Segment, spread
from pixart_ui.engine.reading import Reader

ROOT = -1
RING_BYTES, MAX_RING_BYTES = 512 * 2**20, 2**30
DTYPES: Mapping[str, torch.dtype] = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I64": torch.int64,
    "I32": torch.int32,
}


class Ring:
    """One block of host memory for all transfers to one device, pinned for a GPU; one pager uses it at a time.

    torch rounds pinned memory up to a power of two, so a power of two is asked for. `max_bytes` is what it may grow to
    for units that pass again and again.
    """

    def __init__(self, device: torch.device, nbytes: int = RING_BYTES, max_bytes: int = MAX_RING_BYTES) -> None:
        self._device = device
        self._is_pinned = device.type == "cuda"
        self._nbytes = nbytes
        self._max_bytes = max_bytes
        self._memory: torch.Tensor | None = None
        self.in_use = threading.Lock()

    @classmethod
    def of(cls, device: torch.device) -> Ring:
        """For a processor no more than two slots: the page cache holds what is read again."""
        return cls(device) if device.type == "cuda" else cls(device, 0, 0)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def allocate(self) -> None:
        """Pin the memory now rather than at the first transfer: it takes a tenth of a second."""
        with self.in_use:
            if self._memory is None:
                self._memory = self._pinned(self._nbytes)

    def slots(self, slot_bytes: int, wanted: int, *, is_worth_more: bool) -> list[torch.Tensor]:
        """Up to `wanted` slots of so many bytes, at least two.

        The ring grows for a unit that large, and where `is_worth_more` up to its limit for all that are wanted.
        """
        least = max(2 * slot_bytes, min(wanted * slot_bytes, self._max_bytes) if is_worth_more else 0)
        if self._is_pinned and self._nbytes < least:
            self._let_go()
            self._nbytes = 1 << (least - 1).bit_length()
        count = max(2, min(wanted, max(self._nbytes, least) // slot_bytes))
        if self._memory is None or self._memory.numel() < count * slot_bytes:
            self._memory = self._pinned(self._nbytes if self._is_pinned else count * slot_bytes)
        return [self._memory[index * slot_bytes : (index + 1) * slot_bytes] for index in range(count)]

    def release(self) -> None:
        """Give host memory back where it is not pinned; pinning it again would cost more than keeping it."""
        if not self._is_pinned:
            self._memory = None

    def close(self) -> None:
        self._let_go()

    def _pinned(self, nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, pin_memory=self._is_pinned)

    def _let_go(self) -> None:
        """Give the memory back to the system: torch would keep it pinned beside what is asked for next."""
        had, self._memory = self._memory is not None, None
        if had and self._is_pinned:
            empty_host_cache()


def empty_host_cache() -> None:
    """Free pinned memory that nobody uses. torch 2.11 has no public name for it."""
    public = getattr(torch.accelerator, "empty_host_cache", None)
    (public if public is not None else torch._C._host_emptyCache)()


@dataclass(frozen=True)
class _Item:
    """One copy to come: unit `index` (or ROOT) for the pass that begins at `position` 0 of it."""

    index: int
    position: int


class Pager:
    """One component's weights on one device. `enter` and `end_pass` belong to the thread that computes."""

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        ring: Ring,
        reader: Reader,
        *,
        kept_units: int,
        slots: int,
        is_repeated: bool = True,
    ) -> None:
        """`is_repeated` says that many passes follow each other, so that holding what moves in the ring pays."""
        self._is_repeated = is_repeated
        self._layout = layout
        self._device = device
        self._ring = ring
        self._reader = reader
        self._num_units = len(layout.units)
        self._kept = spread(kept_units, self._num_units)
        self._streamed = [index for index in range(self._num_units) if index not in self._kept]
        self._num_slots = min(max(2, slots), len(self._streamed))
        self._condition = threading.Condition()
        self._wanted = len(layout.units)  # positions below this one belong to a pass that has begun
        self._position = 0  # units entered and left before this one: the slots of all earlier ones are free
        self._ready: dict[int, int] = {}  # unit (or ROOT) → the position it was copied for
        self._arrived: dict[int, Any] = {}  # unit → event after its copy
        self._finished: dict[int, Any] = {}  # slot → event after its last use
        self._occupants: dict[int, int] = {}  # slot → the position whose unit was copied into it last
        self._is_closed = False
        self.bytes_moved = 0
        self.wait_seconds = 0.0
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.arena_bytes = layout.arena_bytes(self._kept, self._num_slots)
        self._arena = torch.empty(self.arena_bytes, dtype=torch.uint8, device=device)
        self._places = dict(self._place_segments())
        if self._stream is not None:  # the arena may be memory that queued work still reads
            self._stream.wait_stream(torch.cuda.current_stream(device))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pager")
        self._feeding: Future[None] | None = None

    @property
    def is_streaming(self) -> bool:
        """Whether weights move at every pass; otherwise all stay after the first."""
        return bool(self._streamed)

    def is_streamed(self, index: int) -> bool:
        """Whether the unit arrives anew at every pass."""
        return self._slot_of(index) is not None

    def start(self) -> None:
        """Begin to read. What reading raises comes out of `enter`."""
        self._feeding = self._thread.submit(self._feed)
        self._thread.shutdown(wait=False)  # the thread ends with its task
        self._feeding.add_done_callback(lambda _: self._wake())

    def views(self, index: int) -> dict[str, torch.Tensor]:
        """The device tensors of unit `index` or of ROOT, by name; what they hold is valid once it was entered."""
        segment = self._segment(index)
        start = self._places[index]
        views = {}
        for piece in segment.pieces:
            flat = self._arena[start + piece.device_offset : start + piece.device_offset + piece.device_bytes]
            views[piece.entry.name] = flat.view(DTYPES[piece.device_dtype]).view(piece.entry.shape)
        return views

    def enter(self, index: int) -> None:
        """Leave what came before and wait until unit `index` (or ROOT) is there. Raises what reading it raised."""
        started = time.perf_counter()
        position = 0 if index == ROOT else self._advance(index)
        self._wait_for(lambda: self._is_ready(index, position))
        event = self._arrived.get(index)
        if event is not None:
            torch.cuda.current_stream(self._device).wait_event(event)
        self.wait_seconds += time.perf_counter() - started

    def is_there(self, index: int) -> bool:
        """Whether entering unit `index` of this pass (or ROOT) would not wait; so it is where that would raise."""
        feeding = self._feeding
        with self._condition:
            base = self._position - self._position % self._num_units if self._num_units else 0
            return self._is_ready(index, base + index) or feeding is None or feeding.done()

    def end_pass(self) -> None:
        """The last unit was used: the next pass may overwrite it."""
        with self._condition:
            self._leave()
            self._position = (self._position // self._num_units + 1) * self._num_units if self._num_units else 0
            self._condition.notify_all()

    def wait_loaded(self) -> None:
        """Wait until root and every kept unit are there. Raises what reading them raised."""
        for index in (ROOT, *sorted(self._kept)):
            self._wait_for(lambda index=index: index in self._ready)  # type: ignore[misc]
            event = self._arrived.get(index)
            if event is not None:
                event.synchronize()

    def close(self) -> None:
        """Stop reading and let go of the device's memory, whatever the state."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        if self._feeding is not None:
            wait([self._feeding])
        if self._stream is not None:
            self._stream.synchronize()
        self._arena = torch.empty(0, dtype=torch.uint8)

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait for the feeding thread; raises what ended it."""
        feeding = self._feeding
        assert feeding is not None
        with self._condition:
            self._condition.wait_for(lambda: is_there() or feeding.done())
            if not is_there():
                feeding.result()
                raise RuntimeError("The pager was closed while its weights were waited for.")

    def _advance(self, index: int) -> int:
        """Move on to unit `index` of this pass; the position that it is used at."""
        with self._condition:
            base = self._position - self._position % self._num_units
            position = base + index
            if position < self._position:
                raise RuntimeError(f"Unit {index} was entered after unit {self._position % self._num_units}.")
            self._leave()
            self._position = position
            self._wanted = base + self._num_units
            self._condition.notify_all()
        return position

    def _leave(self) -> None:
        """Note on the computing stream that the unit at the present position is done with."""
        slot = self._slot_of(self._position % self._num_units) if self._num_units else None
        if slot is not None and self._stream is not None:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._finished[slot] = event

    def _is_ready(self, index: int, position: int) -> bool:
        copied_for = self._ready.get(index)
        return copied_for is not None and (self._slot_of(index) is None or copied_for == position)

    def _slot_of(self, index: int) -> int | None:
        """The slot that unit `index` passes through; None for what stays."""
        return self._slots.get(index)

    def _segment(self, index: int) -> Segment:
        return self._layout.root if index == ROOT else self._layout.units[index]

    def _place_segments(self) -> Iterator[tuple[int, int]]:
        """Where each segment begins in the arena: root, kept units, then the slots."""
        offset = 0
        for index in (ROOT, *sorted(self._kept)):
            yield index, offset
            offset += self._segment(index).device_bytes
        slot_bytes = max((self._segment(index).device_bytes for index in self._streamed), default=0)
        self._slots = {index: order % self._num_slots for order, index in enumerate(self._streamed)}
        for index, slot in self._slots.items():
            yield index, offset + slot * slot_bytes

    def _items(self) -> Iterator[_Item]:
        """Everything in the order of its use: all of it once, then what is streamed, without end."""
        yield _Item(ROOT, 0)
        for index in range(self._num_units):
            yield _Item(index, index)
        base = self._num_units
        while self._streamed:
            for index in self._streamed:
                yield _Item(index, base + index)
            base += self._num_units

    def _feed(self) -> None:
        """The pager's thread: reads ahead into the ring, and copies each segment when its place is free."""
        with self._ring.in_use:
            try:
                self._feed_all()
            finally:
                self._ring.release()

    def _feed_all(self) -> None:
        reading = _ReadAhead(
            self._layout, self._reader, self._host_slots(), self._items(), len(self._streamed), self._is_wanted
        )
        try:
            while not self._is_closed and not reading.is_over:
                arrived = reading.next()
                if arrived is None:
                    self._wait_until_wanted(reading.following)
                    continue
                item, memory = arrived
                if not self._wait_for_place(item):
                    return
                reading.copied(self._copy(item, memory))
        finally:
            reading.close()

    def _host_slots(self) -> list[torch.Tensor]:
        """What moves at every pass is worth as many slots as it has units; the rest only passes once."""
        size, num_streamed = self._layout.largest_host_bytes, len(self._streamed)
        is_repeated = self._is_repeated and num_streamed > 0
        return self._ring.slots(
            size, max(num_streamed, 3) if is_repeated else 1 + self._num_units, is_worth_more=is_repeated
        )

    def _is_wanted(self, item: _Item) -> bool:
        """Passes that follow each other are read ahead; another one only once it has begun."""
        return self._is_repeated or item.index == ROOT or item.position < self._wanted

    def _wait_until_wanted(self, item: _Item | None) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._is_closed or item is None or self._is_wanted(item))

    def _wait_for_place(self, item: _Item) -> bool:
        """Wait until the device is done with what the item will overwrite; False where the pager was closed."""
        slot = self._slot_of(item.index)
        with self._condition:
            occupant = self._occupants.get(slot, -1) if slot is not None else -1
            self._condition.wait_for(lambda: self._is_closed or occupant < self._position)
            if slot is not None:
                self._occupants[slot] = item.position
            return not self._is_closed

    def _copy(self, item: _Item, memory: torch.Tensor) -> Any:
        """Copy a segment to its place and tell the computing thread; the event after the copy, None on a processor."""
        event = None
        if self._stream is not None:
            event = self._copy_on_stream(item, memory)
        else:
            self._copy_widened(item, memory)
        with self._condition:
            self._ready[item.index] = item.position
            self._arrived[item.index] = event
            self.bytes_moved += self._segment(item.index).host_bytes
            self._condition.notify_all()
        return event

    def _copy_on_stream(self, item: _Item, memory: torch.Tensor) -> Any:
        """Bytes as they are, in one copy."""
        start, count = self._places[item.index], self._segment(item.index).device_bytes
        slot = self._slot_of(item.index)
        with torch.cuda.stream(self._stream):
            if slot is not None and (finished := self._finished.get(slot)) is not None:
                self._stream.wait_event(finished)
            self._arena[start : start + count].copy_(memory[:count], non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self._stream)
        return event

    def _copy_widened(self, item: _Item, memory: torch.Tensor) -> None:
        """Tensor by tensor, from the type it is stored in to the one it is computed in."""
        views = self.views(item.index)
        for piece in self._segment(item.index).pieces:
            stored = memory[piece.host_offset : piece.host_offset + piece.entry.nbytes]
            views[piece.entry.name].copy_(stored.view(DTYPES[piece.entry.dtype]).view(piece.entry.shape))


class _ReadAhead:
    """Segments in the order of their use, read into the ring before they are needed.

    What is streamed at every pass keeps a slot of its own where the ring has enough of them: it is read once.
    """

    def __init__(
        self,
        layout: Layout,
        reader: Reader,
        slots: list[torch.Tensor],
        items: Iterator[_Item],
        num_streamed: int,
        is_wanted: Callable[[_Item], bool],
    ) -> None:
        self._layout = layout
        self._reader = reader
        self._slots = slots
        self._items = items
        self._num_streamed = num_streamed
        self._is_wanted = is_wanted
        self._following = next(items, None)
        self._count = 0
        self._own_slots: dict[int, int] = {}
        self._holds: dict[int, int] = {}  # slot → the segment whose bytes it has
        self._copies: dict[int, Any] = {}  # slot → event after its last copy
        self._pending: deque[tuple[_Item, int, list[Future[None]]]] = deque()
        self._present = 0

    @property
    def following(self) -> _Item | None:
        """What would be read next."""
        return self._following

    @property
    def is_over(self) -> bool:
        return self._following is None and not self._pending

    def next(self) -> tuple[_Item, torch.Tensor] | None:
        """The next segment and the memory that holds it; None where none is wanted. Raises what reading it raised."""
        while self._following is not None and len(self._pending) < len(self._slots):
            if not self._is_wanted(self._following):
                break
            slot = self._slot_for(self._following)
            if any(slot == busy for _, busy, _ in self._pending):
                break
            self._begin(self._following, slot)
            self._count += 1
            self._following = next(self._items, None)
        if not self._pending:
            return None
        item, self._present, futures = self._pending.popleft()
        for future in futures:
            future.result()
        return item, self._slots[self._present]

    def copied(self, event: Any) -> None:
        """The segment that came last is on its way to the device; its slot is free after `event`."""
        self._copies[self._present] = event

    def close(self) -> None:
        """Wait until nothing writes to the ring or reads from it any more."""
        for _, _, futures in self._pending:
            for future in futures:
                future.cancel()
            wait(futures)
        for event in self._copies.values():
            if event is not None:
                event.synchronize()

    def _slot_for(self, item: _Item) -> int:
        is_first_pass = item.position < len(self._layout.units)
        if is_first_pass or self._num_streamed > len(self._slots):
            return self._count % len(self._slots)
        return self._own_slots.setdefault(item.index, len(self._own_slots))

    def _begin(self, item: _Item, slot: int) -> None:
        if self._holds.get(slot) == item.index:
            self._pending.append((item, slot, []))
            return
        if (event := self._copies.get(slot)) is not None:
            event.synchronize()
        self._holds[slot] = item.index
        segment = self._layout.root if item.index == ROOT else self._layout.units[item.index]
        memory = memoryview(self._slots[slot].numpy())  # type: ignore[arg-type]
        self._pending.append((item, slot, self._reader.read(segment, memory)))
