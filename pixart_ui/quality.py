"""Quality presets: steps and scheduler under one name, from `presets/quality.json`; an unknown key is an error.

A preset that names checkpoints is offered for those alone; any other wherever its scheduler works and the number of
steps is free.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import InputError
from pixart_ui.request import Scheduler, Steps

FILE = "quality.json"


class Quality(BaseModel):
    """What a picture may take, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    steps: Steps
    scheduler: Scheduler
    checkpoints: tuple[str, ...] | None = None

    def fits(self, checkpoint: Checkpoint) -> bool:
        if checkpoint.timesteps is not None:
            return False
        is_meant = self.checkpoints is None or checkpoint.name in self.checkpoints
        return is_meant and self.scheduler in checkpoint.schedulers


class QualityFile(BaseModel):
    """The layout of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    qualities: tuple[Quality, ...]


def qualities(folder: Path, checkpoint: Checkpoint) -> tuple[Quality, ...]:
    """Those on offer for a checkpoint, from the quickest. Raises InputError naming the file and the key."""
    path = folder / FILE
    try:
        found = QualityFile.model_validate(json.loads(path.read_text(encoding="utf-8"))).qualities
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise _unreadable(path, f"{where}: {detail['msg']}") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    return tuple(sorted((each for each in found if each.fits(checkpoint)), key=lambda each: each.steps))


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"{path.name} is not a file of quality presets ({reason}): correct it or remove it.")
