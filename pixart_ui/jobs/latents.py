"""Latents of pictures that are drawn and not yet recorded: after a crash they are decoded, not drawn again.

A file is named by the job and by the hash of everything that decides its latents, so that an edited job, other weights
or another version find nothing. It is written aside, synced and renamed. What must stay true: a file that is there is
whole, and one that cannot be written, or read, costs no more than the time to draw. Brings in no torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pixart_ui.events import LatentArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptLatents:
    """`latents` is `[1, 4, height / 8, width / 8]`; `kernels` says what drew them, as the picture's facts do."""

    latents: LatentArray
    kernels: Mapping[str, str]


class LatentFiles:
    """The folder of kept latents. `key` is one of the engine's `latents_keys`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, job_id: int, key: str) -> KeptLatents | None:
        """What is kept of the job; its files under other keys are of no use any more and go."""
        wanted = self._path(job_id, key)
        for path in self._files_of(job_id):
            if path != wanted:
                path.unlink(missing_ok=True)
        try:
            with safe_open(wanted, framework="np") as file:
                metadata = file.metadata() or {}
                latents = np.array(file.get_tensor("latents"))  # a copy: the file may go while this is used
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            log.warning("latents of job %d are left aside: %s", job_id, error)
            return None
        if metadata.get("key") != key or metadata.get("sha256") != _sha256(latents):
            log.warning("latents of job %d are damaged and left aside", job_id)
            return None
        return KeptLatents(latents, json.loads(metadata["kernels"]))

    def put(self, job_id: int, key: str, kept: KeptLatents) -> None:
        path = self._path(job_id, key)
        aside = path.with_suffix(f".{os.getpid()}.part")
        metadata = {"key": key, "sha256": _sha256(kept.latents), "kernels": json.dumps(dict(kept.kernels))}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(save({"latents": np.ascontiguousarray(kept.latents)}, metadata))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            log.warning("latents of job %d are not kept: %s", job_id, error)
            with suppress(OSError):
                aside.unlink()

    def discard(self, job_id: int) -> None:
        """The job's picture is recorded, or will not come."""
        for path in self._files_of(job_id):
            path.unlink(missing_ok=True)

    def sweep(self, open_ids: Callable[[Collection[int]], Collection[int]]) -> None:
        """Remove files of jobs that are not open any more; `open_ids` says which of some jobs are."""
        found = {job_id for path in self._files() if (job_id := _job_of(path)) is not None}
        if found:
            for job_id in found - set(open_ids(found)):
                self.discard(job_id)

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []

    def _files_of(self, job_id: int) -> list[Path]:
        return [path for path in self._files() if _job_of(path) == job_id]

    def _path(self, job_id: int, key: str) -> Path:
        return self._folder / f"{job_id}-{hashlib.sha256(key.encode()).hexdigest()}.safetensors"


def _job_of(path: Path) -> int | None:
    """Whose file that is; None for a name that is none of ours."""
    number, dash, _ = path.name.partition("-")
    return int(number) if dash and number.isascii() and number.isdigit() else None


def _sha256(latents: LatentArray) -> str:
    """Of the numbers and their shape: a bit that a disk lost must not become a picture."""
    digest = hashlib.sha256(f"{latents.dtype}{latents.shape}".encode())
    digest.update(np.ascontiguousarray(latents).tobytes())
    return digest.hexdigest()
