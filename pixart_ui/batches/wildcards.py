"""Wildcards: `__season__` in a prompt stands for every line of `presets/wildcards/season.txt`.

The files are read when a prompt names them, so that one that is added or corrected counts at once, and one that cannot
be read spoils no prompt that does without it. Blank lines and lines that begin with # are left out; a line may hold
alternatives and other wildcards itself.
"""

from __future__ import annotations

from pathlib import Path

from pixart_ui.batches import matrix
from pixart_ui.batches.matrix import Node
from pixart_ui.batches.texts import decode, lines_of
from pixart_ui.byte_size import show_bytes
from pixart_ui.errors import InputError, unknown_name

# How many prompts one prompt may stand for.
MAX_EXPANSION = 1000
# A template longer than this is left as it is: a prompt of that length is refused anyway.
MAX_TEMPLATE_CHARS = 40_000
MAX_FILE_BYTES = 1 << 20


class Wildcards:
    """The `*.txt` files of a folder, by name. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def names(self) -> tuple[str, ...]:
        """What can stand between two pairs of underscores."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.txt") if matrix.is_name(path.stem)))

    def expand(self, prompt: str) -> list[str]:
        """Every prompt that it stands for: all combinations, the last alternative changing fastest.

        Raises InputError for a lonely brace, an unknown wildcard, or more than `MAX_EXPANSION` prompts.
        """
        if matrix.is_plain(prompt) or len(prompt) > MAX_TEMPLATE_CHARS:
            return [prompt]
        node = matrix.parse(prompt, _Reading(self._folder, self.names).wildcard)
        if node.count > MAX_EXPANSION:
            counted = f"{node.count:,}" if node.count < matrix.MANY else f"more than {matrix.MANY:,}"
            raise InputError(
                f"The prompt stands for {counted} prompts, at most {MAX_EXPANSION:,} are allowed: "
                "use fewer alternatives or wildcards, or several prompts.",
                "prompt",
            )
        return list(node.texts())


class _Reading:
    """Reads the wildcards of one prompt; each file is read once."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._folder = folder
        self._names = names
        self._read: dict[str, Node] = {}
        self._open: list[str] = []

    def wildcard(self, name: str) -> Node:
        """What a name stands for. Raises InputError."""
        if name not in self._names:
            unknown = unknown_name("wildcard", name, self._names).message.removesuffix(".")
            raise InputError(f"{unknown}, or write \\_\\_{name[:60]}\\_\\_ for plain underscores.", "prompt")
        what = f"Wildcard file {name}.txt"
        if name in self._open:
            raise InputError(f"{what} names itself, directly or through others: take the name out of it.", "prompt")
        if name not in self._read:
            self._open.append(name)
            if len(self._open) > matrix.MAX_LEVELS:
                raise matrix.too_deep(what)
            lines = _lines(self._folder / f"{name}.txt", what)
            self._read[name] = matrix.one_of([matrix.parse(line, self.wildcard, what) for line in lines])
            self._open.pop()
        return self._read[name]


def _lines(path: Path, what: str) -> list[str]:
    """What a file of alternatives holds. Raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror}): correct its permissions.", "prompt") from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{what} is larger than {show_bytes(MAX_FILE_BYTES)}: split it.", "prompt")
    found = [line for _, line in lines_of(decode(content, what))]
    if not found:
        raise InputError(f"{what} has no lines: write one alternative a line.", "prompt")
    return found
