"""The parts of the Queue tab that do not change: the search, and the bar of what can be done with the selected jobs.

`data-for` names the states that a verb makes sense for; the script shows it when a selected job is in one of them.
"""

from __future__ import annotations

from pixart_ui.ui import words
from pixart_ui.ui.fragments import button

WAITING, OPEN, ENDED = "queued next", "queued next running", "failed cancelled"
ANY = f"{OPEN} {ENDED} done"

VERB, ALONE = "selected", "data-one"
# What is shown, what the script does, the states it is for, and the rest: the verb of `queue_verbs.py` and its keys.
ACTS = (
    (words.MOVE_FIRST, VERB, WAITING, 'data-verb="first"'),
    (words.MOVE_UP, VERB, WAITING, f'data-verb="up" title="{words.MOVE_UP_KEYS}"'),
    (words.MOVE_DOWN, VERB, WAITING, f'data-verb="down" title="{words.MOVE_DOWN_KEYS}"'),
    (words.MOVE_LAST, VERB, WAITING, 'data-verb="last"'),
    (words.EDIT, "edit", WAITING, ALONE),
    (words.OPEN_JOB, "open-selected", ANY, ALONE),
    (words.RETRY, VERB, ENDED, 'data-verb="retry"'),
    (words.DUPLICATE, VERB, ANY, 'data-verb="duplicate"'),
    (words.CANCEL, VERB, OPEN, f'data-verb="cancel" title="{words.CANCEL_SELECTED_KEYS}"'),
)


def skeleton() -> str:
    """As tall as the totals that follow."""
    return f'<div class="totals"><h2>{words.QUEUE}</h2></div>'


def ways_toggle() -> str:
    """On a phone the ways in are folded above the list."""
    return f'<button type="button" class="quiet" data-act="ways" aria-expanded="false">{words.ADD_JOBS}</button>'


def select_all() -> str:
    return f'<input type="checkbox" class="pick-all" aria-label="{words.SELECT_ALL}" title="{words.SELECT_ALL}">'


def search() -> str:
    return (
        f'<input type="search" class="search" placeholder="{words.SEARCH}" aria-label="{words.SEARCH}" maxlength="200">'
    )


def bar() -> str:
    acts = "".join(
        f'<button type="button" class="verb" data-act="{act}" data-for="{states}" {rest}>{label}</button>'
        for label, act, states, rest in ACTS
    )
    download = f'<a class="verb" data-zip data-for="done" href="" download>{words.DOWNLOAD_ZIP}</a>'
    unselect = button(words.CLEAR_SELECTION, "unselect", css="verb apart")
    whole = f'<button type="button" class="verb whole" data-act="select-whole" data-whole>{words.SELECT_WHOLE}</button>'
    return (
        f'<div class="bar" role="toolbar" aria-label="{words.SELECTION}" hidden><span class="num"></span>'
        f"{whole}{acts}{download}{unselect}</div>"
    )
