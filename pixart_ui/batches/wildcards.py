"""Wildcards: `__season__` in a prompt stands for the lines of `presets/wildcards/season.txt`."""

from __future__ import annotations

from pathlib import Path


class Wildcards:
    """The files of a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def names(self) -> tuple[str, ...]:
        """What can stand between two pairs of underscores."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.txt")))

    def expand(self, prompt: str) -> list[str]:
        """Every prompt that a prompt with alternatives and wildcards stands for, in order. Raises InputError."""
        raise NotImplementedError
