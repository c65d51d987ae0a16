"""The file of results: one JSON document, a row for each cell that is done, and what was predicted of it. No torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
Row = dict[str, Any]


@dataclass
class Results:
    """Rows in the order in which they were measured; `predictions` by their keys, from before a row's first run."""

    rows: list[Row] = field(default_factory=list)
    predictions: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Nothing where the file does not exist yet."""
        if not path.exists():
            return cls()
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise SystemExit(f"{path} has results of format {document.get('format')!r}, this version reads {FORMAT}.")
        return cls(list(document["cells"]), dict(document.get("predictions", {})))

    def write(self, path: Path) -> None:
        document = {"format": FORMAT, "predictions": self.predictions, "cells": self.rows}
        write_aside(path, json.dumps(document, indent=1) + "\n")


def write_aside(path: Path, text: str) -> None:
    """Write to another name and rename, so that a run that is cut off leaves the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
