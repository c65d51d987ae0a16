"""A ZIP of pictures as a stream: no file of its own, and no more memory for a thousand than for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


def zip_stream(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """A ZIP with those files under those names, stored as they are; `MISSING.txt` in it names those that are gone."""
    raise NotImplementedError
