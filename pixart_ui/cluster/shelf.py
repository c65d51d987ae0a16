"""Embeddings that workers of a cluster computed, kept by the driver: a job that goes back takes them along.

Files as the engine writes them, by their names; nothing here reads one. A cache only, without torch: the engine checks
each before it uses it. Safe to use from several threads.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

MAX_BYTES = 1024**3
_NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
log = logging.getLogger(__name__)


class Shelf:
    """The least recently written leave when there are more than `max_bytes`."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def names(self) -> frozenset[str]:
        try:
            return frozenset(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        except FileNotFoundError:
            return frozenset()

    def take(self, names: Collection[str]) -> dict[str, bytes]:
        """Those of them that are here."""
        found = {}
        for name in names:
            try:
                found[name] = (self._folder / name).read_bytes()
            except OSError:
                continue
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        with self._lock:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                for name, content in files.items():
                    if _NAME.fullmatch(name):
                        self._write(name, content)
                self._trim()
            except OSError as error:
                log.warning("embeddings are not kept: %s", error)

    def _write(self, name: str, content: bytes) -> None:
        aside = self._folder / f".{name}.{os.getpid()}.part"
        aside.write_bytes(content)
        aside.replace(self._folder / name)
        if self._bytes is not None:
            self._bytes += len(content)

    def _trim(self) -> None:
        if self._bytes is None:
            self._bytes = sum(path.stat().st_size for path in self._folder.glob("*.safetensors"))
        if self._bytes <= self._max_bytes:
            return
        files = sorted((path.stat().st_mtime_ns, path) for path in self._folder.glob("*.safetensors"))
        for _, path in files:
            if self._bytes <= self._max_bytes * 9 // 10:
                return
            self._bytes -= path.stat().st_size
            path.unlink()
