"""What can be done with a kept comparison. The page sends `verb:id`, for a new name `rename:id:name`.

Answers are passing notes as HTML. A name in an answer was typed by somebody and is escaped there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pixart_ui.errors import InputError
from pixart_ui.services import Services
from pixart_ui.ui import fragments, words
from pixart_ui.ui.edge import guarded

Verb = Callable[[Services, str, str], str]


def act(services: Services, target: object) -> str:
    """Do it and say what came of it."""
    verb, _, rest = str(target).partition(":")
    comparison_id, _, text = rest.partition(":")
    return guarded(
        lambda: _verb(verb)(services, comparison_id, text),
        lambda error: fragments.toast(error.message, is_problem=True),
    )


def _verb(name: str) -> Verb:
    if name not in VERBS:
        raise InputError(words.UNKNOWN_VERB)
    return VERBS[name]


def _rename(services: Services, comparison_id: str, name: str) -> str:
    services.rename_comparison(comparison_id, name)
    return fragments.toast(words.COMPARE_RENAMED.format(name=" ".join(name.split())))


def _delete(services: Services, comparison_id: str, _: str) -> str:
    names = {entry.id: entry.name for entry in services.comparisons()}
    services.delete_comparison(comparison_id)
    return fragments.toast(words.COMPARE_DELETED.format(name=names.get(comparison_id, comparison_id)))


def _cancel(services: Services, comparison_id: str, _: str) -> str:
    count = services.cancel_comparison(comparison_id)
    return fragments.toast(words.COMPARE_CANCELLED if count else words.ALREADY_OVER)


def _resume(services: Services, comparison_id: str, _: str) -> str:
    count = services.resume_comparison(comparison_id)
    if not count:
        return fragments.toast(words.COMPARE_NOTHING_TO_RESUME)
    return fragments.toast(words.COMPARE_RESUMED.format(runs=words.num_runs(count)))


VERBS: Mapping[str, Verb] = {"rename": _rename, "delete": _delete, "cancel": _cancel, "resume": _resume}
