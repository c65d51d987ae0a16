"""What a worker tells of its memory beside its jobs: what lies on the device now, and what was left after each group.

Memory that grows from group to group is a leak; the page tells it from these numbers. Figures are coarse while they
only flicker, since every change of them wakes the browsers. Brings in no torch. Used by two threads: the worker's own
notes what came of a group, its heartbeat reads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

# `components`: bytes by component; `held_bytes`: what torch has reserved of a GPU, on a CPU the resident set;
# `rss_bytes`: the resident set of this process. `beside` has the first two of a second GPU that belongs to the worker.
Weigh = Callable[[], Mapping[str, Any]]
GRAIN_BYTES = 32 * 2**20
# As many groups as are kept to tell a trend from noise.
MAX_GROUPS = 40


class Watch:
    """`weigh` is asked from the heartbeat's thread. Without one, only jobs are counted."""

    def __init__(self, weigh: Weigh | None) -> None:
        self._weigh = weigh
        self._groups: deque[list[float]] = deque(maxlen=MAX_GROUPS)
        self._held: dict[int, int] = {}
        self._num_done = 0

    def note_group(self, num_done: int) -> None:
        """A group has ended and its memory is given back."""
        self._num_done += num_done
        if self._weigh is not None:
            found = self._weigh()
            rest = sum(device["held_bytes"] - sum(device["components"].values()) for device in _devices(found))
            self._groups.append([round(time.time(), 1), max(0, rest), found["rss_bytes"]])

    def news(self) -> dict[str, Any]:
        """JSON values. `groups` are `[seconds since 1970, bytes held beside weights, bytes of RAM]`, oldest first."""
        told: dict[str, Any] = {"jobs_done": self._num_done, "groups": list(self._groups)}
        if self._weigh is not None:
            own, *others = [self._seen(place, device) for place, device in enumerate(_devices(self._weigh()))]
            told |= own | ({"beside": others[0]} if others else {})
        return {"watch": told}

    def _seen(self, place: int, device: Mapping[str, Any]) -> dict[str, Any]:
        if abs(device["held_bytes"] - self._held.get(place, 0)) >= GRAIN_BYTES:
            self._held[place] = device["held_bytes"]
        return {"components": device["components"], "held_bytes": self._held.get(place, 0)}


def _devices(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [found, found["beside"]] if "beside" in found else [found]
