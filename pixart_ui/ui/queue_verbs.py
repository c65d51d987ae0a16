"""What the buttons of the queue's list do: one verb with the jobs that it is for, as `cancel:12,13`.

`cancel:*open:red house` is for all jobs that the list shows with that filter, on every page of it, as far as the verb
makes sense for them. Each verb is one call of the journal, which refuses what cannot be done with a sentence. What
comes back is a note for the person who pressed; everybody sees the change itself within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pixart_ui.access import viewer
from pixart_ui.access.seeing import require_owner
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState, Move
from pixart_ui.services import Services
from pixart_ui.ui import fragments, words
from pixart_ui.ui.edge import guarded, ids_in
from pixart_ui.ui.look import queue_look

Verb = Callable[[Services, Sequence[int]], str]


def act(services: Services, target: object) -> str:
    """Do what the page asks for; a note or an error as HTML."""

    def work() -> str:
        name, _, jobs = str(target).partition(":")
        if name not in VERBS:
            raise InputError(words.UNKNOWN_VERB)
        named = _listed(services, name, jobs[1:]) if jobs.startswith("*") else ids_in(jobs)
        return VERBS[name](services, _own(services, named))

    return guarded(work, lambda error: fragments.toast(error.message, is_problem=True))


def _own(services: Services, named: Sequence[int]) -> Sequence[int]:
    """Raises InputError where jobs are named and none is theirs who asks."""
    ids = services.own(named)
    if named and not ids:
        raise InputError(words.UNKNOWN_JOB)
    return ids


def _listed(services: Services, verb: str, narrowed: str) -> list[int]:
    """The jobs of all pages, without those that the verb is not for. Raises InputError where none is left."""
    state, _, text = narrowed.partition(":")
    look = queue_look({"state": state, "text": text})
    states = set(look.shows.states) & set(STATES.get(verb, JobState))
    page = services.journal.page(states=states, text=look.search, owner=viewer.current().only)
    ids = [job.id for job in page.jobs]
    if not ids:
        raise InputError(words.NONE_OF_THESE)
    return ids


def _pause(services: Services, _: Sequence[int]) -> str:
    require_owner(words.TO_PAUSE)
    services.journal.pause()
    return ""


def _resume(services: Services, _: Sequence[int]) -> str:
    require_owner(words.TO_RESUME)
    services.journal.resume()
    return ""


def _cancel(services: Services, ids: Sequence[int]) -> str:
    return _cancelled(services.journal.cancel(ids))


def _cancel_all(services: Services, _: Sequence[int]) -> str:
    return _cancelled(services.journal.cancel_all(owner=viewer.current().only))


def _cancelled(ids: Sequence[int]) -> str:
    if not ids:
        return fragments.toast(words.ALREADY_OVER)
    return fragments.toast(words.count_jobs(len(ids), words.JOB_CANCELLED, words.JOBS_CANCELLED), undo=("restore", ids))


def _restore(services: Services, ids: Sequence[int]) -> str:
    """Take a cancellation back. A running job is cancelled once its step is over: until then it can't be."""
    num_restored = services.journal.restore(ids)
    stopping = len(services.journal.jobs(states=[JobState.RUNNING], ids=ids))
    text = words.count_jobs(num_restored, words.JOB_RESTORED, words.JOBS_RESTORED)
    return fragments.toast(f"{text} {words.STILL_STOPPING}" if stopping else text)


def _retry(services: Services, ids: Sequence[int]) -> str:
    return fragments.toast(words.count_jobs(len(services.journal.retry(ids)), words.JOB_RETRIED, words.JOBS_RETRIED))


def _retry_failed(services: Services, _: Sequence[int]) -> str:
    return fragments.toast(
        words.count_jobs(
            len(services.journal.retry_failed(owner=viewer.current().only)), words.JOB_RETRIED, words.JOBS_RETRIED
        )
    )


def _duplicate(services: Services, ids: Sequence[int]) -> str:
    copies = services.journal.duplicate(ids, viewer.current().name)
    text = words.count_jobs(len(copies), words.JOB_DUPLICATED, words.JOBS_DUPLICATED)
    return fragments.toast(text, undo=("cancel", [job.id for job in copies]))


def _clear(services: Services, _: Sequence[int]) -> str:
    count = services.journal.clear_finished(owner=viewer.current().only)
    return fragments.toast(words.count_jobs(count, words.JOB_CLEARED, words.JOBS_CLEARED))


def _move(where: Move) -> Verb:
    def move(services: Services, ids: Sequence[int]) -> str:
        services.journal.move(ids, where)
        return ""

    return move


VERBS: Mapping[str, Verb] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "cancel-all": _cancel_all,
    "restore": _restore,
    "retry": _retry,
    "retry-failed": _retry_failed,
    "duplicate": _duplicate,
    "clear": _clear,
    **{str(where): _move(where) for where in Move},
}
# What a verb is for, where it is not for every job.
STATES: Mapping[str, Sequence[JobState]] = {
    "cancel": (JobState.QUEUED, JobState.RUNNING),
    "retry": (JobState.FAILED, JobState.CANCELLED),
    **dict.fromkeys(map(str, Move), (JobState.QUEUED,)),
}
