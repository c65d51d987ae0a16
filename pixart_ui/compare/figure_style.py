"""How figures look: the page's colours and type, light and dark, for Matplotlib.

A `Sheet` is a figure measured in inches from its upper left corner, without any of pyplot's global state. Text in a
script that the font lacks is shown with the sign for that, so that no name of a person's own can fail a figure.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.patheffects import withStroke

FONTS = Path(__file__).resolve().parent.parent / "assets" / "fonts"
DPI = 160
ABSENT = "?"


@dataclass(frozen=True)
class Scheme:
    """Colours as `#rrggbb`: what things are on, what is written, and one colour for each run."""

    paper: str
    panel: str
    ink: str
    quiet: str
    line: str
    accent: str
    warn: str
    runs: Sequence[str]
    phases: Sequence[str]


LIGHT = Scheme(
    paper="#ffffff",
    panel="#f1f3f6",
    ink="#1c2433",
    quiet="#566074",
    line="#d5dae3",
    accent="#4f46e5",
    warn="#b45309",
    runs=("#4f46e5", "#0d9488", "#d97706", "#db2777", "#0284c7", "#65a30d", "#9333ea", "#78716c"),
    phases=("#c7d2fe", "#fde3b4", "#bfe8df", "#f5cfe0", "#d5dae3"),
)
DARK = Scheme(
    paper="#0e131d",
    panel="#1d2533",
    ink="#e6eaf1",
    quiet="#9aa6ba",
    line="#2c3648",
    accent="#a5b4fc",
    warn="#fbbf24",
    runs=("#a5b4fc", "#5eead4", "#fbbf24", "#f9a8d4", "#7dd3fc", "#bef264", "#d8b4fe", "#d6d3d1"),
    phases=("#34386f", "#57431c", "#1d4b45", "#55293f", "#2c3648"),
)
SCHEMES: Mapping[str, Scheme] = {"light": LIGHT, "dark": DARK}


class Sheet:
    """A figure of `width` by `height` inches; places are given from its upper left corner."""

    def __init__(self, width: float, height: float, scheme: Scheme) -> None:
        self.width, self.height, self.scheme = width, height, scheme
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor=scheme.paper)
        self._canvas = FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        """A bare drawing area: no frame, no ticks."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place, facecolor="none")
        axes.set_axisbelow(True)
        axes.tick_params(length=0, colors=self.scheme.quiet, labelsize=9)
        axes.spines[:].set_visible(False)
        return axes

    def text(self, left: float, top: float, text: str, **style: Any) -> Any:
        """Text whose upper left corner is there, unless `style` aligns it otherwise."""
        style = {"va": "top", "color": self.scheme.ink, **_font(style)} | style
        return self.figure.text(left / self.width, 1 - top / self.height, writable(text), **style)

    def width_of(self, text: str, **style: Any) -> float:
        """How wide a text would be, in inches."""
        found = self.text(0, 0, text, **style)
        width = float(found.get_window_extent(self._canvas.get_renderer()).width / DPI)
        found.remove()
        return width

    def wrapped(self, text: str, width: float, **style: Any) -> list[str]:
        """The lines of a text that has so many inches; a word that is longer is broken."""
        lines: list[str] = []
        for word in self._words(text, width, style):
            if lines and self.width_of(f"{lines[-1]} {word}", **style) <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines

    def _words(self, text: str, width: float, style: dict[str, Any]) -> Iterator[str]:
        for word in text.split():
            letters = len(word)
            if (too_wide := self.width_of(word, **style) / width) > 1:
                letters = max(1, int(letters / too_wide) - 1)
            yield from (word[start : start + letters] for start in range(0, len(word), letters))

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", facecolor=self.scheme.paper, metadata={"Software": None})
        return buffer.getvalue()


def label(axes: Any, x: float, y: float, text: str, colour: str, **style: Any) -> Any:
    """Text inside a drawing area, in its own coordinates, moved by `offset` points; lines end at its `halo`."""
    offset, halo = style.pop("offset", (0, 0)), style.pop("halo", None)
    if halo is not None:
        style["path_effects"] = [withStroke(linewidth=4, foreground=halo)]
    return axes.annotate(
        writable(text),
        (x, y),
        offset,
        textcoords="offset points",
        color=colour,
        annotation_clip=False,
        **{"ha": "center", "va": "center", **_font(style)} | style,
    )


def set_ticks(axis: Any, ticks: Sequence[float], names: Sequence[str]) -> None:
    """Ticks with their names, in our font."""
    axis.set_ticks(list(ticks), [writable(name) for name in names])
    for tick in axis.get_ticklabels():
        tick.set_fontproperties(font(9))


def font(size: float, *, is_bold: bool = False) -> FontProperties:
    return FontProperties(fname=str(FONTS / f"inter-latin-{600 if is_bold else 400}.ttf"), size=size)


def writable(text: str) -> str:
    """The text with every sign that the font lacks replaced."""
    known = _known_signs()
    return "".join(sign if ord(sign) in known or sign == "\n" else ABSENT for sign in text).replace("$", r"\$")


def _font(style: dict[str, Any]) -> dict[str, Any]:
    """`size` and `is_bold` of a text as a font; they are taken out of `style`."""
    return {"fontproperties": font(style.pop("size", 10), is_bold=style.pop("is_bold", False))}


@lru_cache(maxsize=1)
def _known_signs() -> frozenset[int]:
    return frozenset(get_font(str(FONTS / "inter-latin-400.ttf")).get_charmap())
