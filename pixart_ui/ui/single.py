"""The Single tab: the form on the left, the picture on the right, and what the buttons do.

No handler waits for a worker: Generate writes to the journal and returns; the page follows `/live`. Handlers get
values by component and run unqueued, so that closing or reloading a page loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import fragments, header, result, words
from pixart_ui.ui.edge import LAST, QUIET
from pixart_ui.ui.editing import Editor, build_edit, wire_edit
from pixart_ui.ui.form import Form, build_form, wire_form
from pixart_ui.ui.handlers import Handlers
from pixart_ui.ui.offer import offer
from pixart_ui.ui.presets_panel import build_presets


@dataclass(frozen=True)
class Controls:
    """What stands around the form. `ticket` carries the batch that was just submitted to the page's script.

    The hidden buttons are pressed by the script for the buttons inside the live regions; `target` is what they are for.
    """

    generate: gr.Button
    enqueue: gr.Button
    message: gr.HTML
    ticket: gr.Textbox
    target: gr.Textbox
    estimate: gr.Textbox
    predict: gr.Button
    cancel: gr.Button
    reuse: gr.Button
    reuse_seed: gr.Button


def build_single(services: Services, page: gr.Blocks, checkpoint: gr.Dropdown, answer: gr.Textbox) -> Form:
    """Returns the form, which the queue takes its settings from. `answer` carries passing notes to the script."""
    first = offer(services, services.default_checkpoint())
    with gr.Row(elem_id="workplace"):
        with gr.Column(elem_id="left", min_width=280):
            form = build_form(first, checkpoint)
            build_presets(services, page, form)
            with gr.Accordion(words.MORE_CHECKPOINTS, open=False, elem_id="larger"):
                larger = gr.HTML(header.larger_checkpoints(services))
            with gr.Column(elem_id="go"):
                message = gr.HTML(fragments.no_message(), elem_id="message")
                gr.HTML("", elem_id="estimate")
                with gr.Row(elem_id="go-buttons"):
                    generate = gr.Button(words.GENERATE, variant="primary", size="lg", elem_id="generate")
                    enqueue = gr.Button(words.ADD_TO_QUEUE, size="lg", elem_id="enqueue")
                edit = build_edit()
        with gr.Column(elem_id="right", min_width=280):
            gr.HTML(result.nothing_yet(), elem_id="stage")
            gr.HTML(f"<h2>{words.RECENT}</h2>", elem_id="strip")
    controls = Controls(generate, enqueue, message, *_hidden())
    wire_form(form)
    _wire(services, form, controls)
    wire_edit(Editor(services, form, edit, controls.target, message, answer), controls.target)
    # A checkpoint may have been fetched since the page was put together.
    page.load(
        lambda: (gr.update(choices=header.usable_checkpoints(services)), header.larger_checkpoints(services)),
        outputs=[checkpoint, larger],
        **QUIET,
    )
    return form


def _hidden() -> tuple[gr.Textbox, gr.Textbox, gr.Textbox, gr.Button, gr.Button, gr.Button, gr.Button]:
    return (
        gr.Textbox(visible="hidden", elem_id="ticket"),
        gr.Textbox(visible="hidden", elem_id="target"),
        gr.Textbox(visible="hidden", elem_id="estimate-html"),
        gr.Button(visible="hidden", elem_id="do-predict"),
        gr.Button(visible="hidden", elem_id="do-cancel"),
        gr.Button(visible="hidden", elem_id="do-reuse"),
        gr.Button(visible="hidden", elem_id="do-seed"),
    )


def _wire(services: Services, form: Form, controls: Controls) -> None:
    inputs = form.inputs()
    handlers = Handlers(services, form, controls.message, controls.ticket, controls.estimate)
    everything = [*inputs, form.precision_hint, controls.message]
    seed = [form.seed, form.drawn_seed, form.is_seed_kept]
    for_target = {"inputs": controls.target, "js": "() => window.pixart.target", **QUIET}
    pressed = controls.generate.click(
        handlers.generate,
        inputs,
        [controls.message, controls.ticket, *seed],
        preprocess=False,
        api_name="generate",
        **QUIET,
    )
    pressed.then(None, controls.ticket, js="(ticket) => window.pixart.follow(ticket)", **QUIET)
    _wire_estimate(form, controls, handlers)
    form.precision.change(handlers.precision_hint, inputs, form.precision_hint, preprocess=False, **QUIET)
    for event in (
        form.checkpoint.input(handlers.adapt, inputs, everything, preprocess=False, **QUIET),
        controls.enqueue.click(handlers.enqueue, inputs, controls.message, preprocess=False, **QUIET),
        controls.cancel.click(handlers.cancel, outputs=controls.message, **for_target),
        controls.reuse.click(handlers.reuse, outputs=everything, **for_target),
        controls.reuse_seed.click(handlers.reuse_seed, outputs=[controls.message, *seed], **for_target),
    ):
        event.then(None, js="() => window.pixart.told()", **QUIET)


def _wire_estimate(form: Form, controls: Controls, handlers: Handlers) -> None:
    """The script presses the hidden button a moment after the last change, and when the engine has news."""
    costly = form.costly_inputs()
    for part in costly:
        part.change(None, js="() => window.pixart.predict()", **QUIET)
    predicted = controls.predict.click(
        handlers.predict, costly, [controls.estimate, controls.message], preprocess=False, **LAST
    )
    predicted.then(None, controls.estimate, js="(html) => window.pixart.show('estimate', html)", **QUIET)
