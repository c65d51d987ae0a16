"""The borders that keep the page quick: torch belongs to the worker, gradio to the page."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.commands import ROOT


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "pixart_ui.cli",
        "pixart_ui.services",
        "pixart_ui.prediction",
        "pixart_ui.batches",
        "pixart_ui.events",
        "pixart_ui.jobs.journal",
        "pixart_ui.jobs.worker",
        "pixart_ui.jobs.supervisor",
        "pixart_ui.gallery.images",
        "pixart_ui.engine.planner",
        "pixart_ui.engine.weights",
        "pixart_ui.engine.weightfile",
        "app",
    ],
)
def test_importing_brings_in_neither_torch_nor_gradio(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "diffusers", "transformers", "gradio"}


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
