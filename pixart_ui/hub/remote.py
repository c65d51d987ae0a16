"""The Hub over the network: what a repository holds, and its files into the Hub's own cache folder.

The only module that imports `huggingface_hub`. Large files are fetched here, into a part file beside the cache's blobs:
`huggingface_hub` throws a half file away when its process ends, and half of T5 is 10 GB. Everything else, small files
and the links of a snapshot, is left to `snapshot_download`, which finds those blobs and fetches none of them again.

Every error of the network leaves as a `DownloadError` of one sentence.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, errors, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import are_symlinks_supported, http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils import tqdm as hub_bar  # type: ignore[attr-defined]

from pixart_ui.errors import DownloadError

LISTING_TIMEOUT_SECONDS = 20.0
# The root of the HTTP library's errors; which library it is depends on the version of huggingface_hub.
HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteFile:
    """`sha256` is known for large files (LFS), `git_blob` for the others."""

    path: str
    size: int
    sha256: str | None
    git_blob: str | None


@dataclass(frozen=True)
class RemoteRepo:
    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


class Remote:
    """`command` is what the user runs to try again; it stands in the messages."""

    def __init__(self, cache_dir: Path, endpoint: str | None, command: str) -> None:
        self._cache_dir = cache_dir
        self._endpoint = endpoint
        self._command = command

    def list_files(self, repo: str, revision: str) -> RemoteRepo:
        """What the repository holds at a branch or commit. Raises DownloadError."""
        with self._plain_errors(repo):
            info = HfApi(endpoint=self._endpoint).model_info(
                repo, revision=revision, files_metadata=True, timeout=LISTING_TIMEOUT_SECONDS
            )
        if info.sha is None or _COMMIT.fullmatch(info.sha) is None:
            raise DownloadError(f"The Hub names no commit for {repo}: try `{self._command}` again later.")
        files = []
        for sibling in info.siblings or ():
            if sibling.size is None:
                continue
            sha256 = sibling.lfs.sha256 if sibling.lfs is not None else None
            is_hash = sha256 is not None and _SHA256.fullmatch(sha256) is not None
            files.append(
                RemoteFile(
                    sibling.rfilename, sibling.size, sha256 if is_hash else None, None if sha256 else sibling.blob_id
                )
            )
        return RemoteRepo(repo, info.sha, tuple(files))

    def fetch(self, remote: RemoteRepo, files: list[RemoteFile], on_bytes: Callable[[RemoteFile, int], None]) -> None:
        """Bring `files` into the cache; `on_bytes` hears how much of a large file is there. Raises DownloadError."""
        with self._plain_errors(remote.repo):
            if are_symlinks_supported(self._cache_dir):
                for file in files:
                    if file.sha256 is not None:
                        self._fetch_blob(remote, file, on_bytes)
            snapshot_download(
                remote.repo,
                revision=remote.commit,
                cache_dir=self._cache_dir,
                endpoint=self._endpoint,
                allow_patterns=[escape(file.path) for file in files],
                tqdm_class=_SilentBar,
            )

    def part_bytes(self, repo: str, file: RemoteFile) -> int:
        """How much of the file an interrupted download left behind."""
        part = self._blobs(repo) / _part_name(file)
        return part.stat().st_size if file.sha256 is not None and part.is_file() else 0

    def _blobs(self, repo: str) -> Path:
        return self._cache_dir / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"

    def _fetch_blob(self, remote: RemoteRepo, file: RemoteFile, on_bytes: Callable[[RemoteFile, int], None]) -> None:
        blobs = self._blobs(remote.repo)
        blob = blobs / str(file.sha256)
        lock = self._cache_dir / ".locks" / blobs.parent.name / f"{file.sha256}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        blobs.mkdir(parents=True, exist_ok=True)
        # The same lock as huggingface_hub's own, so that two downloads of one file wait for each other.
        with WeakFileLock(lock):
            if blob.exists():
                return
            part = blobs / _part_name(file)
            self._fill(part, remote, file, on_bytes)
            part.replace(blob)

    def _fill(
        self, part: Path, remote: RemoteRepo, file: RemoteFile, on_bytes: Callable[[RemoteFile, int], None]
    ) -> None:
        """Fetch what the part file lacks; a broken connection is taken up again for as long as bytes arrive."""
        url = hf_hub_url(remote.repo, file.path, revision=remote.commit, endpoint=self._endpoint)
        part.touch()
        while True:
            start = part.stat().st_size
            if start > file.size:
                os.truncate(part, 0)
                start = 0
            try:
                with _CountingFile(part, lambda done: on_bytes(file, done)) as target:
                    http_get(
                        url,
                        target,
                        resume_size=start,
                        headers=dict(build_hf_headers()),
                        expected_size=file.size,
                        displayed_filename=file.path,
                        tqdm_class=_SilentBar,
                    )
                    target.flush()
                    os.fsync(target.fileno())
                return
            except HfHubHTTPError:
                raise
            except HTTPError:
                if part.stat().st_size <= start:
                    raise

    @contextmanager
    def _plain_errors(self, repo: str) -> Iterator[None]:
        again = f"run `{self._command}` again"
        try:
            yield
        except OfflineModeIsEnabled:
            raise DownloadError(
                f"HF_HUB_OFFLINE is set, so {repo} may not be fetched: unset it, then {again}."
            ) from None
        except GatedRepoError:
            raise DownloadError(
                f"{repo} is gated, it asks for consent first: accept its terms on its page, log in with "
                f"`hf auth login` or set HF_TOKEN, then {again}."
            ) from None
        except RepositoryNotFoundError:
            raise DownloadError(
                f"{repo} was not found, it does not exist or needs a login: check the name, or log in with "
                f"`hf auth login`, then {again}."
            ) from None
        except RevisionNotFoundError:
            raise DownloadError(
                f"{repo} no longer has the revision that was recorded: delete the records in the data folder's "
                f"`checkpoints`, then {again}."
            ) from None
        except HfHubHTTPError as error:
            raise DownloadError(_refusal(repo, error.response.status_code, again)) from None
        except (HTTPError, LocalEntryNotFoundError, ConnectionError):
            host = self._endpoint if self._endpoint is not None else constants.ENDPOINT
            raise DownloadError(
                f"{host} cannot be reached, or the connection broke: check the network, then {again}; "
                "what has arrived is kept."
            ) from None
        except OSError as error:
            raise DownloadError(_disk_trouble(self._cache_dir, error, again)) from None


def _part_name(file: RemoteFile) -> str:
    return f"{file.sha256}.pixart.part"


def _refusal(repo: str, status: int, again: str) -> str:
    if status in (401, 403):
        return f"{repo} may not be read (HTTP {status}): log in with `hf auth login` or set HF_TOKEN, then {again}."
    return f"The Hub answered HTTP {status} for {repo}: wait a little, then {again}; what has arrived is kept."


def _disk_trouble(cache_dir: Path, error: OSError, again: str) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk that holds {cache_dir} is full: make room, then {again}; what has arrived is kept."
    reason = error.strerror if error.strerror is not None else str(error).splitlines()[0]
    return f"The download into {cache_dir} failed ({reason}): correct that, then {again}."


class _CountingFile(io.BufferedWriter):
    """A file opened at its end that tells its length after every write."""

    def __init__(self, path: Path, on_length: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "r+b"))
        self.seek(0, os.SEEK_END)
        self._on_length = on_length

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        self._on_length(self.tell())
        return count


class _SilentBar(hub_bar):
    """Takes the place of the bars that huggingface_hub would draw on the terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
