"""What the page may import of comparisons at its start: no torch, and none of the heavy libraries."""

from __future__ import annotations

import pytest

from tests.cli.test_imports import modules_after

HEAVY = {"torch", "diffusers", "transformers", "gradio", "matplotlib", "skimage", "scipy"}


@pytest.mark.parametrize(
    "module",
    [
        "sweep",
        "strategies",
        "prompts",
        "comparison",
        "metrics",
        "summary",
        "verdict",
        "advice",
        "report",
        "changes",
        "kept",
        "table",
        "running",
        "recording",
        "sampling",
        "forecast",
        "timelines",
        "report_parts",
        "report_words",
    ],
)
def test_importing_brings_in_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import pixart_ui.compare.{module}")
    assert f"pixart_ui.compare.{module}" in loaded
    assert not loaded & HEAVY


def test_figures_bring_in_no_torch_and_no_pyplot() -> None:
    loaded = modules_after("import pixart_ui.compare.figures")
    assert "matplotlib" in loaded
    assert not loaded & {"torch", "gradio", "matplotlib.pyplot"}
