"""What every open page follows: the journal's present state, as HTML for the page's live regions.

A page asks with the mark of what it shows and gets nothing (204) while that is still true; so a page that is open costs
a few small queries a second. A page may name the batch that it asked for, and a picture in it; otherwise it sees what
is being made now, or else what was made last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Protocol

from pixart_ui.jobs.job import Job, JobState, WorkerStatus
from pixart_ui.prediction import usable_bytes
from pixart_ui.services import Services
from pixart_ui.ui import result, words

RECENT = 24
GIB = 2**30


class EngineWatch(Protocol):
    """What the page needs of the supervisor: a sentence when no worker can run, else None."""

    def status(self) -> str | None: ...


@dataclass(frozen=True)
class Snapshot:
    """`mark` changes whenever anything else here does, `basis` whenever an estimate may have become another."""

    mark: str
    title: str
    engine: str
    stage: str
    strip: str
    basis: str
    is_busy: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Live:
    """Reads the journal for the pages. Safe to use from several threads."""

    def __init__(self, services: Services, watch: EngineWatch, examples: Sequence[str]) -> None:
        self._services = services
        self._watch = watch
        self._examples = examples

    def snapshot(self, known_mark: str, batch: str, focus: str) -> Snapshot | None:
        """The present state for a page that shows `known_mark`; None while nothing has changed."""
        revision = self._services.journal.revision()
        workers = self._services.journal.workers()
        trouble = self._watch.status()
        engine = engine_line(workers, trouble)
        mark = _digest(revision, engine, batch, focus)
        if mark == known_mark:
            return None
        return self._render(mark, engine, batch, focus, workers, trouble)

    def _render(
        self, mark: str, engine: str, batch: str, focus: str, workers: Sequence[WorkerStatus], trouble: str | None
    ) -> Snapshot:
        journal = self._services.journal
        running = journal.jobs(states=[JobState.RUNNING], newest_first=False)
        # One whose file is being written stands behind the one that is being drawn.
        active = sorted((job for job in running if result.is_at_work(job)), key=result.is_being_saved)
        waiting = journal.counts()[JobState.QUEUED] + len(running) - len(active)
        recent = journal.jobs(states=[JobState.DONE], limit=RECENT)
        shown = self._shown(batch, active or running, recent)
        job = _focus(shown, focus)
        return Snapshot(
            mark=mark,
            title=words.title((active[0].step, active[0].request.steps) if active else None, waiting),
            engine=engine + queue_line(active, waiting, has_engine=bool(workers)),
            stage=self._stage(job, shown, workers, trouble),
            strip=result.strip([*active, *recent], job),
            basis=_basis(workers),
            is_busy=bool(running or waiting),
        )

    def _shown(self, batch: str, running: Sequence[Job], recent: Sequence[Job]) -> Sequence[Job]:
        """The pictures of one request: the page's own, else the one being made or next, else the last one."""
        own = self._services.journal.jobs(batch=batch, newest_first=False) if batch else ()
        if own:
            return own
        waiting = self._services.journal.jobs(states=[JobState.QUEUED], newest_first=False, limit=1)
        first = next(iter((*running, *waiting, *recent)), None)
        return self._services.journal.jobs(batch=first.batch, newest_first=False) if first is not None else ()

    def _stage(
        self, job: Job | None, shown: Sequence[Job], workers: Sequence[WorkerStatus], trouble: str | None
    ) -> str:
        if job is None:
            return result.empty_stage(self._examples)
        is_on_disk = self._services.image_path(job) is not None
        news = next((worker.info for worker in workers if worker.id == job.worker), {})
        html = result.stage(job, shown, is_on_disk=is_on_disk, has_engine=bool(workers), news=news)
        if trouble is not None and not job.state.is_end:
            html += f'<p class="message problem" role="alert">{escape(trouble)}</p>'
        return html


def engine_line(workers: Sequence[WorkerStatus], trouble: str | None) -> str:
    """Device and free memory, or why there is none."""
    if not workers:
        text = trouble if trouble is not None else words.ENGINE_STARTING
        return f'<span class="device" data-is="{"trouble" if trouble else "starting"}">{escape(text)}</span>'
    info = workers[0].info
    name = escape(str(info.get("name", workers[0].device)))
    return f'<span class="device" data-is="ready" title="{name}">{name}</span>{_memory(info)}'


def queue_line(active: Sequence[Job], waiting: int, *, has_engine: bool) -> str:
    parts = []
    if active:
        parts.append(words.QUEUE_RUNNING.format(step=active[0].step, steps=active[0].request.steps))
    if waiting:
        parts.append(words.QUEUE_WAITING.format(count=waiting))
    if not parts and has_engine:
        parts.append(words.ENGINE_READY)
    return f'<span class="queue">{" · ".join(parts)}</span>'


def _memory(info: Mapping[str, Any]) -> str:
    free, total = info.get("memory_free_bytes"), info.get("memory_total_bytes")
    if free is None or total is None:
        return ""
    budget = info.get("budget_bytes")
    text = (words.MEMORY_FREE if budget is None else words.BUDGET_FREE).format(
        free=f"{free / GIB:.1f}", total=f"{(total if budget is None else budget) / GIB:.1f}"
    )
    return f'<span class="memory">{text}</span>'


def _basis(workers: Sequence[WorkerStatus]) -> str:
    """What estimates stand on: the first worker, its memory, and whether it has learned from another group."""
    return _digest(*((worker.id, worker.info.get("state"), usable_bytes(worker.info)) for worker in workers[:1]))


def _focus(shown: Sequence[Job], wanted: str) -> Job | None:
    """The picture asked for, else the one being made, else the last finished one, else the first."""
    if not shown:
        return None
    named = [job for job in shown if str(job.id) == wanted]
    running = [job for job in shown if result.is_at_work(job)]
    done = [job for job in shown if job.state is JobState.DONE]
    return (named or running or done[-1:] or shown)[0]


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=9).hexdigest()
