"""How long pictures are kept: by default for ever, else the newest ones, those of the last days, and every starred one.

Only files that the journal names are ever deleted: the picture of a finished job, and its thumbnail. The job stays in
the list, with a note of when its picture went. Jobs that were cleared from the list keep their pictures for good.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings

DAY_SECONDS = 86400.0
log = logging.getLogger(__name__)


def apply(settings: Settings, journal: Journal) -> int:
    """Delete what the settings do not keep. Returns how many pictures went; one that cannot be deleted is logged."""
    if settings.keep_images is None and settings.keep_days is None:
        return 0
    before = None if settings.keep_days is None else time.time() - settings.keep_days * DAY_SECONDS
    try:
        num_removed = journal.remove_images(
            keep=settings.keep_images, before=before, remove=lambda name: _remove(settings, name)
        )
    except OSError as error:
        log.warning("a picture that is no longer kept cannot be deleted: %s", error)
        return 0
    if num_removed:
        log.info("%d pictures deleted, as the settings keep no more", num_removed)
    return num_removed


def _remove(settings: Settings, name: str) -> None:
    if Path(name).name == name:  # never outside of the folder, whatever a journal says
        (settings.images_dir / name).unlink(missing_ok=True)
        settings.thumbnail_path(name).unlink(missing_ok=True)
