"""What every open page follows: the journal's present state, as HTML for the page's live regions.

A page asks with the mark of what it shows and gets nothing (204) while that is still true; so a page that is open costs
a few small queries a second. Only the regions of the tab that it has open are rendered.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from typing import Any, Protocol

from pixart_ui.access import viewer
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.prediction import usable_bytes
from pixart_ui.services import Services
from pixart_ui.ui import fragments, words
from pixart_ui.ui.compare_live import CompareRegions
from pixart_ui.ui.gallery_live import gallery_regions
from pixart_ui.ui.look import Look, Tab
from pixart_ui.ui.moment import Moment, moment
from pixart_ui.ui.queue_live import queue_regions
from pixart_ui.ui.single_live import single_regions
from pixart_ui.ui.system_live import SystemRegions
from pixart_ui.ui.words import access as access_words

GIB = 2**30


class EngineWatch(Protocol):
    """What the page needs of the supervisor: a sentence when no worker can run, else None."""

    def status(self) -> str | None: ...


@dataclass(frozen=True)
class Snapshot:
    """`mark` changes whenever anything else here does, `basis` whenever an estimate may have become another.

    `regions` holds HTML by the id of the element that it belongs into; `num_waiting` stands on the Queue's tab.
    """

    mark: str
    title: str
    regions: Mapping[str, str]
    basis: str
    is_busy: bool
    num_waiting: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Folders:
    """What is in no journal, looked at where a tab shows it, and once for a state."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @cached_property
    def kept(self) -> str:
        """Stands for the kept comparisons, their names and files."""
        return _digest(*self._services.kept_comparisons.entries())

    @cached_property
    def pictures(self) -> str:
        """Stands for the files of the gallery."""
        return self._services.gallery.mark()


@dataclass(frozen=True)
class State:
    """What decides whether anything has changed; `num_changes` are those that this process had made by then."""

    revision: int
    workers: Sequence[WorkerStatus]
    trouble: str | None
    engine: str
    num_changes: int
    folders: Folders

    def mark(self, look: Look) -> str:
        return _digest(self.revision, self.engine, look, viewer.current().only, self._outside(look.tab))

    def is_like(self, other: State) -> bool:
        """Whether what the journal says is the same in both; marks tell the rest apart."""
        return (self.revision, self.engine) == (other.revision, other.engine)

    def _outside(self, tab: Tab) -> str:
        if tab is Tab.COMPARE:
            return self.folders.kept
        if tab is Tab.GALLERY:
            return self.folders.pictures
        # Disk, downloads and heartbeats: once a second.
        return str(int(time.monotonic())) if tab is Tab.SYSTEM else ""


class Live:
    """Reads the journal for the pages. Safe to use from several threads."""

    def __init__(self, services: Services, watch: EngineWatch, examples: Sequence[str]) -> None:
        self._services = services
        self._watch = watch
        self._examples = examples
        self._compare = CompareRegions(services)
        self._system = SystemRegions(services)

    def state(self) -> State:
        """Read it now."""
        journal = self._services.journal
        num_changes, revision, workers = journal.num_changes, journal.revision(), journal.workers()
        trouble = self._watch.status()
        # Everybody's: the state is shared among all who ask.
        return State(revision, workers, trouble, engine_line(workers, trouble), num_changes, Folders(self._services))

    def is_overtaken(self, state: State) -> bool:
        """Whether this process itself has changed something since; what others changed is not looked for."""
        return state.num_changes != self._services.journal.num_changes

    def snapshot(self, known_mark: str, look: Look) -> Snapshot | None:
        """The present state for a page that shows `known_mark`; None while nothing has changed."""
        state = self.state()
        return None if state.mark(look) == known_mark else self.render(state, look)

    def render(self, state: State, look: Look) -> Snapshot:
        """What a page shows that looks there; the journal may be newer than the state by now."""
        now = moment(self._services.journal, state.workers, state.trouble)
        return Snapshot(
            mark=state.mark(look),
            title=words.title(_step(now), now.num_waiting),
            regions={
                "engine": state.engine + queue_line(now) + account_link(),
                "paused": fragments.paused(now.paused),
                **self._regions(look, now),
            },
            basis=_basis(state.workers),
            is_busy=now.is_busy,
            num_waiting=now.num_waiting,
        )

    def _regions(self, look: Look, now: Moment) -> Mapping[str, str]:
        if look.tab is Tab.QUEUE:
            return queue_regions(self._services, look.queue, now)
        if look.tab is Tab.COMPARE:
            return self._compare.render(look.compare, now)
        if look.tab is Tab.GALLERY:
            return gallery_regions(self._services, look.gallery)
        if look.tab is Tab.SYSTEM:
            return self._system.render(now)
        return single_regions(self._services, look, now, self._examples)


def engine_line(workers: Sequence[WorkerStatus], trouble: str | None) -> str:
    """Device and free memory, or why there is none."""
    if not workers:
        text = trouble if trouble is not None else words.ENGINE_STARTING
        return f'<span class="device" data-is="{"trouble" if trouble else "starting"}">{escape(text)}</span>'
    info = workers[0].info
    name = escape(str(info.get("name", workers[0].device)))
    return f'<span class="device" data-is="ready" title="{name}">{name}</span>{_memory(info)}'


def account_link() -> str:
    """For those who signed in."""
    if not viewer.current().is_signed_in:
        return ""
    return f'<a class="account" href="/account">{access_words.ACCOUNT_LINK}</a>'


def queue_line(now: Moment) -> str:
    parts = []
    if now.paused is not None:
        parts.append(words.QUEUE_PAUSED)
    if step := _step(now):
        parts.append(words.QUEUE_RUNNING.format(step=step[0], steps=step[1]))
    if now.num_waiting:
        parts.append(words.QUEUE_WAITING.format(count=f"{now.num_waiting:,}"))
    if not parts and now.has_engine:
        parts.append(words.ENGINE_READY)
    return f'<span class="queue">{" · ".join(parts)}</span>'


def _step(now: Moment) -> tuple[int, int] | None:
    """How far the picture is that is being drawn."""
    return (now.active[0].step, now.active[0].request.steps) if now.active else None


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


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=9).hexdigest()
