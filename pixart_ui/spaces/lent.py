"""An engine on a GPU that ZeroGPU lends for one call, with the face of an engine of one's own.

`spaces.GPU` runs a generator in a forked process and pickles what it yields. What must stay true:

- only requests and whose they are go in, only events, JSON values and sentences come out;
- the engine is opened in the forked process and kept there for the next call; this process never computes;
- the forked process never touches the journal: SQLite's connections do not survive a fork;
- to cancel is to close the generator, which ends the call at its next event and gives the GPU back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from gradio.exceptions import Error as GradioError

from pixart_ui.errors import PixArtError, WorkerError
from pixart_ui.events import Event, ImageFailed, LatentArray
from pixart_ui.jobs.group_run import EngineLike
from pixart_ui.request import ResolvedRequest

DEVICE_ID = "zero-gpu"
# The title that `spaces` gives to what ends a call from the side of the GPU; every other is a refusal to lend one.
TAKEN_AWAY = "ZeroGPU worker error"

Requests = tuple[ResolvedRequest, ...]
# For each request whose embeddings it may use.
Scopes = tuple[str, ...]
# `spaces.GPU`.
Lend = Callable[..., Any]


@dataclass(frozen=True)
class Lent:
    """What the lent device says of itself."""

    info: Mapping[str, Any]


@dataclass(frozen=True)
class Refused:
    """Why nothing more will come, as a sentence: an exception would arrive as no more than its class's name."""

    message: str


class LentEngine:
    """`seconds` says for how long a GPU is needed; `info` is of the device that was lent last, or the usual one."""

    def __init__(
        self,
        lend: Lend,
        open_engine: Callable[[], EngineLike],
        seconds: Callable[[Requests, Scopes], int],
        info: Mapping[str, Any],
    ) -> None:
        self._open_engine = open_engine
        self._engine: EngineLike | None = None  # of a forked process alone
        self._info = dict(info)
        self._draw = lend(self._draw_there, duration=seconds)

    @property
    def device_id(self) -> str:
        return DEVICE_ID

    def info(self) -> dict[str, Any]:
        return dict(self._info)

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        """Nothing is ever taken up again here: a request ends with its page."""
        return [request.model_dump_json() for request in requests]

    def run(
        self,
        requests: Sequence[ResolvedRequest],
        is_cancelled: Callable[[int], bool],
        latents: Mapping[int, LatentArray] | None = None,
        scopes: Sequence[str] = (),
    ) -> Iterator[Event]:
        """As the engine's own, with a GPU that is asked for now and given back at the end.

        Raises WorkerError where none is lent or it is taken away, PixArtError with the engine's sentence.
        """
        over: set[int] = set()
        try:
            with closing(self._draw(tuple(requests), tuple(scopes))) as said:
                for news in said:
                    if isinstance(news, Lent):
                        self._info = dict(news.info)
                        continue
                    if isinstance(news, Refused):
                        raise PixArtError(news.message)
                    for index in range(len(requests)):
                        if index not in over and is_cancelled(index):
                            over.add(index)
                            yield ImageFailed(index, "Cancelled.", is_cancelled=True)
                    if len(over) == len(requests):
                        return
                    if getattr(news, "index", None) not in over:
                        yield news
        except GradioError as error:
            raise WorkerError(_sentence(error)) from error

    def _draw_there(self, requests: Requests, scopes: Scopes) -> Iterator[Event | Lent | Refused]:
        """Runs in the forked process."""
        try:
            if self._engine is None:
                self._engine = self._open_engine()
            yield from self._engine.run(requests, lambda _: False, scopes=scopes)
            yield Lent(self._engine.info())
        except PixArtError as error:
            yield Refused(error.message)


def _sentence(error: GradioError) -> str:
    """What `spaces` shows in a box of Gradio's, in a sentence of ours."""
    reason = " ".join(str(error.message).split()).rstrip(".")
    if getattr(error, "title", "") == TAKEN_AWAY:
        return f"The GPU went away while this picture was made ({reason}): try again, or ask for less at a time."
    return f"ZeroGPU lent no GPU for this picture: {reason}."
