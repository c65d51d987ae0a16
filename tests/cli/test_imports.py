"""The borders that keep the page quick: torch belongs to the worker, gradio to the page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence, Set

from tests.cli.commands import ROOT

QUICK = (
    "pixart_ui.events",
    "pixart_ui.cli",
    "pixart_ui.services",
    "pixart_ui.prediction",
    "pixart_ui.batches",
    "pixart_ui.jobs.journal",
    "pixart_ui.jobs.worker",
    "pixart_ui.jobs.supervisor",
    "pixart_ui.gallery.images",
    "pixart_ui.engine.planner",
    "pixart_ui.engine.weights",
    "pixart_ui.engine.weightfile",
    "app",
)
HEAVY = {"torch", "diffusers", "transformers", "gradio"}
# Imports one after the other, and says after each what has come in of the first argument's.
PROGRAM = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    print(name, *(other for other in sys.argv[1].split() if other in sys.modules))
"""


def brought_in(unwanted: Set[str], modules: Sequence[str]) -> dict[str, list[str]]:
    """What of the unwanted is there after each of the modules that brings any in, or comes after one that does."""
    command = [sys.executable, "-c", PROGRAM, " ".join(unwanted), *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = {name: found for name, *found in map(str.split, done.stdout.splitlines())}
    assert list(told) == list(modules)
    return {name: found for name, found in told.items() if found}


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_brings_in_neither_torch_nor_gradio() -> None:
    assert brought_in(HEAVY, QUICK) == {}
    assert brought_in({"wave"}, ["pixart_ui.events", "wave"]) == {"wave": ["wave"]}, "it would be seen"


def test_the_page_brings_in_no_torch() -> None:
    loaded = modules_after("import app, pixart_ui.ui.build")
    assert "gradio" in loaded
    assert not loaded & {"torch", "diffusers", "transformers"}


def test_no_thread_is_started_at_import() -> None:
    program = """
import threading
import app, pixart_ui.cli, pixart_ui.services, pixart_ui.jobs.supervisor, pixart_ui.jobs.worker
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
