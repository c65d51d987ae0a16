"""The file of results: one JSON document, a row for each cell that is done. No torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FORMAT = 1
Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The rows of a file of results; none where it does not exist yet."""
    if not path.exists():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("format") != FORMAT:
        raise SystemExit(f"{path} has results of format {document.get('format')!r}, this version reads {FORMAT}.")
    return list(document["cells"])


def write(path: Path, rows: list[Row]) -> None:
    write_aside(path, json.dumps({"format": FORMAT, "cells": rows}, indent=1) + "\n")


def write_aside(path: Path, text: str) -> None:
    """Write to another name and rename, so that a run that is cut off leaves the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
