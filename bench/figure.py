"""The frontier: time against the memory that it takes, as a picture, and the results as a Markdown table.

    python -m bench figure results.json [--matrix] [--picture docs/images/frontier.png] [--readme README.md]

Ours is a line with a point for each budget, every other strategy a point. The table goes to the screen, or between the
README's `<!-- bench:start -->` and `<!-- bench:end -->`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import Bbox

from bench import goals, table
from bench.job import OURS, makes_pictures
from bench.results import Results, Row, write_aside

GIB = 2**30
PICTURE = Path("docs/images/frontier.png")
START, END = "<!-- bench:start -->", "<!-- bench:end -->"
INK, MUTED, GRID, PAPER = "#1e293b", "#64748b", "#e2e8f0", "#ffffff"
OURS_COLOUR, PEER_COLOUR, OTHER_COLOUR = "#4f46e5", "#c2410c", "#cbd5e1"
DPI = 160
INCHES = (9.6, 5.8)
# Points of ours that lie closer than this share one label.
SAME = 0.03
# Strategies with a name in the picture; the others are small dots, and named in the table.
LABELS = {
    "resident": "everything resident",
    "staged": "staged",
    "staged-max-memory": "staged, max_memory 7.5 GiB",
    "staged-int8": "staged, 8-bit T5",
    "staged-nf4": "staged, nf4 T5",
    "model-offload": "model offload",
    "group-leaf-stream": "group offload, leaf",
    "group-leaf-tiling": "group offload, leaf, VAE tiling",
    "group-block-t5": "group offload, block",
    "group-block-stream": "group offload, block, on the pipeline",
}


@dataclass(frozen=True)
class Point:
    """`x` in GiB, `y` in seconds; no label, no name in the picture."""

    x: float
    y: float
    label: str | None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench figure", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", help="files that `python -m bench compare` wrote")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--readme", type=Path, help="put the table between this file's marks")
    parser.add_argument("--matrix", action="store_true", help="only the table of budgets by queues, and no picture")
    parser.add_argument("--size", type=int, default=table.SIZE, help="of the pictures in the figure")
    asked = parser.parse_args(arguments)
    results = _read(asked.results)
    if asked.matrix:
        print(table.matrix(results.rows))
        return
    draw(results.rows, asked.picture, size=asked.size)
    text = "\n\n".join(part for part in (goals.markdown(results), table.markdown(results.rows)) if part)
    print(text) if asked.readme is None else splice(asked.readme, text)


def _read(paths: Sequence[Path]) -> Results:
    """All files together; where two have the same cell, the later one. One device for all of them."""
    found = [Results.read(path) for path in paths]
    rows = {row["key"]: row for results in found for row in results.rows}
    devices = sorted({row["device"] for row in rows.values() if "device" in row})
    if len(devices) > 1:
        raise SystemExit(f"The results are from {' and '.join(devices)}: give files from one device.")
    predictions = {key: value for results in found for key, value in results.predictions.items()}
    return Results(list(rows.values()), predictions)


def splice(readme: Path, text: str) -> None:
    """Put `text` between the file's two marks."""
    before, start, rest = readme.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise SystemExit(f"{readme} lacks {START} and, after it, {END}: add the two lines where the table belongs.")
    write_aside(readme, f"{before}{START}\n{text}\n{END}{after}")


def draw(rows: Sequence[Row], path: Path, *, size: int) -> None:
    """Write the picture of the rows with the usual steps and number of pictures."""
    shown = [row for row in rows if _belongs(row, size)]
    if not shown:
        raise SystemExit(f"No row has {table.NUM_IMAGES} pictures of {size}² made on a GPU: there is nothing to draw.")
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor=PAPER, layout=ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2))
    axes = figure.add_subplot(facecolor=PAPER)
    cold, warm, peers = _ours(shown, "cold"), _ours(shown, "warm"), _peers(shown)
    _scales(axes, [*cold, *warm, *peers])
    _plot(axes, cold, warm, peers)
    _titles(axes, shown[0], size)
    FigureCanvasAgg(figure).draw()  # fixes the layout, so that labels can be placed in pixels
    figure.set_layout_engine("none")
    _label(axes, cold, peers, obstacles=warm)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    figure.savefig(aside, format="png", metadata={"Software": None})
    aside.replace(path)


