"""What the page may import of comparisons at its start: no torch, and none of the heavy libraries."""

from __future__ import annotations

from tests.cli.test_imports import brought_in, modules_after

HEAVY = {"torch", "diffusers", "transformers", "gradio", "matplotlib", "skimage", "scipy"}


MODULES = (
    *("sweep", "strategies", "prompts", "comparison", "metrics", "summary", "verdict", "advice", "report", "changes"),
    *("kept", "table", "running", "recording", "sampling", "forecast", "timelines", "report_parts", "report_words"),
)


def test_importing_brings_in_nothing_heavy() -> None:
    assert brought_in(HEAVY, [f"pixart_ui.compare.{module}" for module in MODULES]) == {}


def test_figures_bring_in_no_torch_and_no_pyplot() -> None:
    loaded = modules_after("import pixart_ui.compare.figures")
    assert "matplotlib" in loaded
    assert not loaded & {"torch", "gradio", "matplotlib.pyplot"}
