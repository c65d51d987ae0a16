"""The answers of `/live`, for any number of browsers: each is rendered once, and most need no look at the journal.

Browsers of one person that look at the same thing get the same bytes. A state that was read a moment ago counts as the
present one, unless this process changed something since: so whoever presses a button sees at once what came of it, and
what a worker did is seen that moment later. Safe to use from several threads.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

from pixart_ui.ui.live import Live, State
from pixart_ui.ui.look import Look

# How long a state counts as the present one. With 50 browsers most of them ask within it.
FRESH_SECONDS = 0.1
# Every browser may look somewhere else; more than so many are rendered again.
MAX_KEPT = 256


@dataclass(frozen=True)
class _Read:
    """A state, when it was read, and what was rendered of it, by its marks."""

    at: float
    state: State
    bodies: dict[str, bytes] = field(default_factory=dict)


class Answers:
    """One for each server."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._last: _Read | None = None

    def is_known_unchanged(self, mark: str, look: Look) -> bool:
        """Whether a page that shows `mark` shows the present state, as far as that is known. Waits for nothing."""
        last = self._last
        return last is not None and self._is_fresh(last) and last.state.mark(look) == mark

    def body(self, mark: str, look: Look) -> bytes | None:
        """The snapshot as JSON for a page that shows `mark`; None while nothing has changed. Raises JournalError."""
        with self._lock:
            last = self._read()
            present = last.state.mark(look)
            if present == mark:
                return None
            if present not in last.bodies:
                if len(last.bodies) >= MAX_KEPT:
                    last.bodies.clear()
                last.bodies[present] = json.dumps(self._live.render(last.state, look).as_json()).encode()
            return last.bodies[present]

    def _read(self) -> _Read:
        """The present state; with what was rendered of it already, if it is still the same."""
        last = self._last
        if last is None or not self._is_fresh(last):
            at, state = time.monotonic(), self._live.state()
            is_same = last is not None and last.state.is_like(state)
            last = self._last = _Read(at, state, last.bodies if last is not None and is_same else {})
        return last

    def _is_fresh(self, read: _Read) -> bool:
        return time.monotonic() - read.at < FRESH_SECONDS and not self._live.is_overtaken(read.state)
