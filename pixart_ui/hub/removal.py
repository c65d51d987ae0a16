"""Removing a checkpoint's files from the Hub's cache, except what another checkpoint here still needs.

The cache is shared with all programs that use the Hub: only files that were fetched for this checkpoint go, at the
commit that was recorded. The record goes first, so that a half-removed checkpoint counts as absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pixart_ui.hub.places import snapshot_folder
from pixart_ui.hub.records import Records


def remove(name: str, others: Iterable[str], records: Records, cache_dir: Path) -> int:
    """Remove what `name` alone needs; returns the bytes freed, 0 where nothing was fetched."""
    record = records.read(name)
    if record is None:
        return 0
    kept = [found for other in others if other != name and (found := records.read(other)) is not None]
    shared = {(repo, entry.commit, path) for found in kept for repo, entry in found.items() for path in entry.files}
    records.path(name).unlink(missing_ok=True)
    freed = 0
    for repo, entry in record.items():
        folder = snapshot_folder(cache_dir, repo, entry.commit)
        for path in entry.files:
            if (repo, entry.commit, path) not in shared:
                freed += _remove_file(folder / path)
        _tidy(folder)
    return freed


def _remove_file(path: Path) -> int:
    """A snapshot's file is a link to a blob, which goes too unless another snapshot links to it."""
    if not path.is_symlink():
        size = path.stat().st_size if path.is_file() else 0
        path.unlink(missing_ok=True)
        return size
    blob = path.resolve()
    path.unlink()
    snapshots = blob.parent.parent / "snapshots"
    if not blob.is_file() or any(link.is_symlink() and link.resolve() == blob for link in snapshots.rglob("*")):
        return 0
    size = blob.stat().st_size
    blob.unlink()
    return size


def _tidy(snapshot: Path) -> None:
    """Remove folders that are empty now, and the whole repository once no snapshot has a file."""
    if snapshot.is_dir():
        for folder in sorted((path for path in snapshot.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):  # not empty
                folder.rmdir()
    repository = snapshot.parent.parent
    if repository.is_dir() and not any(path.is_file() for path in snapshot.parent.rglob("*")):
        shutil.rmtree(repository, ignore_errors=True)
