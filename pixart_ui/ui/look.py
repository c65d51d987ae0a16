"""What a page looks at: a tab, a picture on Single, a page of the queue's list, a comparison. Read from its address.

Anybody can write such an address: whatever is not one of ours becomes the usual view, and texts are cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pixart_ui.jobs.job import JobState
from pixart_ui.ui.gallery_look import GalleryLook

MAX_KEY_CHARS = 64
MAX_TEXT_CHARS = 200
MAX_PAGE = 1_000_000


class Tab(StrEnum):
    """The tabs that have something live."""

    SINGLE = "single"
    QUEUE = "queue"
    COMPARE = "compare"
    GALLERY = "gallery"
    SYSTEM = "system"


class Shows(StrEnum):
    """Which jobs the list shows. `OPEN` is what runs and what waits."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ALL = "all"

    @property
    def states(self) -> tuple[JobState, ...]:
        return _STATES[self]


_STATES: Mapping[Shows, tuple[JobState, ...]] = {
    Shows.OPEN: (JobState.RUNNING, JobState.QUEUED),
    Shows.DONE: (JobState.DONE,),
    Shows.FAILED: (JobState.FAILED,),
    Shows.CANCELLED: (JobState.CANCELLED,),
    Shows.ALL: tuple(JobState),
}
FOLDS = (Shows.FAILED, Shows.DONE)
# Budgets that advice can be asked for, in GiB, as the page sends them.
ROOMS_GIB = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 48, 80)


@dataclass(frozen=True)
class QueueLook:
    """A page of the list (from 1), what it is narrowed to, and which of the folds under it are open."""

    page: int = 1
    shows: Shows = Shows.OPEN
    text: str = ""
    folds: tuple[Shows, ...] = ()

    @property
    def search(self) -> str | None:
        """The text as the journal takes it."""
        return self.text or None


@dataclass(frozen=True)
class CompareLook:
    """The comparison that is open, empty for the newest; and the budget that advice is for, empty for this device's."""

    comparison: str = ""
    room: str = ""


@dataclass(frozen=True)
class Look:
    """`batch` is the request that a page follows on Single, `job` the picture in it."""

    tab: Tab = Tab.SINGLE
    batch: str = ""
    job: str = ""
    queue: QueueLook = QueueLook()
    compare: CompareLook = CompareLook()
    gallery: GalleryLook = field(default_factory=GalleryLook)

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Look:
        """From an address. Never fails."""
        return cls(
            tab=_tab(query.get("tab", "")),
            batch=query.get("batch", "")[:MAX_KEY_CHARS],
            job=query.get("job", "")[:MAX_KEY_CHARS],
            queue=queue_look(query),
            compare=_compare_look(query),
            gallery=GalleryLook.of(query),
        )


def queue_look(query: Mapping[str, str]) -> QueueLook:
    folds = query.get("folds", "")[:MAX_KEY_CHARS].split(",")
    return QueueLook(
        page=_page(query.get("page", "")),
        shows=_shows(query.get("state", "")),
        text=query.get("text", "")[:MAX_TEXT_CHARS].strip(),
        folds=tuple(fold for fold in FOLDS if fold in folds),
    )


def _compare_look(query: Mapping[str, str]) -> CompareLook:
    room = query.get("room", "")
    return CompareLook(
        comparison=query.get("comparison", "")[:MAX_KEY_CHARS],
        room=room if room in [str(size) for size in ROOMS_GIB] else "",
    )


def _tab(text: str) -> Tab:
    return Tab(text) if text in tuple(Tab) else Tab.SINGLE


def _shows(text: str) -> Shows:
    return Shows(text) if text in tuple(Shows) else Shows.OPEN


def _page(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE))
    return max(1, int(text)) if is_number else 1
