"""The Gallery tab: search and filters above, pictures edge to edge, and the open one in a panel beside them.

What is shown is HTML that the page's script keeps up to date. Hidden buttons and texts carry what is pressed in it, and
the file that somebody drops; they stand outside of the tab, whose inside comes into being only when it is first opened.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import gallery_tools
from pixart_ui.ui.compare_ways import CompareWays
from pixart_ui.ui.edge import QUIET
from pixart_ui.ui.form import Form
from pixart_ui.ui.gallery_taking import Taking
from pixart_ui.ui.gallery_verbs import act


@dataclass(frozen=True)
class GalleryControls:
    """`act`, `reuse`, `seed` and `compare` are pressed by the script; `went` tells it which tab to open then."""

    act: gr.Button
    reuse: gr.Button
    seed: gr.Button
    compare: gr.Button
    target: gr.Textbox
    went: gr.Textbox
    file: gr.File


def build_gallery_controls(services: Services, answer: gr.Textbox) -> GalleryControls:
    """`answer` carries passing notes to the script."""
    controls = GalleryControls(
        act=gr.Button(visible="hidden", elem_id="do-gallery"),
        reuse=gr.Button(visible="hidden", elem_id="do-gallery-reuse"),
        seed=gr.Button(visible="hidden", elem_id="do-gallery-seed"),
        compare=gr.Button(visible="hidden", elem_id="do-gallery-compare"),
        target=gr.Textbox(visible="hidden", elem_id="gallery-target"),
        went=gr.Textbox(visible="hidden", elem_id="gallery-went"),
        file=gr.File(visible="hidden", elem_id="field-png"),
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


def build_gallery() -> None:
    """Lay it out where the caller stands."""
    with gr.Row(elem_id="galleryplace"):
        with gr.Column(elem_id="gallery-main", min_width=280):
            with gr.Row(elem_id="gallery-tools"):
                gr.HTML(gallery_tools.search(), elem_id="gallery-search")
                gr.HTML("", elem_id="gallery-kinds")
                gr.HTML(gallery_tools.opener(), elem_id="gallery-opener")
                gr.HTML("", elem_id="gallery-filters")
                gr.HTML("", elem_id="gallery-count")
                gr.HTML(gallery_tools.bar(), elem_id="gallery-bar")
            gr.HTML("", elem_id="gallery-grid")
        gr.HTML("", elem_id="gallery-detail")


def wire_gallery(
    services: Services, form: Form, ways: CompareWays, controls: GalleryControls, answer: gr.Textbox
) -> None:
    """What fills the form, once there is one."""
    taking = Taking(services, form, ways, controls.target, controls.file, answer, controls.went)
    inputs = {form.checkpoint, controls.target, controls.file}
    told = [answer, controls.went]
    filled = [*form.inputs(), form.precision_hint, *told]
    settings = {"preprocess": False, **QUIET}
    for button, handler, outputs in (
        (controls.reuse, taking.reuse, filled),
        (controls.seed, taking.seed, [form.seed, form.drawn_seed, form.is_seed_kept, *told]),
        (controls.compare, taking.compare, list({*filled, *ways.inputs()})),
    ):
        named = button.click(None, None, controls.target, js="() => window.pixart.target", **QUIET)
        _go(named.then(handler, inputs, outputs, **settings), controls, answer)
    dropped = controls.file.upload(taking.drop, inputs, [*filled, controls.file], **settings)
    _go(dropped, controls, answer)


def _go(event: gr.events.Dependency, controls: GalleryControls, answer: gr.Textbox) -> None:
    """The script opens the tab and shows the note."""
    event.then(None, [answer, controls.went], js="(html, tab) => window.pixart.took(html, tab)", **QUIET)
