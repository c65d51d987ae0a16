"""Runs cells one after the other, each in a process of its own, and keeps every finished one.

    python -m bench compare --folder /tmp/full --rows figures --out results.json [--resume] [--seconds 500]

A run that is cut off goes on with `--resume`: what is in the file is not measured again. After `--seconds` no new cell
starts. A cell's process that dies or runs too long is a row with that as its error. What our engine predicts is in the
file before the row's first run. The 2K checkpoint is FOLDER-2k; it is made with random weights where there is none.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import goals, limited, table
from bench.cells import ROWS, Cell
from bench.job import is_ours, makes_pictures
from bench.results import Results, Row
from pixart_ui.byte_size import parse_bytes

ROOT = Path(__file__).resolve().parent.parent
MAX_LAST_CHARS = 300


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    if asked.out.exists() and not asked.resume:
        raise SystemExit(f"{asked.out} exists: add --resume to go on with it, or name another file.")
    cells = [cell for name in asked.rows for cell in ROWS[name] if not asked.only or cell.strategy in asked.only]
    cells = [_changed(cell, asked) for cell in cells]
    place = Place(asked.folder.resolve(), asked.device)
    results = compare(
        list(dict.fromkeys(cells)), place, asked.out, seconds=asked.seconds, cell_seconds=asked.cell_seconds
    )
    print(table.plain(results.rows))
    if figures := goals.plain(results):
        print(f"\n{figures}")
    if left := place.left_behind():
        print(f"\nFor the next run these stay; remove them when you are done: {', '.join(left)}", file=sys.stderr)


@dataclass(frozen=True)
class Place:
    """Where it is measured: the checkpoint's folder and the device."""

    folder: Path
    device: str

    def checkpoint(self, cell: Cell) -> Path:
        return self.folder.with_name(f"{self.folder.name}-2k") if cell.is_2k else self.folder

    def left_behind(self) -> list[str]:
        """What measuring needs beside the checkpoint: converted weights, and another checkpoint."""
        paths = (self.folder.with_name(f"{self.folder.name}{end}") for end in ("-weights", "-2k", "-2k-weights"))
        return [str(path) for path in paths if path.exists()]


def compare(cells: Iterable[Cell], place: Place, out: Path, *, seconds: float, cell_seconds: float) -> Results:
    """Measure every cell that `out` does not hold; everything that it holds then."""
    results = Results.read(out)
    done = {row["key"] for row in results.rows}
    todo = [cell for cell in cells if cell.key not in done]
    deadline = time.monotonic() + seconds
    for cell in todo:
        if time.monotonic() >= deadline:
            print(f"{seconds:.0f} s are over: go on with --resume.", file=sys.stderr)
            break
        _make_checkpoint(place, cell)
        if is_ours(cell.strategy) and cell.key not in results.predictions:
            alike = [other for other in todo if is_ours(other.strategy) and other.is_2k == cell.is_2k]
            results.predictions |= _predict(alike, place, _calibration(out, cell))
            results.write(out)
        row = measure(cell, place, cell_seconds, calibration=_calibration(out, cell), tile=_tile(cell, results.rows))
        results.rows.append({"key": cell.key, "cap": cell.cap, "is_2k": cell.is_2k} | row)
        results.write(out)
        print(table.line(results.rows[-1]), file=sys.stderr, flush=True)
    return results


def measure(
    cell: Cell, place: Place, limit_seconds: float, *, calibration: Path | None = None, tile: int | None = None
) -> Row:
    """The row of one cell, from a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-cell-"))
    try:
        row, ram = folder / "row.json", parse_bytes(cell.ram) if cell.ram is not None else None
        with limited.memory(ram) as limit:
            error = _run([*limit.prefix, *_command(cell, place, folder, row, calibration, tile)], folder, limit_seconds)
        found = json.loads(row.read_text(encoding="utf-8")) if row.exists() else _asked(cell) | {"error": error}
        return found | ({"ram_limit": limit.words} if ram is not None else {})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _predict(cells: Sequence[Cell], place: Place, calibration: Path) -> dict[str, Any]:
    """Plans of all these cells; nothing where that process failed, which its cells will say better."""
    print("predicting, and learning the device at other sizes if nobody has", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-cell-"))
    try:
        wanted, out = folder / "cells.json", folder / "predictions.json"
        wanted.write_text(json.dumps([asdict(cell) for cell in cells]), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "bench.predict", "--checkpoint", str(place.checkpoint(cells[0]))),
            *("--calibration", str(calibration), "--cells", str(wanted), "--out", str(out)),
            *("--device", place.device),
        ]
        error = _run(command, folder, limit_seconds=3600)
        if not out.exists():
            print(f"no predictions: {error}", file=sys.stderr)
            return {cell.key: {"error": error} for cell in cells}
        return dict(json.loads(out.read_text(encoding="utf-8")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], folder: Path, limit_seconds: float) -> str:
    """Run it to its end; how it ended, with the last line that it wrote."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        ended = _wait(process, limit_seconds)
    last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2][:MAX_LAST_CHARS]
    return f"{ended} {last}".strip()


