"""What holds on a Space as a whole: a visitor is a cookie, and with another one their own limits begin anew.

Variables of the Space (`PIXART_UI_MAX_JOBS`, `PIXART_UI_KEEP_IMAGES`) set other bounds.
"""

from __future__ import annotations

from dataclasses import replace

from pixart_ui.settings import Settings

MAX_JOBS = 200
KEEP_IMAGES = 2_000


def bounded(settings: Settings) -> Settings:
    """With bounds where none were set."""
    return replace(
        settings,
        max_jobs=settings.max_jobs if settings.max_jobs is not None else MAX_JOBS,
        keep_images=settings.keep_images if settings.keep_images is not None else KEEP_IMAGES,
    )
