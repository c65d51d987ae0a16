"""What the page says and does otherwise on a Hugging Face Space.

On ZeroGPU a second event follows Generate: a generator that draws what was just submitted and ends with its page. It
is the one handler that goes through Gradio's queue, since that is what ZeroGPU knows a visitor by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pixart_ui.access import viewer
from pixart_ui.services import Services
from pixart_ui.spaces.kind import SpaceKind
from pixart_ui.ui.words import spaces as words

Draw = Callable[[str], Iterator[None]]
# Parts that would put something into the queue, by their id. Hidden and there: the page's script fills what is in them.
OF_THE_QUEUE = ("enqueue", "queueplace", "compareplace")


@dataclass(frozen=True)
class OnSpace:
    """`draw` draws the jobs of a batch, with a word after each event; None where workers do."""

    kind: SpaceKind
    draw: Draw | None = None


def css() -> str:
    return (Path(__file__).resolve().parent / "spaces.css").read_text(encoding="utf-8")


def build_notice(on_space: OnSpace | None) -> None:
    """Above the tabs, for as long as the page is open."""
    if on_space is not None:
        borrowed = f" {words.BORROWED}" if on_space.draw is not None else ""
        gr.HTML(_note(words.NOT_KEPT + borrowed), elem_id="space-notice")


def build_explanation(on_space: OnSpace | None, text: str) -> None:
    """At the head of a tab that has no use on ZeroGPU."""
    if on_space is not None and on_space.draw is not None:
        gr.HTML(_note(text), elem_classes="space-explanation")


def wire_space(services: Services, page: gr.Blocks, on_space: OnSpace | None) -> None:
    """Once the page is put together, inside its context."""
    if on_space is None or on_space.draw is None:
        return
    parts = {part.elem_id: part for part in page.blocks.values() if getattr(part, "elem_id", None)}
    for name in OF_THE_QUEUE:
        parts[name].elem_classes = [*parts[name].elem_classes, "of-the-queue"]
    ticket: Any = parts["ticket"]
    ticket.change(
        drawing(services, on_space.draw),
        ticket,
        None,
        queue=True,
        concurrency_limit=None,
        trigger_mode="multiple",
        show_progress="hidden",
        api_visibility="undocumented",
    )


def drawing(services: Services, draw: Draw) -> Callable[[str], Iterator[None]]:
    """The handler. Whose page leaves closes it, and with it the drawing."""

    def draw_submitted(batch: str) -> Iterator[None]:
        if services.journal.jobs(batch=str(batch), owner=viewer.current().only, limit=1):
            yield from draw(str(batch))

    return draw_submitted


def _note(text: str) -> str:
    return f'<p class="message note">{escape(text)}</p>'
