"""What the buttons of the System tab do: `verb:what it is for`. All of them are the owner's alone, checked here.

Nothing here waits for a download or a worker: long work is begun and told on the page (see `health/chores.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pixart_ui.access import viewer
from pixart_ui.commands.meter import human
from pixart_ui.errors import InputError, unknown_name
from pixart_ui.health.chores import STORE, ChoreKind
from pixart_ui.health.disk import Kind, clear
from pixart_ui.jobs.job import JobState
from pixart_ui.request import Precision
from pixart_ui.services import Services
from pixart_ui.ui import fragments
from pixart_ui.ui import words as page_words
from pixart_ui.ui.edge import guarded
from pixart_ui.ui.words import system as words

Verb = Callable[[Services, str], str]


def act(services: Services, target: object) -> str:
    """Do it and say what came of it, as HTML."""

    def work() -> str:
        name, _, of = str(target).partition(":")
        if not viewer.current().is_owner:
            raise InputError(words.NOT_YOURS)
        if name not in VERBS:
            raise InputError(page_words.UNKNOWN_VERB)
        told = VERBS[name](services, of)
        return fragments.toast(told) if told else ""

    return guarded(work, lambda error: fragments.toast(error.message, is_problem=True))


def _download(services: Services, name: str) -> str:
    services.chores.start(ChoreKind.DOWNLOAD, _published(services, name))
    return words.STARTED["download"]


def _verify(services: Services, name: str) -> str:
    services.chores.start(ChoreKind.VERIFY, name if name == STORE else _published(services, name))
    return words.STARTED["verify"]


def _prune(services: Services, _: str) -> str:
    services.chores.start(ChoreKind.PRUNE, STORE)
    return words.STARTED["prune"]


def _convert(services: Services, of: str) -> str:
    name, _, precision = of.partition(":")
    if precision not in tuple(Precision):
        raise unknown_name("precision", precision, map(str, Precision))
    if name not in services.catalog.names:
        raise unknown_name("checkpoint", name, services.catalog.names)
    services.chores.start(ChoreKind.CONVERT, name, precision)
    return words.STARTED["convert"]


def _delete(services: Services, name: str) -> str:
    """Not while something needs it: a job that waits would fail."""
    checkpoint = services.catalog.get(_published(services, name))
    if services.chores.is_busy(name):
        raise InputError(words.IS_BUSY.format(title=checkpoint.title))
    open_jobs = services.journal.jobs(states=[JobState.QUEUED, JobState.RUNNING])
    if any(job.request.checkpoint == name for job in open_jobs):
        raise InputError(words.IN_USE.format(title=checkpoint.title))
    freed = services.hub.remove(checkpoint, [entry for entry in services.catalog if not entry.is_local])
    services.chores.forget(name)
    services.disk.forget()
    return words.DELETED.format(title=checkpoint.title, size=human(freed))


def _published(services: Services, name: str) -> str:
    """Only those can be fetched or deleted. Raises InputError."""
    known = [entry.name for entry in services.catalog if not entry.is_local]
    if name not in known:
        raise unknown_name("checkpoint", name, known)
    return name


def _clear(services: Services, name: str) -> str:
    if name not in tuple(Kind):
        raise unknown_name("kind", name, map(str, Kind))
    freed = clear(Kind(name), services.settings, services.journal)
    services.disk.forget()
    text = words.CLEARED if freed else words.NOTHING_CLEARED
    return text.format(name=words.KINDS[name][0], size=human(freed))


def _cancel(services: Services, key: str) -> str:
    services.chores.cancel(key)
    return words.CANCELLED


def _dismiss(services: Services, key: str) -> str:
    services.chores.dismiss(key)
    return ""


def _drain(services: Services, device: str) -> str:
    return (words.DRAINED if services.drain_worker(device) else words.UNCHANGED).format(device=device)


def _take(services: Services, device: str) -> str:
    return (words.RESUMED if services.resume_worker(device) else words.UNCHANGED).format(device=device)


VERBS: Mapping[str, Verb] = {
    "download": _download,
    "verify": _verify,
    "prune": _prune,
    "convert": _convert,
    "delete": _delete,
    "clear": _clear,
    "cancel": _cancel,
    "dismiss": _dismiss,
    "drain": _drain,
    "take": _take,
}
