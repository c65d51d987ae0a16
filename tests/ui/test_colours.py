"""The colours of runs are those of their names too, so each can be read on a panel, in light and dark (AA)."""

from __future__ import annotations

import re

import pytest

from pixart_ui.ui import theme

PANELS = {"light": "#ffffff", "dark": "#141b27"}
LEAST = 4.5


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", PANELS)
def test_each_run_can_be_read_on_a_panel(scheme: str) -> None:
    light, dark = re.findall(r"--run-0: [^}]*", theme.css())[:2]
    colours = re.findall(r"--run-\d: (#[0-9a-f]{6});", light if scheme == "light" else dark)
    assert len(colours) == 8
    assert [colour for colour in colours if contrast(colour, PANELS[scheme]) < LEAST] == []
