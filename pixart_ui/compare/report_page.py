"""`report.html`: one file that needs nothing else, neither a server nor a network.

Pictures, figures, the type and the data are inside as data URIs; a policy in the file forbids it to ask for more. It
follows the reader's light or dark scheme and prints in light. Where the pictures together are too much for one file,
smaller copies stand in for them, and it says so.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from pixart_ui import __version__
from pixart_ui.byte_size import show_bytes
from pixart_ui.compare import drawing, metrics, report_parts, report_words
from pixart_ui.compare.comparison import Comparison, Result
from pixart_ui.compare.figure_style import DARK
from pixart_ui.compare.report_words import REDUCED_SIDE
from pixart_ui.compare.summary import Floor, columns, floor
from pixart_ui.compare.sweep import Role
from pixart_ui.compare.table import as_csv
from pixart_ui.compare.timelines import conditions, memory_kind
from pixart_ui.compare.verdict import failure_in_words, headline, sentences, share_in_short

HERE = Path(__file__).resolve().parent / "page"
FONT = HERE.parent.parent / "assets" / "fonts" / "inter-latin-wght-normal.woff2"
# All pictures and maps together, as they are on disk; above it, smaller copies go in.
MAX_EMBEDDED_BYTES = 24 * 2**20
REDUCED_QUALITY = 82
# Of many prompts the first few are shown, the others when they are asked for.
MANY_PROMPTS, NUM_SHOWN = 6, 4


@dataclass(frozen=True)
class Card:
    """A run as a picture with its figures; pictures are data URIs."""

    name: str
    picture: str
    map: str
    problem: str
    memory: str
    share: float
    seconds: str
    distance: str


@dataclass(frozen=True)
class Row:
    """A prompt's runs, and apart from them those that give differences a scale."""

    title: str
    cards: tuple[Card, ...]
    floor: tuple[Card, ...]


@dataclass(frozen=True)
class Link:
    href: str
    name: str
    text: str


def render(comparison: Comparison, folder: Path, figure: bytes) -> str:
    """The whole file; the comparison's pictures are read from `folder`, `figure` is the guides' figure in light."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "report.js").read_text(encoding="utf-8")
    style = (HERE / "report.css").read_text(encoding="utf-8").replace("FONT", _data(FONT.read_bytes(), "font/woff2"))
    return environment.get_template("report.html").render(
        page=_page(comparison, folder, figure),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _page(comparison: Comparison, folder: Path, figure: bytes) -> dict[str, Any]:
    is_reduced = _stored_bytes(comparison, folder) > MAX_EMBEDDED_BYTES
    num_rows = max((column.num_rows for column in columns(comparison)), default=1)
    return {
        "version": __version__,
        "name": comparison.name,
        "created": f"{comparison.created.day} {comparison.created:%B %Y, %H:%M %Z}",
        "conditions": conditions(comparison),
        "headline": headline(comparison),
        "sentences": sentences(comparison),
        "advice": report_words.advice(comparison),
        "links": _links(comparison),
        "rows": tuple(_rows(comparison, folder, is_reduced=is_reduced)),
        "num_shown": NUM_SHOWN if len(comparison.sweep.prompts) > MANY_PROMPTS else MANY_PROMPTS,
        "has_maps": comparison.heat_scale_levels is not None,
        "heat_scale": comparison.heat_scale_levels,
        "heat_stops": ", ".join(metrics.heat_stops()),
        "memory_title": memory_kind(comparison),
        "floor_note": report_words.floor_note(comparison),
        "picture_note": report_words.picture_note(is_reduced=is_reduced),
        "num_rows": num_rows,
        "summary": report_parts.summary_table(comparison) if num_rows > 1 else None,
        "runs": report_parts.runs_table(comparison),
        "phases": report_parts.phases_table(comparison),
        "timeline": report_parts.timeline(comparison),
        "figure": _data(figure, "image/png"),
        "figure_dark": _data(drawing.guides_figure(comparison, folder, DARK), "image/png"),
        "method": tuple(report_words.method(comparison)),
        "settings": tuple(report_words.settings(comparison)),
        "prompts": comparison.sweep.prompts,
        "hashes": tuple(report_words.hashes(comparison)),
    }


# Pictures


def _rows(comparison: Comparison, folder: Path, *, is_reduced: bool) -> Iterator[Row]:
    noise = floor(comparison)
    highest = max((result.memory.bytes for result in comparison.results if result.memory is not None), default=0)
    make = partial(_card, noise=noise, highest=highest, folder=folder, is_reduced=is_reduced)
    for index, prompt in enumerate(comparison.sweep.prompts):
        results = [result for result in comparison.results if result.prompt_index == index]
        cells = sorted((result for result in results if result.role is Role.CELL), key=_place)
        noises = [result for result in results if result.role is not Role.CELL]
        title = prompt if len(comparison.sweep.prompts) == 1 else f"{index + 1} · {prompt}"
        yield Row(title, tuple(map(make, cells)), tuple(map(make, noises)))


def _place(result: Result) -> tuple[bool, int]:
    """In the order of memory, and after that what gave no picture."""
    return not result.is_done, -(result.memory.bytes if result.memory is not None else 0)


def _card(result: Result, *, noise: Floor, highest: int, folder: Path, is_reduced: bool) -> Card:
    picture = _embedded(folder, result.image, is_reduced=is_reduced)
    memory = result.memory
    gone = "its picture is gone" if result.is_done else failure_in_words(result)
    return Card(
        name=result.label,
        picture=picture,
        map=_embedded(folder, result.heat_map, is_reduced=is_reduced),
        problem="" if picture else gone,
        memory=show_bytes(memory.bytes) if memory is not None else "",
        share=memory.bytes / highest if memory is not None and highest else 0.0,
        seconds=f"{result.seconds:.1f} s" if result.seconds is not None else "",
        distance=_distance(result, noise),
    )


def _distance(result: Result, noise: Floor) -> str:
    if result.is_reference:
        return "the reference"
    if result.quality is None:
        return ""
    if result.quality.is_identical:
        return "identical to the reference"
    if result.role is Role.OTHER_SEED:
        return f"{result.quality.rms_levels:.1f} levels away"
    share = noise.share(result.quality.rms_levels)
    return share_in_short(share) if share is not None else f"{result.quality.rms_levels:.1f} levels away"


def _embedded(folder: Path, name: str | None, *, is_reduced: bool) -> str:
    """A picture as a data URI; empty where there is none."""
    if name is None or not (folder / name).is_file():
        return ""
    if not is_reduced:
        return _data((folder / name).read_bytes(), "image/png")
    picture = drawing.open_picture(folder, name)
    if picture is None:
        return ""
    picture.thumbnail((REDUCED_SIDE, REDUCED_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=REDUCED_QUALITY)
    return _data(buffer.getvalue(), "image/webp")


def _stored_bytes(comparison: Comparison, folder: Path) -> int:
    names = [name for result in comparison.results for name in (result.image, result.heat_map) if name is not None]
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def _links(comparison: Comparison) -> tuple[Link, ...]:
    document = comparison.model_dump_json(indent=1).encode()
    rows = as_csv(comparison).encode("utf-8-sig")
    return (
        Link(_data(document, "application/json"), "report.json", "report.json, to repeat it"),
        Link(_data(rows, "text/csv"), "report.csv", "report.csv, for a spreadsheet"),
    )


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
