"""The parts of the Queue tab that do not change: the search, and the bar of what can be done with the selected jobs.

`data-for` names the states that a verb makes sense for; the script shows it when a selected job is in one of them.
"""

from __future__ import annotations

from pixart_ui.ui import words
from pixart_ui.ui.fragments import button

WAITING, OPEN, ENDED = "queued next", "queued next running", "failed cancelled"
ANY = f"{OPEN} {ENDED} done"

# What is shown, the verb, the states it is for, and the keys.
ACTIONS = (
    (words.MOVE_FIRST, "first", WAITING, ""),
    (words.MOVE_UP, "up", WAITING, words.MOVE_UP_KEYS),
    (words.MOVE_DOWN, "down", WAITING, words.MOVE_DOWN_KEYS),
    (words.MOVE_LAST, "last", WAITING, ""),
    (words.RETRY, "retry", ENDED, ""),
    (words.DUPLICATE, "duplicate", ANY, ""),
    (words.CANCEL, "cancel", OPEN, words.CANCEL_SELECTED_KEYS),
)


def skeleton() -> str:
    """As tall as the totals that follow."""
    return f'<div class="totals"><h2>{words.QUEUE}</h2></div>'


def select_all() -> str:
    return f'<input type="checkbox" class="pick-all" aria-label="{words.SELECT_ALL}" title="{words.SELECT_ALL}">'


def search() -> str:
    return (
        f'<input type="search" class="search" placeholder="{words.SEARCH}" aria-label="{words.SEARCH}" maxlength="200">'
    )


def bar() -> str:
    verbs = "".join(
        f'<button type="button" class="verb" data-act="selected" data-verb="{verb}" data-for="{states}" '
        f"{f'title={chr(34)}{keys}{chr(34)}' if keys else ''}>{label}</button>"
        for label, verb, states, keys in ACTIONS
    )
    return (
        f'<div class="bar" role="toolbar" aria-label="{words.SELECTION}" hidden><span class="num"></span>{verbs}'
        f'<button type="button" class="verb" data-act="open-selected" data-one>{words.OPEN_JOB}</button>'
        f'<a class="verb" data-zip data-for="done" href="" download>{words.DOWNLOAD_ZIP}</a>'
        f"{button(words.CLEAR_SELECTION, 'unselect', css='verb apart')}</div>"
    )
