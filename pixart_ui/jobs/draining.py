"""Devices that take no new jobs: to unplug one, or to leave it to something else, without losing a picture.

What must stay true: it is the device that is drained, not its worker, so that a worker that starts again stays idle. A
drained worker ends the picture that it is at; what waits in its group goes back.
"""

from __future__ import annotations

import math
import time

from pixart_ui.errors import InputError, unknown_name
from pixart_ui.jobs.listing import Listing


class Draining(Listing):
    """The room of the journal for what workers are to leave alone."""

    def drain_device(self, device: str) -> bool:
        """Let its worker claim nothing more. False: so it was. Raises InputError for an unknown device."""
        self._check_device(device)
        with self._change(is_durable=True) as db:
            cursor = db.execute("INSERT OR IGNORE INTO drained_devices VALUES (?, ?)", (device, time.time()))
            return cursor.rowcount == 1

    def resume_device(self, device: str) -> bool:
        """Let its worker claim again. False: it was not drained. Raises InputError for an unknown device."""
        with self._change(is_durable=True) as db:
            if db.execute("DELETE FROM drained_devices WHERE id=?", (device,)).rowcount == 1:
                return True
        self._check_device(device)
        return False

    def _check_device(self, device: str) -> None:
        known = dict.fromkeys(worker.device for worker in self.workers(alive_within=math.inf))
        if not known:
            raise InputError(f"Device {device[:60]!r} has no worker here, nor has any other: start the app first.")
        if device not in known:
            raise unknown_name("device", device, known)
