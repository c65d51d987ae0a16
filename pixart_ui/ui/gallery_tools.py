"""What stands above the Gallery's pictures, as HTML: search, kinds, filters, and the bar of the selected ones.

The script reads `data-filter`; values that are offered come from the pictures that there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from pixart_ui.gallery.picture import Choices
from pixart_ui.ui.fragments import button
from pixart_ui.ui.gallery_look import NO_STYLE, GalleryLook, Kind
from pixart_ui.ui.words import gallery as words

LIVE, TRASHED = "live", "trashed"
# What is shown, the verb of `gallery_verbs.py`, where the pictures must be, and a question before it.
ACTS = (
    (words.STAR, "star", LIVE, ""),
    (words.UNSTAR, "unstar", LIVE, ""),
    (words.COMPARE, "compare", LIVE, ""),
    (words.DELETE, "delete", LIVE, ""),
    (words.RESTORE, "restore", TRASHED, ""),
    (words.PURGE, "purge", TRASHED, words.PURGE_ASK),
)


def search() -> str:
    return (
        f'<input type="search" class="search" placeholder="{words.SEARCH}" aria-label="{words.SEARCH}" maxlength="200">'
    )


def opener() -> str:
    return (
        f'<button type="button" class="quiet" data-act="gallery-open" title="{words.OPEN_PNG_HINT}">'
        f"{words.OPEN_PNG}</button>"
    )


def bar() -> str:
    acts = "".join(
        f'<button type="button" class="verb" data-act="gallery-selected" data-verb="{verb}" data-in="{place}"'
        f"{f' data-ask={chr(34)}{escape(ask)}{chr(34)}' if ask else ''}>{label}</button>"
        for label, verb, place, ask in ACTS
    )
    download = f'<a class="verb" data-zip href="" download>{words.DOWNLOAD}</a>'
    whole = (
        f'<button type="button" class="verb whole" data-act="gallery-whole" data-whole>{words.SELECT_WHOLE}</button>'
    )
    unselect = button(words.UNSELECT, "gallery-unselect", css="verb apart")
    return (
        f'<div class="bar" role="toolbar" aria-label="{words.SELECTION}" hidden><span class="num"></span>'
        f"{whole}{acts}{download}{unselect}</div>"
    )


def kinds(look: GalleryLook, choices: Choices) -> str:
    """All, starred, trash; with how many there are of each."""
    counts = {Kind.ALL: choices.total, Kind.STARRED: choices.starred, Kind.DELETED: choices.deleted}
    chips = "".join(
        f'<button type="button" class="chip" data-act="gallery-kind" data-kind="{kind}" '
        f'aria-pressed="{str(look.kind is kind).lower()}">{words.KINDS[kind]} '
        f'<span class="num">{count:,}</span></button>'
        for kind, count in counts.items()
    )
    return f'<div class="filters" role="group" aria-label="{words.KIND}">{chips}</div>'


def filters(look: GalleryLook, choices: Choices, titles: Mapping[str, str]) -> str:
    """`titles` are those of the checkpoints by name."""
    checkpoints = ((name, titles.get(name, Path(name).name), count) for name, count in choices.checkpoints.items())
    styles = ((name or NO_STYLE, name or words.WITHOUT_STYLE, count) for name, count in choices.styles.items())
    precisions = ((name, name, count) for name, count in choices.precisions.items())
    when = "".join(f'<option value="{value}">{label}</option>' for value, label in words.WHEN.items())
    return (
        f'<div class="narrow" role="group" aria-label="{words.FILTERS}">'
        f"{_select('checkpoint', checkpoints, look.checkpoint)}{_select('precision', precisions, look.precision)}"
        f"{_select('style', styles, look.style)}"
        f'<select data-filter="when" aria-label="{words.LABELS["when"]}"><option value="">{words.ANY["when"]}</option>'
        f"{when}</select>"
        f'<span class="days" hidden><input type="date" data-filter="from" aria-label="{words.FROM_DAY}">'
        f'<input type="date" data-filter="to" aria-label="{words.TO_DAY}"></span></div>'
    )


def _select(name: str, choices: Iterable[tuple[str, str, int]], chosen: str) -> str:
    found = list(choices)
    if chosen and chosen not in (value for value, _, _ in found):
        found.append((chosen, chosen, 0))
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(words.CHOICE.format(name=label, count=f'{count:,}'))}</option>"
        for value, label, count in found
    )
    return (
        f'<select data-filter="{name}" aria-label="{words.LABELS[name]}"><option value="">{words.ANY[name]}</option>'
        f"{options}</select>"
    )


def count(total: int) -> str:
    """How many are shown, for everybody to hear."""
    return f'<p class="found" role="status">{words.counted(total, words.COUNT, words.COUNTS)}</p>'
