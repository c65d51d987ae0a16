"""Between the journal and a cluster: a lane for each slot that is there, for as long as it is. No Ray, no torch.

One process a data folder. What must stay true: machines come and go and the lanes follow; whatever ends this process,
the journal has every job, and the workers, which are its own, end with it.
"""

from __future__ import annotations

import itertools
import logging
import threading

from pixart_ui.cluster.lane import Lane, Site
from pixart_ui.cluster.wire import Slot

LOOK_SECONDS = 1.0
LEAVE_SECONDS = 30.0
log = logging.getLogger(__name__)


def drive(site: Site, stop: threading.Event) -> None:
    """Until `stop` is set. Raises WorkerError where the cluster itself is gone."""
    lanes: dict[Slot, Lane] = {}
    numbers = itertools.count(1)
    try:
        while not stop.is_set():
            _follow(site, lanes, numbers)
            stop.wait(LOOK_SECONDS)
    finally:
        for lane in lanes.values():
            lane.leave()
        for lane in lanes.values():
            lane.join(LEAVE_SECONDS)


def _follow(site: Site, lanes: dict[Slot, Lane], numbers: itertools.count[int]) -> None:
    slots = site.cluster.slots()
    for slot in sorted(slots - set(lanes)):
        log.info("%s %s joined", slot.host, slot.place)
        lanes[slot] = Lane(site, slot, numbers)
        lanes[slot].start()
    for slot in sorted(set(lanes) - slots):
        log.info("%s %s left", slot.host, slot.place)
        lanes.pop(slot).leave()  # it has nothing to wait for: its worker is lost
