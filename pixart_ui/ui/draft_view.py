"""A draft as HTML, before anything is added: how many jobs, how long, the first rows, and what is wrong with which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pixart_ui.batches import Draft
from pixart_ui.request import GenerationRequest
from pixart_ui.ui import words
from pixart_ui.ui.sweep import FORM

ROWS_SHOWN = 6
PROBLEMS_SHOWN = 20
# What stands in a row, in this order, where it differs from what the form says.
SETTINGS = ("style", "checkpoint", "steps", "guidance_scale", "scheduler", "precision", "transformer_precision", "seed")


def view(draft: Draft, base: GenerationRequest, seconds: float | None, *, has_seeds: bool) -> str:
    """`base` is what the form says; `seconds` None where no worker can tell.

    Seeds are shown only if they are the ones that will be used.
    """
    if draft.problems:
        return f'<div class="draft">{_problems(draft)}</div>'
    parts = (_sum(draft, seconds), _notes(draft.notes), _table(draft, base, has_seeds), _rest(base))
    return f'<div class="draft">{"".join(parts)}</div>'


def hint(text: str) -> str:
    """Nothing to add yet, and how to come by something."""
    return f'<div class="draft"><p class="hint">{escape(text)}</p></div>'


def problem(text: str) -> str:
    """The whole cannot be read."""
    return f'<div class="draft"><p class="message problem" role="alert">{escape(text)}</p></div>'


def _sum(draft: Draft, seconds: float | None) -> str:
    kind = "" if draft.kind == FORM else f'<span class="tag">{words.KINDS[draft.kind]}</span>'
    time = "" if seconds is None else f" · {words.about(seconds)}"
    return f'<p class="sum"><b>{words.num_jobs(draft.num_jobs)}</b>{time}{kind}</p>'


def _notes(notes: Iterable[str]) -> str:
    return "".join(f'<p class="hint">{escape(note)}</p>' for note in notes)


def _rest(base: GenerationRequest) -> str:
    """What the rows do not say."""
    size = [words.size_label(base.width, base.height)] if base.width is not None and base.height is not None else []
    said = base.model_dump(exclude_none=True)
    settings = " · ".join([*size, *(words.setting(name, said[name]) for name in SETTINGS if name in said)])
    return f'<p class="hint">{words.FROM_FORM.format(settings=escape(settings))}</p>'


def _table(draft: Draft, base: GenerationRequest, has_seeds: bool) -> str:
    shown = list(zip(draft.requests, draft.rows, strict=True))[:ROWS_SHOWN]
    rows = "".join(_row(number, request, _differences(request, base, has_seeds)) for request, number in shown)
    more = len(draft.requests) - len(shown)
    rest = f'<p class="hint">{words.AND_MORE.format(count=f"{more:,}")}</p>' if more else ""
    head = f'<tr><th scope="col">{words.ROW}</th><th scope="col">{words.PROMPT}</th></tr>'
    columns = '<colgroup><col class="num"><col></colgroup>'
    return f'<table>{columns}<thead class="unseen">{head}</thead><tbody>{rows}</tbody></table>{rest}'


def _row(number: int, request: GenerationRequest, differences: Sequence[str]) -> str:
    settings = " · ".join(differences)
    below = f'<span class="short">{escape(settings)}</span>' if settings else ""
    prompt = escape(request.prompt)
    return (
        f'<tr><td class="num">{number:,}</td><td><span class="asked" title="{prompt}">{prompt}</span>{below}</td></tr>'
    )


def _differences(request: GenerationRequest, base: GenerationRequest, has_seeds: bool) -> list[str]:
    """What the row says of its own."""
    known = base.model_dump()
    said = {
        name: value for name, value in request.model_dump().items() if value is not None and value != known.get(name)
    }
    parts = [words.size_label(said["width"], request.height or 0)] if "width" in said else []
    parts += [words.setting(name, said[name]) for name in SETTINGS if name in said and (has_seeds or name != "seed")]
    if "negative_prompt" in said:
        parts.append(words.WITHOUT.format(text=said["negative_prompt"]))
    if request.num_images > 1:
        parts.append(words.num_seeds(request.num_images))
    return parts


def _problems(draft: Draft) -> str:
    """Row by row, the first ones; nothing is added while there is one."""
    count = len(draft.problems)
    intro = words.PROBLEM_ROW if count == 1 else words.PROBLEM_ROWS.format(count=f"{count:,}")
    rows = "".join(f"<li>{escape(str(problem))}</li>" for problem in draft.problems[:PROBLEMS_SHOWN])
    more = count - PROBLEMS_SHOWN
    rest = f'<li class="more">{words.AND_MORE.format(count=f"{more:,}")}</li>' if more > 0 else ""
    return f'<div class="message problem" role="alert"><p>{intro}</p><ul>{rows}{rest}</ul></div>'
