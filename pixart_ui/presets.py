"""Styles: data in `presets/*.json`, validated on reading; an unknown key is an error that names it.

A style wraps the prompt (`{prompt}` stands for it) and adds to the negative prompt. A style that names checkpoints is
offered for those alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from pixart_ui.errors import InputError, unknown_name

PLACEHOLDER = "{prompt}"
Personal = Callable[[], "Sequence[Style]"]


class Style(BaseModel):
    """A named way to word a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    prompt: str
    negative_prompt: str = ""
    checkpoints: tuple[str, ...] | None = None

    @field_validator("prompt")
    @classmethod
    def _names_the_prompt_once(cls, text: str) -> str:
        if text.count(PLACEHOLDER) != 1:
            raise ValueError(f"must contain {PLACEHOLDER} once")
        return text

    def fits(self, checkpoint: str) -> bool:
        return self.checkpoints is None or checkpoint in self.checkpoints

    def apply(self, prompt: str) -> str:
        return self.prompt.replace(PLACEHOLDER, prompt)

    def apply_negative(self, negative_prompt: str) -> str:
        """The style's negatives, then the person's own, without an empty part or a comma twice."""
        return ", ".join(text for part in (self.negative_prompt, negative_prompt) if (text := part.strip(" ,")))


class StyleFile(BaseModel):
    """The layout of a file of styles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    styles: tuple[Style, ...]


class Styles:
    """All styles by name, in the order of the files; then the `personal` ones of whoever asks."""

    def __init__(self, styles: Mapping[str, Style], personal: Personal = lambda: ()) -> None:
        self._styles = dict(styles)
        self._personal = personal

    @classmethod
    def load(cls, folder: Path, personal: Personal = lambda: ()) -> Self:
        """Read every `styles*.json` of a folder. Raises InputError naming the file and the key."""
        styles: dict[str, Style] = {}
        for path in sorted(folder.glob("styles*.json")):
            styles.update((style.name, style) for style in _read(path).styles)
        return cls(styles, personal)

    def get(self, name: str | None, checkpoint: str) -> Style | None:
        """The style of that name; None and the empty name mean no style. Raises InputError."""
        if not name:
            return None
        offered = self.names(checkpoint)
        if name not in offered:
            raise unknown_name("style", name, offered, "style")
        return self._styles[name] if name in self._styles else {style.name: style for style in self._personal()}[name]

    def names(self, checkpoint: str) -> tuple[str, ...]:
        """What can be chosen with that checkpoint."""
        fitting = tuple(name for name, style in self._styles.items() if style.fits(checkpoint))
        return (*fitting, *(name for name in self.personal() if name not in fitting))

    def built_in(self) -> tuple[str, ...]:
        """The app's own, for whichever checkpoint."""
        return tuple(self._styles)

    def personal(self) -> tuple[str, ...]:
        """Those that whoever asks has written."""
        return tuple(style.name for style in self._personal() if style.name not in self._styles)


def _read(path: Path) -> StyleFile:
    try:
        return StyleFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        detail = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in detail["loc"]) if detail else ""
        reason = f"{where}: {detail['msg']}" if detail else str(error)
        raise InputError(f"{path.name} is not a file of styles ({reason}): correct it or remove it.") from None
