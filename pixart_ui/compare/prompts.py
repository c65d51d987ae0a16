"""Prompt sets: 24 shipped for each family and for PixArt-Tiny, from short to long, or a file of one's own.

A verdict over one prompt may be luck; over these it has a mean, a spread and a worst pair. Shipped sets are data in
`presets/compare/`, checked when they are read. A person's own file has one prompt a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pixart_ui.catalog import Checkpoint, Family
from pixart_ui.errors import InputError, unknown_name
from pixart_ui.request import GenerationRequest

MAX_FILE_BYTES = 2**20


class PromptSet(BaseModel):
    """Prompts for a family, or for the checkpoints that it names; in the order from short to long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    prompts: tuple[str, ...]
    family: Family | None = None
    checkpoints: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_for_something(self) -> Self:
        if (self.family is None) == (not self.checkpoints):
            raise ValueError("names either a family or checkpoints")
        if len(set(self.prompts)) != len(self.prompts) or not self.prompts:
            raise ValueError("has prompts, each of them once")
        for prompt in self.prompts:
            GenerationRequest.parse({"prompt": prompt})
        return self

    def is_own(self, checkpoint: Checkpoint) -> bool:
        """Whether it was written for this very checkpoint."""
        return checkpoint.name in self.checkpoints

    def fits(self, checkpoint: Checkpoint) -> bool:
        return self.is_own(checkpoint) or self.family == checkpoint.family


class PromptSets:
    """The shipped sets by name."""

    def __init__(self, sets: Mapping[str, PromptSet]) -> None:
        self._sets = dict(sets)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read every set of a folder. Raises InputError naming the file and what is wrong with it."""
        sets = [_read_set(path) for path in sorted(folder.glob("*.json"))]
        return cls({prompts.name: prompts for prompts in sets})

    def __iter__(self) -> Iterator[PromptSet]:
        return iter(self._sets.values())

    def get(self, name: str) -> PromptSet:
        """The set of that name. Raises InputError."""
        if name not in self._sets:
            raise unknown_name("prompt set", name, self._sets, "prompts")
        return self._sets[name]

    def for_checkpoint(self, checkpoint: Checkpoint) -> PromptSet:
        """The set that was written for it, else that of its family. Raises InputError where there is none."""
        fitting = [prompts for prompts in self if prompts.fits(checkpoint)]
        if not fitting:
            raise InputError(
                f"No prompt set is for {checkpoint.title}: choose one of {', '.join(self._sets)} by its name, "
                "or give a file of your own.",
                "prompts",
            )
        return next((prompts for prompts in fitting if prompts.is_own(checkpoint)), fitting[0])


def read_prompts(path: Path) -> tuple[str, ...]:
    """One prompt a line; empty lines count for nothing. Raises InputError with one sentence."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(
                f"{path.name} has {path.stat().st_size / 2**20:.1f} MiB, a file of prompts may have 1 MiB: "
                "choose a text file with one prompt a line.",
                "prompts",
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8 text: save it as UTF-8, one prompt a line.", "prompts") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}): check its path.", "prompts") from None
    prompts = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not prompts:
        raise InputError(f"{path.name} has no prompts, it must have one a line: write some.", "prompts")
    for number, prompt in prompts:
        try:
            GenerationRequest.parse({"prompt": prompt})
        except InputError as error:
            raise InputError(f"{path.name}, line {number}: {error.message}", "prompts") from None
    return tuple(prompt for _, prompt in prompts)


def _read_set(path: Path) -> PromptSet:
    try:
        return PromptSet.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(f"{path.name} is not a set of prompts ({reason}): correct it or remove it.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is not a set of prompts ({error}): correct it or remove it.") from None
