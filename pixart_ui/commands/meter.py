"""How far something is, in words that people read: on stderr, while results go to stdout."""

from __future__ import annotations

import time
from typing import TextIO

from pixart_ui.hub import DownloadProgress

SECONDS_BETWEEN_LINES = 10.0


def human(size: float) -> str:
    """A number of bytes as people read it."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size:.0f} bytes"


class Meter:
    """Tells how far a download or a conversion is: one line that changes on a terminal, a line every ten seconds
    elsewhere."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._started_at = time.monotonic()
        self._first_bytes: int | None = None
        self._told_at: float | None = None
        self._width = 0

    def show(self, progress: DownloadProgress) -> None:
        """How far a download is."""
        is_last = progress.files_done == progress.files_total
        files = f", {progress.files_done} of {progress.files_total} files"
        self._show(progress.done_bytes, progress.total_bytes, files, is_last)

    def show_bytes(self, done: int, total: int) -> None:
        """How far something is that counts in bytes alone."""
        self._show(done, total, "", done == total)

    def end(self) -> None:
        if self._is_terminal and self._width:
            self._stream.write("\n")

    def _show(self, done: int, total: int, files: str, is_last: bool) -> None:
        now = time.monotonic()
        if self._first_bytes is None:
            self._first_bytes = done
        is_due = self._told_at is None or now - self._told_at >= SECONDS_BETWEEN_LINES
        if not (self._is_terminal or is_due or is_last):
            return
        self._told_at = now
        line = self._line(done, total, files, now - self._started_at)
        if self._is_terminal:
            self._stream.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def _line(self, done: int, total: int, files: str, seconds: float) -> str:
        percent = 100 * done // max(1, total)
        arrived = done - (self._first_bytes if self._first_bytes is not None else 0)
        speed = arrived / seconds if seconds > 0 else 0.0
        left = (total - done) / speed if speed > 0 else 0.0
        rest = f", {human(speed)}/s, {left / 60:.0f} min left" if left else ""
        return f"{self._name}: {human(done)} of {human(total)} ({percent} %){files}{rest}"
