"""Says in the journal how far the running job is, beside the engine's work: the latest step wins.

The engine waits for nothing here, neither for a slow disk nor for whoever writes to the journal meanwhile. What must
stay true: after `settle` all that was told is written, so that what the journal is told next stands.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal

# A browser may still ask for the preview before the last one.
NUM_PREVIEWS = 2
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Step:
    job: Job
    number: int
    preview: Image.Image | None


class StepReports:
    """For one group, of one thread. `folder` is where previews lie."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._latest: deque[_Step] = deque(maxlen=1)
        self._previews: deque[Path] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="steps")
        self._writing: Future[None] | None = None

    def tell(self, job: Job, number: int, preview: Image.Image | None) -> None:
        """So many steps are done. Raises what came of writing an earlier one."""
        self._latest.append(_Step(job, number, preview))
        if self._writing is None or self._writing.done():
            self._take_result()
            self._writing = self._writer.submit(self._write)

    def settle(self) -> None:
        """Wait until all is written. Raises JournalError."""
        self._take_result()
        self._write()  # what was told in the moment when the thread found nothing more

    def close(self) -> None:
        self._writer.shutdown()

    def _take_result(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self) -> None:
        while self._latest:
            step = self._latest.popleft()
            name = self._write_preview(step) if step.preview is not None else None
            # Whether the job is still ours is asked before each step anyway.
            self._journal.progress(step.job, phase=Phase.DENOISE, step=step.number, preview=name)

    def _write_preview(self, step: _Step) -> str | None:
        """A preview that cannot be written is no reason to stop.

        Each has a name of its own: to replace a file can mean to wait for the disk.
        """
        assert step.preview is not None
        path = self._folder / f"{step.job.id}-{step.job.attempt}-{step.number}.jpg"
        aside = path.with_suffix(".part")
        try:
            step.preview.convert("RGB").save(aside, "JPEG", quality=80)
            aside.replace(path)
        except OSError as error:
            log.warning("preview of job %d: %s", step.job.id, error)
            return None
        self._previews.append(path)
        if len(self._previews) > NUM_PREVIEWS:
            self._previews.popleft().unlink(missing_ok=True)
        return path.name
