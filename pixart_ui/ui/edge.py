"""The edge between Gradio and everything else: what events have in common, and errors as sentences.

No handler raises, so the page never shows Gradio's own error box.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pixart_ui.errors import PixArtError
from pixart_ui.ui import words

logger = logging.getLogger(__name__)

# Unqueued, so that closing or reloading a page loses nothing.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "undocumented"}
# Of several quick changes the last one counts.
LAST: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
# SQLite counts to 2^63.
MAX_ID_DIGITS = 18

T = TypeVar("T")


def guarded(work: Callable[[], T], say: Callable[[PixArtError], T]) -> T:
    """What `work` returns, or what `say` makes of its error; one that nobody foresaw is logged and told as well."""
    try:
        return work()
    except PixArtError as error:
        return say(error)
    except Exception as error:
        logger.exception("A handler of the page failed")
        return say(PixArtError(words.BROKEN.format(kind=type(error).__name__)))


def is_id(text: str) -> bool:
    """Whether it may be a job's number."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS


def ids_in(text: str) -> list[int]:
    """The jobs that a page names, as `12,13`; whatever else stands there is left out."""
    return [int(part) for part in text.split(",") if is_id(part)]
