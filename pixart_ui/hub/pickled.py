"""Local folders whose pickled weights somebody allowed by name, one a line.

Published checkpoints need none of this: their pickled files are not fetched without the same flag. What is allowed is
still read with `weights_only=True`, which builds tensors and runs nothing.
"""

from __future__ import annotations

from pathlib import Path


class Allowed:
    """The list in a folder of records."""

    def __init__(self, records_dir: Path) -> None:
        self._path = records_dir / "pickled.txt"

    def has(self, folder: Path) -> bool:
        try:
            return str(folder) in self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return False

    def add(self, folder: Path) -> None:
        if not self.has(folder):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{folder}\n")
