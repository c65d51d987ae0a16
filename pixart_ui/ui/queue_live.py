"""The live regions of the Queue tab: totals above, the list with its filter and pages, and what ended folded below.

The list reads one page of the journal; a fold reads its own few jobs only while it is open.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from pixart_ui.access import viewer
from pixart_ui.access.viewer import LOCAL_OWNER
from pixart_ui.forecast import Forecast
from pixart_ui.jobs.job import Job, JobState, QueuePage
from pixart_ui.services import Services
from pixart_ui.ui import queue_head, words
from pixart_ui.ui.fragments import button
from pixart_ui.ui.look import FOLDS, QueueLook, Shows
from pixart_ui.ui.moment import Moment
from pixart_ui.ui.queue_rows import RowFacts, rows

PAGE_SIZE = 50
FOLD_SIZE = 12


def queue_regions(services: Services, look: QueueLook, now: Moment) -> dict[str, str]:
    forecast = services.forecast()
    page, number = _page(services, look)
    return {
        "queue-head": queue_head.head(now, forecast, services.journal.loads()),
        "queue-filter": queue_head.chips(look, now.counts),
        "queue-export": queue_head.exports(look),
        "queue-list": _list(services, look, page, number, forecast),
        "queue-ended": _folds(services, look, now.counts),
    }


def _page(services: Services, look: QueueLook) -> tuple[QueuePage, int]:
    """The page asked for and its number; the last one where the list has become shorter."""

    def read(number: int) -> QueuePage:
        return services.journal.page(
            states=look.shows.states,
            text=look.search,
            owner=_owner(look),
            limit=PAGE_SIZE,
            offset=(number - 1) * PAGE_SIZE,
        )

    page = read(look.page)
    if page.jobs or look.page == 1:
        return page, look.page
    last = max(1, -(-page.total // PAGE_SIZE))
    return read(last), last


def _owner(look: QueueLook) -> str | None:
    """Whose jobs are listed. What is open is everybody's, others' without what they asked for: nobody searches it."""
    return None if look.shows is Shows.OPEN and not look.text else viewer.current().only


def _list(services: Services, look: QueueLook, page: QueuePage, number: int, forecast: Forecast) -> str:
    inner = _empty(look) if not page.jobs else rows(page.jobs, _facts(services, page, forecast), words.JOBS)
    return f'<div data-page="{number}" data-total="{page.total}">{inner}{_pager(number, page.total)}</div>'


def _facts(services: Services, page: QueuePage, forecast: Forecast) -> RowFacts:
    owners, asking = {job.owner for job in page.jobs}, viewer.current()
    return RowFacts(
        now=time.time(),
        places=page.places,
        forecast=forecast,
        has_owners=owners != {LOCAL_OWNER},
        gone=_gone(services, page.jobs),
        hidden=frozenset(job.id for job in page.jobs if not asking.may_see(job.owner)),
    )


def _gone(services: Services, jobs: Sequence[Job]) -> frozenset[int]:
    done = (job for job in jobs if job.state is JobState.DONE)
    return frozenset(job.id for job in done if services.image_path(job) is None)


def _empty(look: QueueLook) -> str:
    if look.text:
        everywhere = button(words.LOOK_EVERYWHERE, "filter", state=Shows.ALL) if look.shows is not Shows.ALL else ""
        return f'<div class="none"><p>{words.NOTHING_FOUND.format(text=escape(look.text))}</p>{everywhere}</div>'
    return f'<div class="none"><p>{words.NOTHING_HERE[look.shows]}</p></div>'


def _pager(number: int, total: int) -> str:
    if total <= PAGE_SIZE:
        return ""
    first, last = (number - 1) * PAGE_SIZE + 1, min(total, number * PAGE_SIZE)
    turns = (
        (words.FIRST_PAGE, 1, number > 1),
        (words.PREVIOUS_PAGE, number - 1, number > 1),
        (words.NEXT_PAGE, number + 1, last < total),
        (words.LAST_PAGE, -(-total // PAGE_SIZE), last < total),
    )
    buttons = "".join(
        f'<button type="button" class="quiet" data-act="page" data-page="{target}"{"" if can else " disabled"}>{label}'
        "</button>"
        for label, target, can in turns
    )
    where = words.PAGE_OF.format(first=f"{first:,}", last=f"{last:,}", total=f"{total:,}")
    return f'<nav class="pager" aria-label="{words.PAGES}"><span class="num">{where}</span>{buttons}</nav>'


def _folds(services: Services, look: QueueLook, counts: Mapping[JobState, int]) -> str:
    """What ended, under the list of what has not; the list shows it itself when it is asked to."""
    if look.shows is not Shows.OPEN or look.text:
        return ""
    return "".join(_fold(services, look, fold, counts) for fold in FOLDS)


def _fold(services: Services, look: QueueLook, fold: Shows, counts: Mapping[JobState, int]) -> str:
    count = sum(counts[state] for state in fold.states)
    if not count:
        return f'<details class="fold" data-fold="{fold}" hidden></details>'
    inner = ""
    if fold in look.folds:
        page = services.journal.page(states=fold.states, limit=FOLD_SIZE, owner=viewer.current().only)
        inner = f'<div class="actions">{_fold_actions(fold, count)}</div>' + rows(
            page.jobs, _facts(services, page, Forecast()), words.SHOWS[fold]
        )
    return (
        f'<details class="fold" data-fold="{fold}"><summary>{words.FOLDS[fold]} '
        f'<span class="num">{count:,}</span></summary>{inner}</details>'
    )


def _fold_actions(fold: Shows, count: int) -> str:
    parts = []
    if fold is Shows.FAILED:
        parts.append(button(words.RETRY_FAILED, "queue", verb="retry-failed"))
    else:
        parts.append(
            f'<a class="quiet" href="/archive.zip?{urlencode({"state": fold})}" download>{words.ALL_PICTURES}</a>'
        )
    parts.append(button(words.CLEAR, "queue", verb="clear", ask=words.CLEAR_ASK))
    if count > FOLD_SIZE:
        parts.append(button(words.SHOW_ALL.format(count=f"{count:,}"), "filter", state=fold))
    return "".join(parts)