def _wait(process: subprocess.Popen[bytes], limit_seconds: float) -> str:
    """How the process ended; it is killed when it runs too long, or when this one is interrupted."""
    try:
        return f"The process ended with code {process.wait(timeout=limit_seconds)}."
    except subprocess.TimeoutExpired:
        return f"It ran longer than {limit_seconds:.0f} s."
    finally:
        process.kill()
        process.wait()


def _command(
    cell: Cell, place: Place, folder: Path, row: Path, calibration: Path | None, tile: int | None
) -> list[str]:
    has_calibration = calibration is not None and calibration.exists() and is_ours(cell.strategy)
    return [
        *(sys.executable, "-m", "bench.cell", "--strategy", cell.strategy),
        *("--checkpoint", str(place.checkpoint(cell)), "--out", str(folder / "pictures"), "--json", str(row)),
        *("--device", place.device, "--size", str(cell.size), "--steps", str(cell.steps)),
        *("--images", str(cell.num_images), "--groups", str(cell.num_groups)),
        *(("--calibration", str(calibration.resolve())) if calibration is not None and has_calibration else ()),
        *(("--cap", cell.cap) if cell.cap is not None else ()),
        *(("--tile", str(tile)) if tile is not None else ()),
        *(("--from-disk",) if cell.ram is not None else ()),
    ]


def _make_checkpoint(place: Place, cell: Cell) -> None:
    """The 2K transformer with random weights beside the rest of the other checkpoint, where nobody put one."""
    folder = place.checkpoint(cell)
    if cell.is_2k and not folder.exists():
        print(f"making {folder} with random weights", file=sys.stderr, flush=True)
        command = (sys.executable, "-m", "bench.full_size", str(folder), "--sample-size", "256")
        subprocess.run([*command, "--rest-from", str(place.folder)], cwd=ROOT, check=True)


def _calibration(out: Path, cell: Cell) -> Path:
    return out.with_suffix(f".{'calibration-2k' if cell.is_2k else 'calibration'}.json")


def _tile(cell: Cell, rows: Iterable[Row]) -> int | None:
    """The decode tile that our engine took, for a peer that is to take the same."""
    if cell.tile_of is None:
        return None
    found: Callable[[Row], bool] = lambda row: row["strategy"] == cell.tile_of and row["size"] == cell.size  # noqa: E731
    for row in filter(found, rows):
        phases = row.get("details", {}).get("cold", {}).get("predicted", {}).get("phases", [])
        return next((phase["tile"] for phase in phases if phase["phase"] == "decode"), None)
    return None


def _asked(cell: Cell) -> Row:
    """What a row says of a cell whose process left none."""
    asked = asdict(cell)
    return {name: asked[name] for name in ("strategy", "size", "steps", "num_images")}


def _changed(cell: Cell, asked: argparse.Namespace) -> Cell:
    """With what the command line names instead."""
    size = asked.size if asked.size is None or not cell.is_2k else 2 * asked.size
    changes = {
        "size": size,
        "steps": asked.steps,
        "num_images": asked.images if makes_pictures(cell.strategy) else None,
    }
    return replace(cell, **{name: value for name, value in changes.items() if value is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", required=True, type=Path, help="a checkpoint in diffusers' layout")
    parser.add_argument("--rows", required=True, nargs="+", choices=ROWS, help="which cells")
    parser.add_argument("--only", action="append", metavar="NAME", help="of these, only this strategy (repeatable)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="results as JSON")
    parser.add_argument("--resume", action="store_true", help="go on with the file that is there")
    parser.add_argument("--seconds", type=float, default=86400, help="no new cell starts after so many")
    parser.add_argument("--cell-seconds", type=float, default=600, help="a cell that runs longer is ended")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--size", type=int, help="width and height of every cell, instead of 1024; twice that at 2K")
    parser.add_argument("--steps", type=int, help="steps of every cell, instead of its own")
    parser.add_argument("--images", type=int, help="pictures of every cell, instead of its own")
    return parser


if __name__ == "__main__":
    main()
