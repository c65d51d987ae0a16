"""The Queue tab: left the ways in, right the list that everybody sees, and what the buttons do.

The list is HTML that the page's script keeps up to date; hidden buttons and texts carry what is pressed in it. They
stand outside of the tab, whose inside comes into being only when it is first opened: pausing works from Single too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import queue_bar, words
from pixart_ui.ui.edge import LAST, QUIET, guarded
from pixart_ui.ui.form import Form
from pixart_ui.ui.offer import offer
from pixart_ui.ui.queue_verbs import act
from pixart_ui.ui.sweep import Vary
from pixart_ui.ui.way_handlers import WayHandlers
from pixart_ui.ui.ways import Ways, build_ways

ONE_AFTER_THE_OTHER = {"trigger_mode": "multiple", **QUIET}


@dataclass(frozen=True)
class QueueControls:
    """`answer` and `preview` carry HTML to the script; `act` and `draft` are pressed by it."""

    answer: gr.Textbox
    act: gr.Button
    preview: gr.Textbox
    draft: gr.Button


def build_queue_controls(services: Services) -> QueueControls:
    controls = QueueControls(
        gr.Textbox(visible="hidden", elem_id="queue-answer"),
        gr.Button(visible="hidden", elem_id="do-queue"),
        gr.Textbox(visible="hidden", elem_id="draft-html"),
        gr.Button(visible="hidden", elem_id="do-draft"),
    )
    gr.HTML("", elem_id="toast")
    pressed = controls.act.click(
        lambda target: act(services, target),
        controls.answer,
        controls.answer,
        js="() => window.pixart.target",
        **ONE_AFTER_THE_OTHER,
    )
    pressed.then(None, controls.answer, js="(html) => window.pixart.answered(html)", **QUIET)
    return controls


def build_queue(services: Services, form: Form, controls: QueueControls) -> None:
    with gr.Row(elem_id="queueplace"):
        with gr.Column(elem_id="ways", min_width=280):
            gr.HTML(queue_bar.ways_toggle(), elem_id="ways-toggle")
            ways = build_ways(services)
            gr.HTML("", elem_id="draft")
            with gr.Column(elem_id="go-queue"):
                add = gr.Button(words.ADD, variant="primary", size="lg", elem_id="add", interactive=False)
        with gr.Column(elem_id="list", min_width=280):
            _build_list()
    _wire(services, form, ways, controls, add)


def _build_list() -> None:
    gr.HTML(queue_bar.skeleton(), elem_id="queue-head")
    with gr.Row(elem_id="queue-tools"):
        gr.HTML(queue_bar.select_all(), elem_id="queue-all")
        gr.HTML("", elem_id="queue-filter")
        gr.HTML(queue_bar.search(), elem_id="queue-search")
        gr.HTML("", elem_id="queue-export")
        gr.HTML(queue_bar.bar(), elem_id="queue-bar")
    gr.HTML("", elem_id="queue-list")
    gr.HTML("", elem_id="queue-ended")


def _wire(services: Services, form: Form, ways: Ways, controls: QueueControls, add: gr.Button) -> None:
    handlers = WayHandlers(services, form, ways, controls.preview, controls.answer, add)
    inputs = form.inputs() | ways.inputs()
    drafted = controls.draft.click(handlers.draft, inputs, [controls.preview, add], preprocess=False, **LAST)
    drafted.then(None, controls.preview, js="(html) => window.pixart.show('draft', html)", **QUIET)
    for part in ways.inputs():
        part.change(None, js="() => window.pixart.draft()", **QUIET)
    added = add.click(
        handlers.add, inputs, [controls.answer, ways.lines, ways.file, ways.example], preprocess=False, **QUIET
    )
    added.then(None, controls.answer, js="(html) => window.pixart.answered(html)", **QUIET)
    ways.example.input(None, None, ways.file, js="() => null", **QUIET)
    ways.file.upload(None, None, ways.example, js="() => ''", **QUIET)
    form.num_images.change(None, form.num_images, ways.each, js="(count) => count", **QUIET)

    ways.vary.input(
        lambda vary, checkpoint: guarded(lambda: _first_values(services, vary, checkpoint), lambda _: gr.skip()),
        [ways.vary, form.checkpoint],
        ways.values,
        **QUIET,
    )


def _first_values(services: Services, vary: str, checkpoint: str) -> Any:
    """Something to begin with, once a setting is chosen: for the scheduler, all that the checkpoint works with."""
    text = words.VARY_EXAMPLES.get(vary, "")
    if vary == Vary.SCHEDULER:
        text = ", ".join(name for name, _ in offer(services, services.catalog.get(checkpoint)).schedulers)
    return gr.update(value=text, visible=vary != Vary.NOTHING)
