"""Which presets are shown to everybody: their names by owner, in a file beside the shelves that hold them.

Only names: what another sees is always what its owner keeps now, and nothing once it is gone. Whoever changes the file
holds the lock of the shelves.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.preset_file import Preset
from pixart_ui.presets import Style

FILE = "shared.json"
# A name has no line ends, so that this is no name of anybody's own.
SEPARATOR = "\n"
Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class SharedPreset:
    """`style` is the one of its owner's that it names, if it names one."""

    owner: str
    preset: Preset
    style: Style | None

    @property
    def key(self) -> str:
        """What it is chosen by, among one's own that are chosen by their names."""
        return f"{self.preset.name}{SEPARATOR}{self.owner}"


def is_anothers(key: str) -> bool:
    return SEPARATOR in key


def own_name(key: str) -> str:
    """What it is called, whosever it is."""
    return key.partition(SEPARATOR)[0]


def read_names(folder: Path) -> Names:
    """By owner; nothing is shared where the file is absent or none of ours."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {str(owner): tuple(map(str, names)) for owner, names in found.items() if isinstance(names, list)}
    except (OSError, ValueError, AttributeError):
        return {}


def write_names(folder: Path, names: Names) -> None:
    """Raises OSError."""
    aside = folder / f".{FILE}.{secrets.token_hex(4)}.part"
    try:
        aside.write_text(json.dumps({owner: list(kept) for owner, kept in names.items() if kept}), encoding="utf-8")
        aside.replace(folder / FILE)
    finally:
        aside.unlink(missing_ok=True)
