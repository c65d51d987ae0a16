"""Presets as a folded part of the form: choose and use, save what is in the form, share, import; and own styles.

What is kept is each viewer's own, so choices are filled in when the page opens, never when it is put together.
"""

from __future__ import annotations

import gradio as gr

from pixart_ui.services import Services
from pixart_ui.ui import fragments
from pixart_ui.ui.edge import QUIET
from pixart_ui.ui.form import Form
from pixart_ui.ui.presets_actions import preset_actions
from pixart_ui.ui.presets_handlers import PresetHandlers, PresetParts
from pixart_ui.ui.words import presets as words


def build_presets(services: Services, page: gr.Blocks, form: Form) -> None:
    """Lay it out where the caller stands, and wire it."""
    with gr.Accordion(words.PRESETS, open=False, elem_id="presets"):
        message = gr.HTML(fragments.no_message(), elem_id="presets-message")
        preset = _dropdown(words.PRESET, words.NONE_YET, "field-preset")
        actions = gr.HTML(preset_actions(None, has_any=False), elem_id="preset-actions")
        name = gr.Textbox(label=words.NAME, placeholder=words.NAME_HINT, max_lines=1, elem_id="field-preset_name")
        gr.HTML(_save_actions(), elem_id="preset-save")
        gr.HTML(f'<p class="hint">{words.IMPORT}</p>', elem_id="preset-import")
        file = gr.File(
            label=words.IMPORT, show_label=False, file_types=[".json"], height=76, elem_id="field-preset_file"
        )
        with gr.Accordion(words.OWN_STYLES, open=False, elem_id="own-styles"):
            style, style_name, style_prompt, style_negative = _build_styles()
    parts = PresetParts(
        preset=preset,
        actions=actions,
        name=name,
        file=file,
        style=style,
        style_name=style_name,
        style_prompt=style_prompt,
        style_negative=style_negative,
        message=message,
        verb=gr.Textbox(visible="hidden", elem_id="preset-verb"),
        press=gr.Button(visible="hidden", elem_id="do-preset"),
    )
    _wire(PresetHandlers(services, form, parts), page)


def _dropdown(label: str, info: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown([], value=None, label=label, info=info, filterable=False, interactive=True, elem_id=elem_id)


def _build_styles() -> tuple[gr.Dropdown, gr.Textbox, gr.Textbox, gr.Textbox]:
    style = _dropdown(words.OWN_STYLE, words.NO_STYLES, "field-own_style")
    name = gr.Textbox(
        label=words.STYLE_NAME, placeholder=words.STYLE_NAME_HINT, max_lines=1, elem_id="field-style_name"
    )
    prompt = gr.Textbox(
        label=words.STYLE_PROMPT,
        placeholder=words.STYLE_PROMPT_HINT,
        info=words.STYLE_PROMPT_INFO,
        lines=2,
        elem_id="field-style_prompt",
    )
    negative = gr.Textbox(
        label=words.STYLE_NEGATIVE, placeholder=words.STYLE_NEGATIVE_HINT, lines=1, elem_id="field-style_negative"
    )
    gr.HTML(_style_actions(), elem_id="style-actions")
    return style, name, prompt, negative


def _save_actions() -> str:
    rename = fragments.button(words.RENAME, "preset", verb="rename")
    return f'<div class="actions">{fragments.button(words.SAVE, "preset", verb="save")}{rename}</div>'


def _style_actions() -> str:
    delete = fragments.button(words.DELETE_STYLE, "preset", verb="delete-style", of="style", ask=words.DELETE_STYLE_ASK)
    return f'<div class="actions">{fragments.button(words.SAVE_STYLE, "preset", verb="save-style")}{delete}</div>'


def _wire(handlers: PresetHandlers, page: gr.Blocks) -> None:
    parts, form = handlers.parts, handlers.form
    everything = [*form.inputs(), form.precision_hint, form.style_pictures, *parts.shown()]
    named = parts.press.click(None, None, parts.verb, js="() => window.pixart.target", **QUIET)
    acted = named.then(
        handlers.act, form.inputs() | parts.inputs() | {parts.verb}, everything, preprocess=False, **QUIET
    )
    taken = parts.file.upload(handlers.take_in, {parts.file, form.checkpoint}, everything, preprocess=False, **QUIET)
    for event in (acted, taken):
        event.then(None, js="() => window.pixart.preset.done()", **QUIET)
    chosen = {"preset": parts.preset, "style": parts.style}
    for kind, dropdown in chosen.items():
        dropdown.change(None, dropdown, js=f"(name) => window.pixart.preset.choose('{kind}', name)", **QUIET)
    parts.style.input(
        handlers.show_style, {parts.style}, [*parts.style_texts(), parts.message], preprocess=False, **QUIET
    )
    page.load(
        handlers.refresh,
        {form.checkpoint},
        [parts.preset, parts.actions, parts.style, form.style],
        preprocess=False,
        **QUIET,
    )