def _belongs(row: Row, size: int) -> bool:
    usual = (row["size"], row["steps"], row["num_images"]) == (size, table.STEPS, table.NUM_IMAGES)
    usual = usual and makes_pictures(row["strategy"]) and "ram_limit" not in row
    return usual and row["error"] is None and row["peak_reserved_bytes"] is not None


def _ours(rows: Sequence[Row], which: str) -> list[Point]:
    line = [row for row in rows if str(row["strategy"]).startswith(f"{OURS}@") and _budget(row).endswith(" GiB")]
    groups = [(row, row if which == "cold" else row.get("warm")) for row in line]
    points = [
        Point(group["peak_reserved_bytes"] / GIB, group["wall_seconds"], _budget(row)) for row, group in groups if group
    ]
    return sorted(points, key=lambda point: point.x)


def _budget(row: Row) -> str:
    return str(row["strategy"]).partition("@")[2].replace("GiB", " GiB")


def _peers(rows: Sequence[Row]) -> list[Point]:
    return [
        Point(row["peak_reserved_bytes"] / GIB, row["wall_seconds"], LABELS.get(row["strategy"]))
        for row in rows
        if not table.is_ours(row)
    ]


def _scales(axes: Any, points: Sequence[Point]) -> None:
    """Logarithmic, with plain numbers, and room at the edges for labels."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    xs, ys = [point.x for point in points], [point.y for point in points]
    axes.set_xlim(min(xs) / 1.3, max(xs) * 1.9)
    axes.set_ylim(min(ys) / 1.45, max(ys) * 1.35)
    for axis, limits, steps in ((axes.xaxis, axes.get_xlim(), (1, 2, 4, 8)), (axes.yaxis, axes.get_ylim(), (1, 2, 5))):
        axis.set_ticks(list(_ticks(limits, steps)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=10)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _ticks(limits: tuple[float, float], steps: Sequence[int]) -> Iterator[float]:
    """Powers of two for memory, 1-2-5 for time."""
    low, high = limits
    base = 16 if 4 in steps else 10
    for exponent in range(math.floor(math.log(low, base)), math.ceil(math.log(high, base)) + 1):
        yield from (step * float(base) ** exponent for step in steps if low <= step * float(base) ** exponent <= high)


def _plot(axes: Any, cold: Sequence[Point], warm: Sequence[Point], peers: Sequence[Point]) -> None:
    named = [point for point in peers if point.label is not None]
    others = [point for point in peers if point.label is None]
    axes.scatter(*_xy(others), s=22, color=OTHER_COLOUR, zorder=2, label="other stock strategies (see the table)")
    axes.scatter(*_xy(named), s=52, color=PEER_COLOUR, zorder=3, label="stock diffusers")
    if warm:
        axes.plot(
            *_xy(warm), "--", color=OURS_COLOUR, alpha=0.55, linewidth=1.6, zorder=3, label="PixArt UI, the next group"
        )
    if cold:
        axes.plot(
            *_xy(cold), "o-", color=OURS_COLOUR, linewidth=2.4, markersize=7, zorder=4, label="PixArt UI, by budget"
        )
    handles, names = axes.get_legend_handles_labels()
    has_points = {"other stock strategies (see the table)": bool(others), "stock diffusers": bool(named)}
    kept = [(handle, name) for handle, name in zip(handles, names, strict=True) if has_points.get(name, True)][::-1]
    axes.legend(*zip(*kept, strict=True), loc="best", frameon=False, labelcolor=INK, fontsize=10)


def _xy(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.x for point in points], [point.y for point in points]


def _titles(axes: Any, row: Row, size: int) -> None:
    axes.set_xlabel("peak GPU memory reserved, GiB", color=MUTED, fontsize=10.5, labelpad=8)
    axes.set_ylabel("seconds", color=MUTED, fontsize=10.5)
    title = f"{table.NUM_IMAGES} pictures of {size}²: time against memory"
    axes.set_title(title, loc="left", color=INK, fontsize=14, fontweight="bold", pad=30)
    device = f"{row['device']} · torch {row['versions']['torch']} · diffusers {row['versions']['diffusers']}"
    note = f"{table.STEPS} steps with guidance, from after the imports to the last picture on disk · {device}"
    place = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 12), "textcoords": "offset points"}
    axes.annotate(note, **place, color=MUTED, fontsize=9.5)


def _label(axes: Any, cold: Sequence[Point], peers: Sequence[Point], *, obstacles: Sequence[Point]) -> None:
    """Write each name where it covers nothing, the nearest free place first."""
    taken = [axes.get_legend().get_window_extent()]
    taken += [_around(axes, point) for point in (*cold, *peers)]
    taken += [_around(axes, point) for line in (cold, obstacles) for point in _along(line)]
    for point in _merged(cold):
        taken.append(_write(axes, point, OURS_COLOUR, "bold", taken))
    for point in sorted((point for point in peers if point.label), key=lambda point: -point.y):
        taken.append(_write(axes, point, INK, "normal", taken))


def _write(axes: Any, point: Point, colour: str, weight: str, taken: Sequence[Bbox]) -> Bbox:
    """Try places around the point, ever further away; a far name gets a thin line to its point."""
    text = axes.annotate(
        point.label,
        (point.x, point.y),
        (0, 0),
        textcoords="offset points",
        color=colour,
        fontsize=9.5,
        fontweight=weight,
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
        zorder=5,
    )
    frame = axes.get_window_extent()
    for distance in range(9, 90, 9):
        for place in _places(distance):
            text.set_position(place[:2])
            text.set(ha=place[2], va=place[3])
            text.update_positions(axes.figure.canvas.get_renderer())
            text.arrow_patch.set_visible(distance > 9)
            box = Text.get_window_extent(text)  # without its line
            box = Bbox.from_extents(box.x0 - 2, box.y0 - 1, box.x1 + 2, box.y1 + 1)
            is_inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if is_inside and not box.count_overlaps(taken):
                return box
    return box


def _places(distance: float) -> list[tuple[float, float, str, str]]:
    """Right, above, below, left, then the corners: offset in points and alignment."""
    near = distance * 0.7
    return [
        (distance, 0, "left", "center"),
        (0, distance, "center", "bottom"),
        (0, -distance, "center", "top"),
        (-distance, 0, "right", "center"),
        (near, near, "left", "bottom"),
        (near, -near, "left", "top"),
        (-near, near, "right", "bottom"),
        (-near, -near, "right", "top"),
    ]


def _around(axes: Any, point: Point) -> Bbox:
    """The pixels that a point covers."""
    x, y = axes.transData.transform((point.x, point.y))
    half = 4.5 * DPI / 72
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _along(points: Sequence[Point], number: int = 12) -> Iterator[Point]:
    """Places on the line through the points, even on logarithmic scales."""
    for first, second in pairwise(points):
        for part in range(1, number):
            share = part / number
            x = first.x ** (1 - share) * second.x**share
            yield Point(x, first.y ** (1 - share) * second.y**share, None)


def _merged(points: Sequence[Point]) -> list[Point]:
    """Points on top of each other under one label: `12, 24 GiB`."""
    merged: list[Point] = []
    for point in points:
        last = merged[-1] if merged else None
        if last is not None and abs(point.x / last.x - 1) < SAME and abs(point.y / last.y - 1) < SAME:
            merged[-1] = Point(last.x, last.y, f"{str(last.label).removesuffix(' GiB')}, {point.label}")
        else:
            merged.append(point)
    return merged


if __name__ == "__main__":
    main()
