"""The ways into the queue, left on its tab: what is in the form, lines of prompts, a file. Lays out and reads.

What a line or a file leaves out is taken from the form on Single. A file's path is used only if it lies where Gradio
keeps uploads: values arrive unchecked, and a page could name any file.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pixart_ui.batches import ENDINGS, Draft, read_file
from pixart_ui.errors import InputError
from pixart_ui.request import GenerationRequest
from pixart_ui.resolving import RANDOM_SEED_BITS
from pixart_ui.services import Services, presets_dir
from pixart_ui.ui import fragments, words
from pixart_ui.ui.form import Form, Values
from pixart_ui.ui.sweep import Sweep, Vary, sweep


class Way(StrEnum):
    """Where the jobs come from."""

    FORM = "form"
    LINES = "lines"
    FILE = "file"


@dataclass(frozen=True)
class Ways:
    """The components. `example` names a shipped queue; a file that a person brings goes before it."""

    way: gr.Radio
    vary: gr.Dropdown
    values: gr.Textbox
    each: gr.Number
    lines: gr.Textbox
    file: gr.File
    example: gr.Textbox

    def inputs(self) -> set[Component]:
        return {getattr(self, part.name) for part in fields(self)}


@dataclass(frozen=True)
class Asked:
    """A draft, and what the form says of the settings that its rows do not name.

    Without `has_seeds` the draft's seeds are drawn at random, each time anew.
    """

    draft: Draft
    base: GenerationRequest
    has_seeds: bool = True


def build_ways(services: Services) -> Ways:
    """Lay them out where the caller stands; the style sheet shows the part of the way that is chosen."""
    way = gr.Radio(
        [(words.WAYS[way], str(way)) for way in Way],
        value=str(Way.FORM),
        label=words.ADD_JOBS,
        elem_id="way",
        elem_classes="chips",
    )
    with gr.Column(elem_classes=["way", "way-form"]):
        with gr.Row(elem_id="sweep"):
            vary = gr.Dropdown(
                [(words.VARY[vary], str(vary)) for vary in Vary],
                value=str(Vary.NOTHING),
                label=words.VARY_LABEL,
                filterable=False,
                elem_id="field-vary",
            )
            each = gr.Number(1, label=words.EACH, elem_id="field-each")
        values = gr.Textbox(
            label=words.VALUES, info=words.VALUES_HINT, elem_id="field-values", max_lines=1, visible=False
        )
    with gr.Column(elem_classes=["way", "way-lines"]):
        lines = gr.Textbox(
            label=words.LINES, placeholder=words.LINES_EXAMPLE, lines=7, max_lines=14, elem_id="field-lines"
        )
        gr.HTML(_wildcards(services), elem_id="wildcards")
    with gr.Column(elem_classes=["way", "way-file"]):
        gr.HTML(f'<p class="title">{words.FILE}</p>')
        file = gr.File(label=words.FILE, show_label=False, file_types=list(ENDINGS), elem_id="field-file", height=116)
        gr.HTML(_examples(), elem_id="examples")
        example = gr.Textbox(visible="hidden", elem_id="example")
    return Ways(way, vary, values, each, lines, file, example)


def asked_for(services: Services, form: Form, ways: Ways, values: Values) -> Asked | None:
    """What the chosen way holds; None where it holds nothing yet. Raises InputError."""
    way = values[ways.way]
    if way == Way.LINES:
        text = str(values[ways.lines] or "")
        return _read(services, text, "lines.txt", form, values) if text.strip() else None
    if way == Way.FILE:
        source = _source(services, values[ways.file], values[ways.example])
        return _read(services, read_file(source[0]), source[1], form, values) if source is not None else None
    if not str(values[form.prompt] or "").strip():
        return None
    base = form.read(values)
    asked = Sweep(_vary(values[ways.vary]), str(values[ways.values] or ""), values[ways.each])
    draft = services.check_draft(sweep(base, asked, secrets.randbits(RANDOM_SEED_BITS)))
    varied = {str(asked.vary): None} if asked.vary is not Vary.NOTHING else {}
    has_seeds = base.seed is not None or asked.vary is Vary.SEED
    return Asked(draft, base.model_copy(update=varied | {"num_images": 1}), has_seeds)


def examples() -> Mapping[str, Path]:
    """The shipped queues by name."""
    found = sorted(path for path in (presets_dir() / "queues").glob("*") if path.suffix in ENDINGS)
    return {path.name: path for path in found}


def _read(services: Services, content: str | bytes, name: str, form: Form, values: Values) -> Asked:
    base = form.read({**values, form.prompt: "any"})
    return Asked(services.draft(content, name=name, base=base), base)


def _source(services: Services, file: Any, example: object) -> tuple[Path, str] | None:
    """The file to read and its name. Raises InputError for one that was not uploaded here."""
    if isinstance(file, Mapping) and file.get("path"):
        path, uploads = Path(str(file["path"])).resolve(), (services.settings.temp_dir / "gradio").resolve()
        if not path.is_relative_to(uploads) or not path.is_file():
            raise InputError(words.FILE_IS_GONE)
        return path, str(file.get("orig_name") or path.name)
    shipped = examples().get(str(example or ""))
    return (shipped, shipped.name) if shipped is not None else None


def _vary(value: object) -> Vary:
    return Vary(value) if value in tuple(Vary) else Vary.NOTHING


def _wildcards(services: Services) -> str:
    names = "".join(
        fragments.button(f"__{name}__", "wildcard", css="chip code", text=f"__{name}__")
        for name in services.wildcards.names
    )
    return (
        f'<p class="hint">{words.LINES_HINT}</p>'
        f'<details class="names-of"><summary>{words.WILDCARDS}</summary><div class="names">{names}</div></details>'
    )


def _examples() -> str:
    buttons = "".join(
        fragments.button(words.example_name(name), "example", css="chip", name=name) for name in examples()
    )
    return f'<p class="hint">{words.FILE_HINT}</p><div class="names">{buttons}</div>' if buttons else ""
