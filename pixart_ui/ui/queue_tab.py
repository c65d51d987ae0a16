"""The Queue tab: left the ways in, right the list that everybody sees, and what the buttons do.

The list is HTML that the page's script keeps up to date; a hidden button and a text carry what is pressed in it.
"""

from __future__ import annotations

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import queue_bar
from pixart_ui.ui.edge import QUIET
from pixart_ui.ui.queue_verbs import act


def build_queue(services: Services) -> None:
    with gr.Row(elem_id="queueplace"):
        with gr.Column(elem_id="ways", min_width=280):
            pass
        with gr.Column(elem_id="list", min_width=280):
            gr.HTML(queue_bar.skeleton(), elem_id="queue-head")
            with gr.Row(elem_id="queue-tools"):
                gr.HTML("", elem_id="queue-filter")
                gr.HTML(queue_bar.search(), elem_id="queue-search")
            gr.HTML("", elem_id="queue-list")
            gr.HTML(queue_bar.bar(), elem_id="queue-bar")
            gr.HTML("", elem_id="queue-ended")


def build_queue_controls(services: Services) -> None:
    """Outside of the tab, whose inside comes into being only when it is first opened: pausing works from Single too."""
    answer = gr.Textbox(visible="hidden", elem_id="queue-answer")
    pressed = gr.Button(visible="hidden", elem_id="do-queue")
    gr.HTML("", elem_id="toast")
    event = pressed.click(
        lambda target: act(services, target),
        answer,
        answer,
        js="() => window.pixart.target",
        trigger_mode="multiple",
        **QUIET,
    )
    event.then(None, answer, js="(html) => window.pixart.answered(html)", **QUIET)
