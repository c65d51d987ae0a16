"""So many tries in so long, counted by key: what is more is refused before anything looks at it.

Behind a tunnel everybody has one address, so keys are names. Safe to use from several threads.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_KEYS = 10_000


class Throttle:
    """`most` tries within `seconds` for each key."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until the next try may be made; 0 where it may be made now, and it counts as made."""
        now = self._clock()
        with self._lock:
            tries = self._tries.setdefault(key, deque())
            self._tries.move_to_end(key)
            while tries and tries[0] <= now - self._seconds:
                tries.popleft()
            if len(tries) >= self._most:
                return tries[0] + self._seconds - now
            tries.append(now)
            while len(self._tries) > MAX_KEYS:
                self._tries.popitem(last=False)
            return 0.0

    def forget(self, key: str) -> None:
        """The tries of that key are no longer held against it."""
        with self._lock:
            self._tries.pop(key, None)
