"""Fetching one checkpoint: list, choose, check room, fetch, check, record. In this order, and nothing else than asked.

The first download takes `main` and records the commit; every later one asks for that commit. A repository that another
checkpoint was fetched from is taken at the same commit, so that what they share (T5) is on the disk once.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.catalog import COMPONENTS, Checkpoint
from pixart_ui.errors import CheckpointError, DownloadError
from pixart_ui.fingerprints import Fingerprints
from pixart_ui.hub.layout import MODEL_INDEX, needed
from pixart_ui.hub.places import command, snapshot_folder
from pixart_ui.hub.progress import DownloadProgress
from pixart_ui.hub.records import FileRecord, Records, RepoRecord
from pixart_ui.hub.remote import Remote, RemoteFile, RemoteRepo

SPARE_BYTES = 1 << 30
SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class _Wanted:
    repo: str
    commit: str
    file: RemoteFile
    path: Path


class Download:
    """One run for one checkpoint. `run` raises DownloadError."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        records: Records,
        fingerprints: Fingerprints,
        cache_dir: Path,
        endpoint: str | None,
        *,
        allow_pickle: bool,
    ) -> None:
        self._checkpoint = checkpoint
        self._records = records
        self._fingerprints = fingerprints
        self._cache_dir = cache_dir
        self._remote = Remote(cache_dir, endpoint, command(checkpoint))
        self._allow_pickle = allow_pickle

    def run(self, on_progress: Callable[[DownloadProgress], None] | None) -> None:
        try:
            self._run(on_progress)
        except OSError as error:
            raise DownloadError(
                f"The download into {self._cache_dir} failed ({error.strerror}: {error.filename}): correct that, then "
                f"run `{command(self._checkpoint)}` again."
            ) from None

    def _run(self, on_progress: Callable[[DownloadProgress], None] | None) -> None:
        if self._checkpoint.pickled:
            self._refuse_pickle(self._checkpoint.repos[self._checkpoint.pickled[0]])
        repos = [self._list(repo) for repo in _repos(self._checkpoint)]
        wanted = [item for repo in repos for item in self._choose(repo)]
        before = self._records.read(self._checkpoint.name)
        absent = [item for item in wanted if not self._is_sound(item, before)]
        self._check_room(absent)
        progress = _Progress(wanted, absent, on_progress)
        for repo in repos:
            mine = [item for item in absent if item.repo == repo.repo]
            if mine:
                self._fetch(repo, mine, progress)
        self._records.write(self._checkpoint.name, self._record(wanted))

    def _list(self, repo: str) -> RemoteRepo:
        commit = self._records.commit_of(repo, self._checkpoint.name)
        return self._remote.list_files(repo, commit if commit is not None else "main")

    def _choose(self, repo: RemoteRepo) -> list[_Wanted]:
        """The files of this repository that the checkpoint needs."""
        by_path = {file.path: file for file in repo.files}
        paths = []
        for component in COMPONENTS:
            if self._checkpoint.repos[component] != repo.repo:
                continue
            names = {path.partition("/")[2] for path in by_path if path.startswith(f"{component}/")}
            need = needed(component, names)
            if need.missing is not None:
                raise DownloadError(
                    f"{repo.repo} lacks {component}/{need.missing}, so {self._checkpoint.name} would not work: "
                    "choose another checkpoint."
                )
            if need.is_pickled:
                self._refuse_pickle(repo.repo)
            paths += [f"{component}/{name}" for name in need.files]
        if self._checkpoint.repos["transformer"] == repo.repo and MODEL_INDEX in by_path:
            paths.append(MODEL_INDEX)
        folder = snapshot_folder(self._cache_dir, repo.repo, repo.commit)
        return [_Wanted(repo.repo, repo.commit, by_path[path], folder / path) for path in paths]

    def _refuse_pickle(self, repo: str) -> None:
        if not self._allow_pickle:
            raise DownloadError(
                f"{repo} holds its weights as pickled .bin files only, which are not fetched unasked: run "
                f"`{command(self._checkpoint, allow_pickle=True)}`; they are read with weights_only=True, which runs "
                "no code from them."
            )

    def _is_sound(self, item: _Wanted, before: Mapping[str, RepoRecord] | None) -> bool:
        """Whether the file is there as it should be; one that is not is thrown away, so that it is fetched.

        A checkpoint that was complete before is fetched again because somebody doubts it: its bytes are read anew.
        """
        if not item.path.is_file():
            _discard(item.path)
            return False
        is_doubted = before is not None and item.repo in before
        is_sound = item.path.stat().st_size == item.file.size and self._matches(item, is_doubted)
        if not is_sound:
            _discard(item.path)
        return is_sound

    def _matches(self, item: _Wanted, is_doubted: bool) -> bool:
        try:
            if item.file.sha256 is not None:
                hash_of = self._fingerprints.compute if is_doubted else self._fingerprints.sha256
                return hash_of(item.path) == item.file.sha256
            return item.file.git_blob is None or _git_blob(item.path) == item.file.git_blob
        except (CheckpointError, OSError):
            return False

    def _check_room(self, absent: list[_Wanted]) -> None:
        missing = sum(item.file.size - self._remote.part_bytes(item.repo, item.file) for item in absent)
        if missing <= 0:
            return
        there = next(folder for folder in (self._cache_dir, *self._cache_dir.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        if missing + SPARE_BYTES > free:
            raise DownloadError(
                f"{self._checkpoint.name} needs {missing / 1e9:.1f} GB more on the disk and {SPARE_BYTES / 1e9:.1f} GB "
                f"to spare, {there} has {free / 1e9:.1f} GB free: make room there, or set HF_HOME to a folder on a "
                "larger disk."
            )

    def _fetch(self, repo: RemoteRepo, items: list[_Wanted], progress: _Progress) -> None:
        progress.start(items[0])
        self._remote.fetch(
            repo, [item.file for item in items], lambda file, done: progress.report(repo.repo, file, done)
        )
        for item in items:
            if not item.path.is_file() or item.path.stat().st_size != item.file.size or not self._matches(item, False):
                _discard(item.path)
                raise DownloadError(
                    f"{item.file.path} of {item.repo} did not arrive as the Hub describes it and was thrown away: "
                    f"run `{command(self._checkpoint)}` again."
                )
            progress.finish(item)

    def _record(self, wanted: list[_Wanted]) -> dict[str, RepoRecord]:
        record: dict[str, RepoRecord] = {}
        for item in wanted:
            sha256 = item.file.sha256 if item.file.sha256 is not None else self._fingerprints.compute(item.path)
            files = record[item.repo].files if item.repo in record else {}
            record[item.repo] = RepoRecord(item.commit, {**files, item.file.path: FileRecord(item.file.size, sha256)})
        return record


class _Progress:
    """Adds up what is there and tells it, ten times a second at most."""

    def __init__(
        self, wanted: list[_Wanted], absent: list[_Wanted], tell: Callable[[DownloadProgress], None] | None
    ) -> None:
        self._tell = tell
        self._total_bytes = sum(item.file.size for item in wanted)
        self._files_total = len(wanted)
        self._files_done = len(wanted) - len(absent)
        self._done = {(item.repo, item.file.path): item.file.size for item in wanted if item not in absent}
        self._told_at = 0.0

    def start(self, item: _Wanted) -> None:
        self._say(item.repo, item.file.path)

    def report(self, repo: str, file: RemoteFile, done_bytes: int) -> None:
        self._done[repo, file.path] = done_bytes
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN_REPORTS:
            self._say(repo, file.path)

    def finish(self, item: _Wanted) -> None:
        self._done[item.repo, item.file.path] = item.file.size
        self._files_done += 1
        self._say(item.repo, item.file.path)

    def _say(self, repo: str, file: str) -> None:
        self._told_at = time.monotonic()
        if self._tell is not None:
            done_bytes = sum(self._done.values())
            self._tell(DownloadProgress(repo, file, done_bytes, self._total_bytes, self._files_done, self._files_total))


def _repos(checkpoint: Checkpoint) -> list[str]:
    """Its repositories, each once, the transformer's first."""
    return list(dict.fromkeys([checkpoint.repos["transformer"], *checkpoint.repos.values()]))


def _git_blob(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _discard(path: Path) -> None:
    """Remove a file of a snapshot and the blob that it links to."""
    if path.is_symlink():
        (path.parent / path.readlink()).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
