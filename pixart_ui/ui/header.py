"""What is always there: name, checkpoint, device and free memory, queue, light or dark; and whether it is paused."""

from __future__ import annotations

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import fragments, words
from pixart_ui.ui.shortcuts import sheet
from pixart_ui.ui.words import single as single_words

SKELETON = f'<div data-live="engine"><span class="device" data-is="starting">{words.ENGINE_STARTING}</span></div>'
SWITCH = (
    f'<button type="button" class="switch" data-act="theme" aria-label="{words.THEME_SWITCH}" '
    f'title="{words.THEME_SWITCH}"><span aria-hidden="true"></span></button>'
)
KEYS = (
    f'<button type="button" class="switch" data-act="keys" aria-label="{single_words.KEYS}" '
    f'title="{single_words.KEYS}">?</button>'
)


def build_header(services: Services) -> gr.Dropdown:
    """Returns the checkpoint's dropdown, which belongs to the form."""
    with gr.Row(elem_id="header", equal_height=True):
        gr.HTML(f"<h1>{words.TITLE}</h1>", elem_id="brand")
        checkpoint = gr.Dropdown(
            usable_checkpoints(services),
            value=services.default_checkpoint().name,
            label=words.CHECKPOINT,
            show_label=False,
            container=False,
            filterable=False,
            elem_id="field-checkpoint",
            scale=0,
            min_width=190,
        )
        gr.HTML(SKELETON, elem_id="engine")
        gr.HTML(SWITCH + KEYS + sheet(), elem_id="switch")
    gr.HTML("", elem_id="paused")
    return checkpoint


def usable_checkpoints(services: Services) -> list[tuple[str, str]]:
    """What is on this disk; PixArt-Tiny always, as it is part of the app."""
    usable = [entry for entry in services.catalog if entry.name == "tiny" or services.hub.is_available(entry)]
    return [(entry.title, entry.name) for entry in usable]


def larger_checkpoints(services: Services) -> str:
    """The published checkpoints that could be fetched."""
    return fragments.checkpoints(
        entry for entry in services.catalog if not entry.is_local and not services.hub.is_available(entry)
    )
