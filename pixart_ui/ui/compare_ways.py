"""What a new comparison is asked with: one axis or two, and the prompts. Lays out and reads.

The settings that no axis names, and the prompt, are those of the form on Single. Values arrive unchecked; every rule
is in `compare/sweep.py`, so that a wrong one gets the same sentence as on the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import gradio as gr
from gradio.components import Component

from pixart_ui.compare.axes import Axis, AxisName
from pixart_ui.compare.prompts import PromptSets
from pixart_ui.compare.sweep import Sweep
from pixart_ui.services import Services, presets_dir
from pixart_ui.ui import words
from pixart_ui.ui.compare_choices import AxisChoices, axis_choices, in_order
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.header import usable_checkpoints
from pixart_ui.ui.offer import offer


class PromptsFrom(StrEnum):
    """Where the rows come from."""

    FORM = "form"
    SET = "set"
    LINES = "lines"


@dataclass(frozen=True)
class AxisParts:
    """The components of one axis."""

    name: gr.Dropdown
    values: gr.CheckboxGroup
    more: gr.Textbox

    def inputs(self) -> set[Component]:
        return {self.name, self.values, self.more}


@dataclass(frozen=True)
class CompareWays:
    """The components; the second axis may be none."""

    first: AxisParts
    second: AxisParts
    prompts: gr.Radio
    lines: gr.Textbox

    def inputs(self) -> set[Component]:
        return self.first.inputs() | self.second.inputs() | {self.prompts, self.lines}


def build_compare_ways(services: Services) -> CompareWays:
    """Lay them out where the caller stands."""
    first = _build_axis(services, words.COMPARE_AXIS, AxisName.PRECISION, "1")
    second = _build_axis(services, words.COMPARE_SECOND_AXIS, None, "2")
    with gr.Column(elem_classes="axis"):
        prompts = gr.Radio(
            [(words.COMPARE_PROMPTS[source], str(source)) for source in PromptsFrom],
            value=str(PromptsFrom.FORM),
            label=words.COMPARE_PROMPTS_LABEL,
            elem_id="compare-prompts",
            elem_classes="chips",
        )
        lines = gr.Textbox(
            label=words.COMPARE_LINES,
            placeholder=words.COMPARE_LINES_EXAMPLE,
            lines=4,
            max_lines=12,
            elem_id="compare-lines",
        )
    return CompareWays(first, second, prompts, lines)


def _build_axis(services: Services, title: str, chosen: AxisName | None, number: str) -> AxisParts:
    names = [(words.COMPARE_AXES[name], str(name)) for name in AxisName]
    found = choices_of(services, chosen, services.default_checkpoint().name)
    with gr.Column(elem_classes="axis"):
        name = gr.Dropdown(
            names if chosen is not None else [(words.COMPARE_NO_AXIS, ""), *names],
            value=str(chosen) if chosen is not None else "",
            label=title,
            filterable=False,
            elem_id=f"compare-axis-{number}",
        )
        values = gr.CheckboxGroup(
            list(found.choices),
            value=list(found.ticked),
            label=words.COMPARE_VALUES,
            visible=chosen is not None,
            elem_id=f"compare-values-{number}",
            elem_classes="chips",
        )
        more = gr.Textbox(
            label=words.COMPARE_MORE, visible=False, max_lines=1, elem_id=f"compare-more-{number}"
        )  # fmt: skip
    return AxisParts(name, values, more)


def choices_of(services: Services, name: object, checkpoint: object) -> AxisChoices:
    """What can be ticked for that axis; nothing where there is none."""
    if name not in tuple(AxisName):
        return AxisChoices((), ())
    offered = offer(services, services.catalog.get(str(checkpoint)))
    return axis_choices(AxisName(str(name)), offered, usable_checkpoints(services))


def adapt_axis(
    services: Services, parts: AxisParts, name: object, checkpoint: object, ticked: object = None
) -> Updates:
    """Another axis was chosen, or another checkpoint: what it offers now. What was ticked stays if all of it can."""
    found, example = choices_of(services, name, checkpoint), words.COMPARE_EXAMPLES.get(str(name), "")
    hint = words.COMPARE_MORE_HINT.format(example=example)
    kept = _texts(ticked)
    if kept and set(kept) <= {sent for _, sent in found.choices}:
        return {parts.values: gr.update(choices=list(found.choices), value=kept), parts.more: gr.skip()}
    return {
        parts.values: gr.update(choices=list(found.choices), value=list(found.ticked), visible=bool(found.choices)),
        parts.more: gr.update(value="", placeholder=hint, visible=bool(example)),
    }


def read_sweep(services: Services, form: Form, ways: CompareWays, values: Values) -> Sweep | None:
    """What is asked for; None where there is no prompt yet. Raises InputError."""
    source = values[ways.prompts]
    prompts = tuple(_prompts(services, source, values[ways.lines], values[form.checkpoint]))
    prompt = prompts[0] if prompts else str(values[form.prompt] or "").strip()
    if not prompt or (source == PromptsFrom.LINES and not prompts):
        return None
    base = form.read({**values, form.prompt: prompt, form.num_images: 1})
    axes = [_axis(services, parts, values, form) for parts in (ways.first, ways.second) if values[parts.name]]
    return Sweep(base, tuple(axes), prompts)


def _prompts(services: Services, source: object, lines: object, checkpoint: object) -> Iterator[str]:
    if source == PromptsFrom.SET:
        sets = PromptSets.load(presets_dir() / "compare")
        yield from sets.for_checkpoint(services.catalog.get(str(checkpoint))).prompts
    elif source == PromptsFrom.LINES:
        yield from (line.strip() for line in str(lines or "").splitlines() if line.strip())


def _axis(services: Services, parts: AxisParts, values: Values, form: Form) -> Axis:
    name = str(values[parts.name])
    offered = choices_of(services, name, values[form.checkpoint]).choices
    ticked = in_order(_texts(values[parts.values]), offered)
    written = [text.strip() for text in str(values[parts.more] or "").split(",") if text.strip()]
    return Axis(name, (*ticked, *written))  # type: ignore[arg-type]  # an unknown name gets its sentence there


def _texts(chosen: Any) -> list[str]:
    return [str(value) for value in chosen] if isinstance(chosen, list) else []
