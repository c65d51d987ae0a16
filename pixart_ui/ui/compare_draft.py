"""A comparison before it starts, as HTML: how many runs, how long, how much memory, and the grid that they make."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.axes import AxisName
from pixart_ui.compare.forecast import SweepPrediction
from pixart_ui.compare.summary import column_values
from pixart_ui.compare.sweep import Role, Sweep, label_of
from pixart_ui.request import GenerationRequest
from pixart_ui.ui import words
from pixart_ui.ui.draft_view import SETTINGS
from pixart_ui.ui.fragments import button

COLUMNS_SHOWN = 16
# The request's fields that an axis takes the place of.
_FIELDS = {
    AxisName.GUIDANCE: ("guidance_scale",),
    AxisName.SIZE: ("width", "height"),
    AxisName.TRANSFORMER_PRECISION: ("transformer_precision",),
}


def view(sweep: Sweep, prediction: SweepPrediction) -> str:
    return f'<div class="sweep">{_sum(prediction)}{_columns(sweep)}{_rest(sweep)}</div>'


def problem(text: str) -> str:
    return f'<div class="sweep"><p class="message problem" role="alert">{escape(text)}</p></div>'


def no_prompt(examples: Sequence[str]) -> str:
    """Some to begin with; one that is pressed stands in the form then."""
    tries = "".join(button(text, "try", css="chip", prompt=text) for text in examples)
    return f'<div class="sweep"><p class="hint">{words.COMPARE_NO_PROMPT}</p><div class="names">{tries}</div></div>'


def nothing() -> str:
    return f'<div class="sweep"><p class="hint">{words.COMPARE_NOTHING}</p></div>'


def _sum(prediction: SweepPrediction) -> str:
    parts = [f"<b>{words.num_runs(prediction.num_runs)}</b>"]
    if prediction.seconds is None or prediction.peak_bytes is None:
        parts.append(words.COMPARE_NO_TIME)
    else:
        parts.append(words.about(prediction.seconds))
        parts.append(words.COMPARE_PEAK.format(peak=show_bytes(prediction.peak_bytes)))
    return f'<p class="sum">{" · ".join(parts)}</p>'


def _columns(sweep: Sweep) -> str:
    """The columns of the grid by their names, and for how many prompts."""
    cells = [cell for cell in sweep.cells() if cell.role is Role.CELL and cell.prompt_index == 0]
    names = {label_of(column_values(sweep, cell.values)): cell.is_reference for cell in cells}
    shown = "".join(_column(name, is_reference) for name, is_reference in list(names.items())[:COLUMNS_SHOWN])
    more = len(names) - COLUMNS_SHOWN
    rest = f"<li>{words.AND_MORE.format(count=f'{more:,}')}</li>" if more > 0 else ""
    grid = words.COMPARE_GRID.format(
        columns=words.count_jobs(len(names), words.COLUMN, words.COLUMNS),
        prompts=words.count_jobs(len(sweep.prompts), words.PROMPT_COUNT, words.PROMPTS_COUNT),
    )
    return f'<ul class="ways-of" aria-label="{grid}">{shown}{rest}</ul>'


def _column(name: str, is_reference: bool) -> str:
    mark = f" <i>{words.COMPARE_REFERENCE}</i>" if is_reference else ""
    return f"<li>{escape(name)}{mark}</li>"


def _rest(sweep: Sweep) -> str:
    """What no axis says: the prompt, and the settings of the form."""
    grid = words.count_jobs(len(sweep.prompts), words.PROMPT_COUNT, words.PROMPTS_COUNT)
    prompts = f"“{sweep.prompts[0]}”" if len(sweep.prompts) == 1 else grid
    settings = " · ".join(_settings(sweep.request, {axis.name for axis in sweep.axes}))
    return (
        f'<p class="hint said-of">{escape(prompts)}</p>'
        f'<p class="hint">{words.COMPARE_BASE.format(settings=escape(settings))} {words.COMPARE_FLOOR}</p>'
    )


def _settings(request: GenerationRequest, axes: set[AxisName]) -> list[str]:
    given = request.model_dump(exclude_none=True)
    for axis in axes:
        for name in _FIELDS.get(axis, (str(axis),)):
            given.pop(name, None)
    size = [words.size_label(given["width"], given["height"])] if {"width", "height"} <= set(given) else []
    return [*size, *(words.setting(name, given[name]) for name in SETTINGS if name in given)]
