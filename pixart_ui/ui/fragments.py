"""Small pieces of HTML. Everything that people typed passes `escape` on its way in, here and in `result.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pixart_ui.access import viewer
from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import InputError, PixArtError
from pixart_ui.ui import words

# Width and height are asked for in one place on the page.
FIELDS = {"height": "width"}


def hint(text: str) -> str:
    return f'<p class="hint">{escape(text)}</p>'


def no_message() -> str:
    return '<div role="status"></div>'


def note(text: str) -> str:
    return f'<div role="status"><p class="message note">{escape(text)}</p></div>'


def problem(error: PixArtError) -> str:
    """An error's sentence; the script marks the field that it names."""
    field = error.field if isinstance(error, InputError) and error.field is not None else ""
    field = FIELDS.get(field, field)
    sentence = f'<p class="message problem" data-field="{escape(field)}">{escape(error.message)}</p>'
    return f'<div role="alert">{sentence}</div>'


def button(label: str, action: str, *, keys: str = "", css: str = "quiet", **data: object) -> str:
    """A button of ours; the script reads `data-act` and the other data."""
    extra = "".join(f' data-{name}="{escape(str(value))}"' for name, value in data.items())
    shown = f" <kbd>{escape(keys)}</kbd>" if keys else ""
    return f'<button type="button" class="{css}" data-act="{action}"{extra}>{escape(label)}{shown}</button>'


def checkpoints(absent: Iterable[Checkpoint]) -> str:
    """The published checkpoints that are not on this disk: what they are, need, and the command that fetches them."""
    rows = "".join(
        f"<li><h2>{escape(entry.title)}</h2><p>{escape(entry.note)}<br>"
        f'<span class="subdued">{escape(entry.needs)} · {escape(entry.licence)}</span></p>'
        f"<code>python -m pixart_ui models download {escape(entry.name)}</code></li>"
        for entry in absent
    )
    return f'<p class="hint">{words.MORE_CHECKPOINTS_INTRO}</p><ul class="checkpoints">{rows}</ul>'


def paused(reason: str | None) -> str:
    """For everybody: that nothing starts, why, and the way on. A status that is always there, so that it is heard."""
    if reason is None:
        return '<div class="paused" role="status"></div>'
    text = escape(words.PAUSED.format(reason=reason.rstrip(".")))
    resume = button(words.RESUME, "queue", verb="resume") if viewer.current().is_owner else ""
    return f'<div class="paused" role="status"><p class="message held">{text}</p>{resume}</div>'


def toast(
    text: str, *, is_problem: bool = False, undo: tuple[str, Sequence[int]] | None = None, act: str = "queue"
) -> str:
    """What became of something that was pressed, with the way back where there is one: a verb and its jobs.

    `act` is whose verb that is, as the script knows it.
    """
    back = ""
    if undo is not None:
        verb, ids = undo
        back = button(words.UNDO, act, verb=verb, jobs=",".join(str(id_) for id_ in ids))
    kind, role = ("problem", "alert") if is_problem else ("note", "status")
    close = f'<button type="button" class="close" data-act="dismiss" aria-label="{words.DISMISS}">×</button>'
    return f'<div class="toast {kind}" role="{role}"><p>{escape(text)}</p>{back}{close}</div>'
