"""Every error that this project raises on purpose.

    PixArtError
    ├── InputError            what was asked cannot be (exit code 2); knows its field
    ├── CheckpointError       a checkpoint is absent, incomplete or damaged
    ├── DownloadError         a checkpoint could not be fetched
    ├── DeviceError           the device or a library for it is absent (exit code 2)
    ├── OutOfMemory           the device's memory does not hold the plan
    │   └── BudgetTooSmall    no plan fits the memory that may be used (exit code 2)
    ├── DiskFullError         the disk does not hold the result
    ├── JournalError          the journal cannot be opened, read or written
    │   └── JournalUnusable   its file is not for this app to use (exit code 2)
    ├── WorkerError           the worker could not start or keep running
    │   └── EngineLost        the process that the engine is in is gone, or does not answer
    └── Cancelled             somebody cancelled the job; not a failure

A message is one sentence: the value, the rule, the remedy. It is shown to people as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PixArtError(Exception):
    """The root; `exit_code` is what the command line returns for it."""

    exit_code = 1

    @property
    def message(self) -> str:
        return str(self)


class InputError(PixArtError):
    """What was asked cannot be; `field` names the field of the request that says so, if one does."""

    exit_code = 2

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class CheckpointError(PixArtError):
    """A checkpoint is absent, incomplete or damaged."""


class DownloadError(PixArtError):
    """A checkpoint could not be fetched."""


class DeviceError(PixArtError):
    """The device, or a library that it needs, is absent: like wrong input, mended by asking for something else."""

    exit_code = 2


class OutOfMemory(PixArtError):
    """The device's memory does not hold what the plan asks for."""


class BudgetTooSmall(OutOfMemory):
    """No plan fits the memory that may be used: mended by asking for something else, so nothing was tried."""

    exit_code = 2


class DiskFullError(PixArtError):
    """The disk does not hold what is to be written."""


class JournalError(PixArtError):
    """The journal cannot be opened, read or written."""


class JournalUnusable(JournalError):
    """Its file is damaged, read-only, newer or another program's: mended there, or by choosing another folder."""

    exit_code = 2


class WorkerError(PixArtError):
    """The worker could not start or keep running."""


class EngineLost(WorkerError):
    """The process that the engine is in is gone, or does not answer; its jobs are taken back as after a death."""


class Cancelled(PixArtError):
    """Somebody cancelled the job."""


def unknown_name(kind: str, name: str, known: Iterable[str], field: str | None = None) -> InputError:
    """The error for a name that a catalogue lacks: lists the choices, and the nearest one first.

    >>> str(unknown_name("style", "cinematik", ["anime", "cinematic"]))
    "Unknown style 'cinematik', did you mean 'cinematic'? Choose one of anime, cinematic."
    """
    choices = list(known)
    shown = name if len(name) <= 60 else name[:57] + "…"
    near = difflib.get_close_matches(name[:200], choices, n=1)
    names = ", ".join(choices)
    if near:
        return InputError(f"Unknown {kind} {shown!r}, did you mean {near[0]!r}? Choose one of {names}.", field)
    return InputError(f"Unknown {kind} {shown!r}: choose one of {names}.", field)
