"""What a download tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DownloadProgress:
    """Bytes and files of the whole checkpoint, what was there before included; `repo` and `file` are at work now."""

    repo: str
    file: str
    done_bytes: int
    total_bytes: int
    files_done: int
    files_total: int
