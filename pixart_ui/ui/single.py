"""The Single tab: the form on the left, the picture on the right, and what the buttons do.

No handler waits for a worker: Generate writes to the journal and returns; the page follows `/live`. Handlers get
values by component and run unqueued, so that closing or reloading a page loses nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import fragments, header, result, words
from pixart_ui.ui.edge import LAST, QUIET
from pixart_ui.ui.editing import Editor, build_edit, wire_edit
from pixart_ui.ui.form import Form
from pixart_ui.ui.form_layout import build_form, wire_form
from pixart_ui.ui.handlers import Handlers
from pixart_ui.ui.offer import offer
from pixart_ui.ui.presets_panel import build_presets
from pixart_ui.ui.remembering import NEVER


@dataclass(frozen=True)
class Controls:
    """What stands around the form. `ticket` carries the batch that was just submitted to the page's script, `estimate`
    and `reading` what is said of the form.

    The hidden buttons are pressed by the script, for the buttons inside the live regions among others; `target` is what
    they are for, or what the browser remembers.
    """

    generate: gr.Button
    enqueue: gr.Button
    message: gr.HTML
    ticket: gr.Textbox
    target: gr.Textbox
    estimate: gr.Textbox
    reading: gr.Textbox
    predict: gr.Button
    read_prompt: gr.Button
    recall: gr.Button
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
    controls = Controls(generate=generate, enqueue=enqueue, message=message, **_hidden())
    wire_form(form)
    handlers = _wire(services, form, controls)
    _wire_memory(form, controls, handlers)
    wire_edit(Editor(services, form, edit, controls.target, message, answer), controls.target)
    # A checkpoint may have been fetched since the page was put together.
    dressed = [form.quality, form.style_pictures, message]
    page.load(handlers.dress, {form.checkpoint}, dressed, preprocess=False, **QUIET)
    page.load(
        lambda: (gr.update(choices=header.usable_checkpoints(services)), header.larger_checkpoints(services)),
        outputs=[checkpoint, larger],
        **QUIET,
    )
    return form


def _hidden() -> dict[str, gr.Textbox | gr.Button]:
    texts = {"ticket": "ticket", "target": "target", "estimate": "estimate-html", "reading": "reading-html"}
    buttons = {
        "predict": "do-predict",
        "read_prompt": "do-read",
        "recall": "do-recall",
        "cancel": "do-cancel",
        "reuse": "do-reuse",
        "reuse_seed": "do-seed",
    }
    return {
        **{name: gr.Textbox(visible="hidden", elem_id=elem_id) for name, elem_id in texts.items()},
        **{name: gr.Button(visible="hidden", elem_id=elem_id) for name, elem_id in buttons.items()},
    }


def _wire(services: Services, form: Form, controls: Controls) -> Handlers:
    inputs = form.inputs()
    handlers = Handlers(
        services,
        form,
        message=controls.message,
        ticket=controls.ticket,
        estimate=controls.estimate,
        reading=controls.reading,
    )
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
        form.swap.click(handlers.swap, {form.size, form.checkpoint}, form.size, preprocess=False, **QUIET),
        controls.enqueue.click(handlers.enqueue, inputs, controls.message, preprocess=False, **QUIET),
        controls.cancel.click(handlers.cancel, outputs=controls.message, **for_target),
        controls.reuse.click(handlers.reuse, outputs=everything, **for_target),
        controls.reuse_seed.click(handlers.reuse_seed, outputs=[controls.message, *seed], **for_target),
    ):
        event.then(None, js="() => window.pixart.told()", **QUIET)
    dressed = [form.quality, form.style_pictures, controls.message]
    form.checkpoint.change(handlers.dress, {form.checkpoint}, dressed, preprocess=False, **QUIET)
    return handlers


def _wire_estimate(form: Form, controls: Controls, handlers: Handlers) -> None:
    """The script presses the hidden button a moment after the last change, and when the engine has news."""
    costly = form.costly_inputs()
    for part in costly:
        part.change(None, js="() => window.pixart.predict()", **QUIET)
    predicted = controls.predict.click(
        handlers.predict, costly, [controls.estimate, form.size_hint, controls.message], preprocess=False, **LAST
    )
    predicted.then(None, controls.estimate, js="(html) => window.pixart.show('estimate', html)", **QUIET)
    read = {form.prompt, form.style, form.checkpoint}
    for part in read:
        part.change(None, js="() => window.pixart.readPrompt()", **QUIET)
    told = controls.read_prompt.click(
        handlers.read_prompt, read, [controls.reading, controls.message], preprocess=False, **LAST
    )
    told.then(None, controls.reading, js="(html) => window.pixart.show('prompt-hint', html)", **QUIET)


def _wire_memory(form: Form, controls: Controls, handlers: Handlers) -> None:
    """Each change is written into the browser's storage; when the page opens, the script brings it back."""
    parts = {name: part for name, part in form.kept_parts().items() if name not in NEVER}
    remember = f"(...values) => window.pixart.remember({json.dumps(list(parts))}, values)"
    for part in parts.values():
        part.change(None, list(parts.values()), js=remember, **QUIET)
    brought = controls.recall.click(None, None, controls.target, js="() => window.pixart.remembered()", **QUIET)
    brought.then(
        handlers.recall,
        controls.target,
        [*form.inputs(), form.precision_hint, controls.message],
        preprocess=False,
        **QUIET,
    )
