"""The Compare tab: above what a new comparison is asked with, below the one that is open; the grid is the page.

What is shown is HTML that the page's script keeps up to date. Hidden buttons and texts carry what is pressed in it;
they stand outside of the tab, whose inside comes into being only when it is first opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import compare_pair, words
from pixart_ui.ui.compare_handlers import CompareHandlers
from pixart_ui.ui.compare_verbs import act
from pixart_ui.ui.compare_ways import AxisParts, CompareWays, build_compare_ways
from pixart_ui.ui.edge import LAST, QUIET
from pixart_ui.ui.form import Form


@dataclass(frozen=True)
class CompareControls:
    """`preview` and `ticket` carry what came of it to the script; `draft` and `act` are pressed by it."""

    preview: gr.Textbox
    ticket: gr.Textbox
    draft: gr.Button
    act: gr.Button


def build_compare_controls(services: Services, answer: gr.Textbox) -> CompareControls:
    """`answer` carries passing notes to the script."""
    controls = CompareControls(
        gr.Textbox(visible="hidden", elem_id="compare-html"),
        gr.Textbox(visible="hidden", elem_id="compare-ticket"),
        gr.Button(visible="hidden", elem_id="do-compare-draft"),
        gr.Button(visible="hidden", elem_id="do-compare"),
    )
    pressed = controls.act.click(
        lambda target: act(services, target),
        answer,
        answer,
        js="() => window.pixart.target",
        trigger_mode="multiple",
        **QUIET,
    )
    pressed.then(None, answer, js="(html) => window.pixart.answered(html)", **QUIET)
    return controls


def build_compare(services: Services, form: Form, controls: CompareControls, answer: gr.Textbox) -> CompareWays:
    """Returns what a comparison is asked with."""
    with gr.Column(elem_id="compareplace"):
        with gr.Row(elem_id="compare-bar"):
            gr.HTML(_toggle(), elem_id="compare-toggle")
            gr.HTML("", elem_id="compare-list")
        with gr.Column(elem_id="compare-new"):
            with gr.Row(elem_id="compare-ways"):
                ways = build_compare_ways(services)
            with gr.Row(elem_id="compare-go"):
                gr.HTML("", elem_id="compare-draft")
                start = gr.Button(
                    words.COMPARE_START, variant="primary", size="lg", elem_id="compare-start", interactive=False
                )
        gr.HTML("", elem_id="compare-head")
        gr.HTML("", elem_id="compare-grid")
        gr.HTML("", elem_id="compare-figures")
        gr.HTML(compare_pair.window(), elem_id="compare-pair")
    _wire(services, form, ways, controls, answer, start)
    return ways


def _toggle() -> str:
    return (
        '<button type="button" class="quiet" data-act="compare-new" aria-expanded="false" '
        f'aria-controls="compare-new">{words.NEW_COMPARISON}</button>'
    )


def _wire(
    services: Services, form: Form, ways: CompareWays, controls: CompareControls, answer: gr.Textbox, start: gr.Button
) -> None:
    handlers = CompareHandlers(services, form, ways, controls.preview, answer, controls.ticket, start)
    inputs = form.inputs() | ways.inputs()
    drafted = controls.draft.click(handlers.draft, inputs, [controls.preview, start], preprocess=False, **LAST)
    drafted.then(None, controls.preview, js="(html) => window.pixart.show('compare-draft', html)", **QUIET)
    for part in inputs:
        part.change(None, js="() => window.pixart.compareDraft()", **QUIET)
    started = start.click(handlers.start, inputs, [answer, controls.ticket], preprocess=False, **QUIET)
    started.then(None, [answer, controls.ticket], js="(html, id) => window.pixart.compared(html, id)", **QUIET)
    for parts in (ways.first, ways.second):
        _wire_axis(handlers, parts, form)


def _wire_axis(handlers: CompareHandlers, parts: AxisParts, form: Form) -> None:
    """What can be ticked follows the axis, and the checkpoint; what is ticked stays where another one offers it too."""
    for event, inputs in (
        (parts.name.input, [parts.name, form.checkpoint]),
        (form.checkpoint.change, [parts.name, form.checkpoint, parts.values]),
    ):
        event(partial(handlers.adapt, parts), inputs, [parts.values, parts.more], preprocess=False, **QUIET)
