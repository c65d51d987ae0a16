"""Checkpoints for a Space with a GPU of its own, where nobody has a terminal: named in a variable of the Space.

They are fetched and converted in a process of their own while the page is served, and chosen once they are there. The
disk is not kept: each start fetches again, unless the front matter's `preload_from_hub` had the build do it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pixart_ui
from pixart_ui.errors import InputError
from pixart_ui.services import catalog
from pixart_ui.settings import Settings

VARIABLE = "PIXART_UI_CHECKPOINTS"
log = logging.getLogger(__name__)


def wanted(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the variable. Raises InputError for one that is not published, or comes pickled only."""
    names = tuple(environ.get(VARIABLE, "").replace(",", " ").split())
    choices = [entry.name for entry in catalog() if not entry.is_local and not entry.pickled]
    for name in names:
        if name not in choices:
            raise InputError(
                f"Checkpoint {name[:60]!r} of {VARIABLE} cannot be fetched: choose among {', '.join(choices)}."
            )
    return names


def fetch_in_background(names: tuple[str, ...], settings: Settings) -> threading.Thread | None:
    """Returns at once; None where there is nothing to fetch. What fails is in the Space's log."""
    if not names:
        return None
    thread = threading.Thread(target=_fetch_all, args=(names, settings), name="fetching", daemon=True)
    thread.start()
    return thread


def _fetch_all(names: tuple[str, ...], settings: Settings) -> None:
    for name in names:
        if not (_run("download", name, settings) and _run("convert", name, settings)):
            log.warning("checkpoint %s is not there: see the lines above", name)


def _run(verb: str, name: str, settings: Settings) -> bool:
    command = [sys.executable, "-m", "pixart_ui", "models", verb, name, f"--data-dir={settings.data_dir}"]
    return subprocess.run(command, cwd=Path(pixart_ui.__file__).resolve().parent.parent, check=False).returncode == 0
