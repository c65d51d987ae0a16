"""What a worker that was killed left behind: files begun and not finished, previews of jobs that are not being made.

Looked for when a worker starts, after the jobs of its predecessors are back in the queue. What another worker of the
same folder writes at this moment stays.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil

from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings

# Files are written under a name with the writer's process in it. A process that took that number later keeps such a
# file for so long; none takes longer to write.
FORGOTTEN_SECONDS = 3600.0
_BEGUN = re.compile(r"\..*\.png\.(\d+)\.part|[0-9a-f]{64}\.(\d+)\.part|\.calibration\.json\.(\d+)")
_PREVIEW = re.compile(r"(\d+)-\d+-\d+\.(?:jpg|part)")


def sweep(settings: Settings, journal: Journal) -> None:
    """Remove it all."""
    for folder in (settings.images_dir, settings.embeddings_dir, settings.calibration_path.parent):
        for path in _files(folder):
            match = _BEGUN.fullmatch(path.name)
            if match is not None and _is_forgotten(path, int(next(filter(None, match.groups())))):
                path.unlink(missing_ok=True)
    previews = {
        path: int(match[1]) for path in _files(settings.previews_dir) if (match := _PREVIEW.fullmatch(path.name))
    }
    if previews:
        running = {job.id for job in journal.jobs(ids=[*previews.values()], states=[JobState.RUNNING])}
        for path, job_id in previews.items():
            if job_id not in running:
                path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_forgotten(path: Path, pid: int) -> bool:
    try:
        return not psutil.pid_exists(pid) or time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS
    except FileNotFoundError:
        return False  # it was finished meanwhile
