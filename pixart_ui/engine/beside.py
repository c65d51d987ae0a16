"""A picture is decoded on a stream of its own while the next one is being denoised.

Half of decoding leaves a large GPU without work, which the next picture's first steps take up. Nobody who reads the
engine's events notices: a `HeadStart` keeps those of the next picture back until this one is out. What must stay true:
a picture that is made is told of before anything that the next one met, an error included. On a processor there are no
streams; the same code then decodes first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Generic, TypeVar

import torch
from PIL import Image

from pixart_ui.events import Event

Result = TypeVar("Result")


class HeadStart(Generic[Result]):
    """The first events of a generator, before anybody wants them. It begins with `run_until`."""

    def __init__(self, events: Generator[Event, None, Result]) -> None:
        self._events = events
        self._early: list[Event] = []
        self._result: list[Result] = []
        self._error: BaseException | None = None

    def run_until(self, is_enough: Callable[[], bool]) -> None:
        """Go on, from event to event, until that is so or the generator has ended. What it raises is kept."""
        while not is_enough() and not self._result and self._error is None:
            try:
                self._early.append(next(self._events))
            except StopIteration as end:
                self._result.append(end.value)
            except Exception as error:  # noqa: BLE001 - whatever it is, `rest` raises it in its turn
                self._error = error

    def rest(self) -> Generator[Event, None, Result]:
        """All events, and what the generator returns. Raises what it raised."""
        yield from self._early
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame, and with it what the steps had made
        return self._result.pop() if self._result else (yield from self._events)

    def close(self) -> None:
        """Nobody will want the rest."""
        self._events.close()


class SideStream:
    """Where pictures are decoded meanwhile; it has no more than one at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @contextmanager
    def current(self) -> Iterator[None]:
        """What is queued in the block runs there, after all that was queued before."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            yield

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is queued in the block runs there, and waits for nothing that was queued elsewhere."""
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            yield

    def fetch(self, pixels: torch.Tensor) -> Fetched:
        """Bring bytes `[height, width, 3]` to the host once what is queued there has made them."""
        return Fetched(pixels, self._stream)


class Fetched:
    """A picture on its way; `pixels` are held until it has come."""

    def __init__(self, pixels: torch.Tensor, stream: Any) -> None:
        self._pixels = pixels
        self._host = pixels
        self._event: Any = None
        if stream is not None:
            with torch.cuda.stream(stream):
                self._host = torch.empty_like(pixels, device="cpu", pin_memory=True)
                self._host.copy_(pixels, non_blocking=True)
                self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                self._event.record(stream)

    def is_there(self) -> bool:
        return self._event is None or bool(self._event.query())

    def image(self) -> Image.Image:
        """Waits for it."""
        if self._event is not None:
            self._event.synchronize()
        return Image.fromarray(self._host.numpy())
