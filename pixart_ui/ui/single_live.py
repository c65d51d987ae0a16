"""The live regions of the Single tab: the stage and the strip of recent pictures.

A page may name the batch that it asked for, and a picture in it; otherwise it sees what is being made now, or else what
was made last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from pixart_ui.access import viewer
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import MAX_IMAGES
from pixart_ui.services import Services
from pixart_ui.ui import result
from pixart_ui.ui.edge import ids_in
from pixart_ui.ui.look import Look
from pixart_ui.ui.moment import Moment

RECENT = 24


def single_regions(services: Services, look: Look, now: Moment, examples: Sequence[str]) -> dict[str, str]:
    asking = viewer.current()
    done = services.journal.jobs(states=[JobState.DONE], limit=RECENT, owner=asking.only)
    recent = _on_disk(services, done)
    if asking.only is not None:
        running, active = ([job for job in jobs if asking.may_see(job.owner)] for jobs in (now.running, now.active))
        now = replace(now, running=running, active=active)
    shown = _shown(services, look, now, done)
    job = _focus(shown, look.job)
    return {
        "stage": _stage(services, job, shown, now) if job is not None else result.empty_stage(examples),
        "strip": result.strip([*now.active, *recent], job),
    }


def _shown(services: Services, look: Look, now: Moment, recent: Sequence[Job]) -> Sequence[Job]:
    """The pictures of one request: the page's own, else the one being made or next, else the last one."""
    journal = services.journal
    named = ids_in(look.job) or [job.id for job in now.active]
    own = _of_batch(journal, look.batch, named) if look.batch else ()
    if own:
        return own
    waiting = journal.jobs(states=[JobState.QUEUED], newest_first=False, limit=1, owner=viewer.current().only)
    first = next(iter((*now.active, *now.running, *waiting, *recent)), None)
    return _of_batch(journal, first.batch, [first.id]) if first is not None else ()


def _of_batch(journal: Journal, batch: str, named: Sequence[int]) -> Sequence[Job]:
    """All pictures of a request. Copies of a long list are one batch too: of such a one those named, or the first."""
    only = viewer.current().only
    found = journal.jobs(batch=batch, newest_first=False, limit=MAX_IMAGES + 1, owner=only)
    if len(found) <= MAX_IMAGES:
        return found
    return journal.jobs(batch=batch, ids=named, owner=only) or found[:1]


def _stage(services: Services, job: Job, shown: Sequence[Job], now: Moment) -> str:
    is_on_disk = services.image_path(job) is not None
    news = next((worker.info for worker in now.workers if worker.id == job.worker), {})
    tiles = _on_disk(services, shown)
    html = result.stage(
        job, tiles, is_on_disk=is_on_disk, has_engine=now.has_engine, is_paused=now.paused is not None, news=news
    )
    if now.trouble is not None and not job.state.is_end:
        html += f'<p class="message problem" role="alert">{escape(now.trouble)}</p>'
    return html


def _on_disk(services: Services, jobs: Sequence[Job]) -> Sequence[Job]:
    """Without those whose pictures somebody deleted since."""
    return [job for job in jobs if job.state is not JobState.DONE or services.image_path(job) is not None]


def _focus(shown: Sequence[Job], wanted: str) -> Job | None:
    """The picture asked for, else the one being made, else the last finished one, else the first."""
    if not shown:
        return None
    named = [job for job in shown if str(job.id) == wanted]
    running = [job for job in shown if result.is_at_work(job)]
    done = [job for job in shown if job.state is JobState.DONE]
    return (named or running or done[-1:] or shown)[0]
