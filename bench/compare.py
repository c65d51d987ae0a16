"""Runs cells one after the other, each in a process of its own, and keeps every finished one.

    python -m bench compare --folder /tmp/full --rows figures --out results.json [--resume] [--seconds 500]

A run that is cut off goes on with `--resume`: what is in the file is not measured again. After `--seconds` no new cell
starts. A cell's process that dies or runs too long is a row with that as its error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import results, table
from bench.job import EXACT, OURS, is_ours
from bench.results import Row

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = ("1GiB", "1.5GiB", "2GiB", "3GiB", "4GiB", "6GiB", "8GiB", "12GiB", "24GiB")
QUEUES = (1, 4, 32)
MAX_LAST_CHARS = 300


@dataclass(frozen=True)
class Cell:
    """What one process measures. `num_groups` 2 measures a cold group and a warm one after it."""

    strategy: str
    num_images: int = 4
    steps: int = 20
    cap: str | None = None
    num_groups: int = 1
    size: int = 1024

    @property
    def key(self) -> str:
        cap = f", cap {self.cap}" if self.cap is not None else ""
        return f"{self.strategy}, {self.size}², {self.steps} steps, {self.num_images} pictures{cap}"


def ours(budget: str, num_images: int = 4) -> Cell:
    return Cell(f"{OURS}@{budget}", num_images, cap=budget, num_groups=2)


def exact(budget: str, num_images: int = 4) -> Cell:
    return Cell(f"{EXACT}@{budget}", num_images, cap=budget, num_groups=2)


# What the picture and the README's first table show.
FIGURES = (
    *(ours(budget) for budget in ("0.6GiB", "0.8GiB", "1GiB", "1.5GiB", "2GiB", "4GiB", "8GiB", "24GiB")),
    *(exact(budget) for budget in ("0.8GiB", "24GiB")),
    Cell("resident"),
    Cell("staged"),
    Cell("group-leaf-tiling", cap="2GiB"),
    Cell("staged-nf4"),
    Cell("staged-max-memory", cap="8GiB"),
    Cell("staged-int8"),
    Cell("group-leaf-stream"),
    Cell("model-offload"),
    Cell("group-block-t5"),
    Cell("sequential-offload", num_images=1, steps=4),
    Cell("group-block-stream"),
)
# Every strategy that is not ours, the quick ones first.
PEERS = (
    Cell("resident"),
    Cell("at-once"),
    Cell("at-once-slicing"),
    Cell("vae-tiling"),
    Cell("vae-channels-last"),
    Cell("sharded"),
    Cell("attention-math"),
    Cell("attention-flash"),
    Cell("attention-efficient"),
    Cell("attention-cudnn"),
    Cell("attention-backend"),
    Cell("attention-slicing"),
    Cell("attention-xformers"),
    Cell("fuse-qkv"),
    Cell("layerwise-fp8"),
    Cell("layerwise-fp8-t5"),
    Cell("staged"),
    Cell("staged-latents"),
    Cell("staged-max-memory", cap="8GiB"),
    Cell("staged-int8"),
    Cell("staged-nf4"),
    Cell("staged-nf4", cap="6GiB"),
    Cell("staged-fp4"),
    Cell("staged-load-in-8bit"),
    Cell("pipeline-auto"),
    Cell("quantized-int8"),
    Cell("quantized-nf4"),
    Cell("quantized-fp4"),
    Cell("balanced"),
    Cell("balanced-max-memory"),
    Cell("group-leaf-stream"),
    Cell("group-leaf-record"),
    Cell("group-leaf-tiling", cap="2GiB"),
    Cell("group-block-t5"),
    Cell("sequential-offload", num_images=1, steps=4),
    Cell("traced"),
    Cell("compile-blocks"),
    Cell("model-offload"),
    Cell("group-leaf-low-cpu"),
    Cell("group-leaf", num_images=1, steps=4),
    Cell("group-block"),
    Cell("group-block-stream"),
    Cell("compile"),
    Cell("group-leaf-disk", num_images=1, steps=4),
)
ROWS = {
    "figures": FIGURES,
    "peers": PEERS,
    "matrix": tuple(ours(budget, num_images) for num_images in QUEUES for budget in BUDGETS),
}


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    if asked.out.exists() and not asked.resume:
        raise SystemExit(f"{asked.out} exists: add --resume to go on with it, or name another file.")
    cells = [cell for name in asked.rows for cell in ROWS[name] if not asked.only or cell.strategy in asked.only]
    cells = [replace(cell, **_changes(asked)) for cell in cells]
    rows = compare(
        list(dict.fromkeys(cells)),
        asked.folder,
        asked.out,
        device=asked.device,
        seconds=asked.seconds,
        cell_seconds=asked.cell_seconds,
    )
    print(table.plain(rows))


def compare(
    cells: Iterable[Cell], checkpoint: Path, out: Path, *, device: str, seconds: float, cell_seconds: float
) -> list[Row]:
    """Measure every cell that `out` does not hold, and return all its rows."""
    rows, calibration = results.read(out), out.with_suffix(".calibration.json")
    done = {row["key"] for row in rows}
    deadline = time.monotonic() + seconds
    for cell in cells:
        if cell.key in done:
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            print(f"{seconds:.0f} s are over: go on with --resume.", file=sys.stderr)
            break
        if is_ours(cell.strategy) and not calibration.exists():
            calibrate(checkpoint, calibration, device)
        row = {"key": cell.key, "cap": cell.cap} | measure(cell, checkpoint, device, cell_seconds, calibration)
        rows.append(row)
        results.write(out, rows)
        print(table.line(row), file=sys.stderr, flush=True)
    return rows


def calibrate(checkpoint: Path, calibration: Path, device: str) -> None:
    """Let our engine learn the device at other sizes than those that are measured, in a process of its own."""
    print("calibrating at other sizes", file=sys.stderr, flush=True)
    command = (sys.executable, "-m", "bench.calibrate", "--checkpoint", checkpoint, "--out", calibration)
    subprocess.run([*map(str, command), "--device", device], cwd=ROOT, check=True)


def measure(cell: Cell, checkpoint: Path, device: str, limit_seconds: float, calibration: Path | None = None) -> Row:
    """The row of one cell, from a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pixart-ui-cell-"))
    try:
        log, row = folder / "log", folder / "row.json"
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(cell, checkpoint, device, folder, row, calibration),
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            error = _wait(process, limit_seconds)
        if row.exists():
            return dict(json.loads(row.read_text(encoding="utf-8")))
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2][:MAX_LAST_CHARS]
        return _asked(cell) | {"error": f"{error} {last}".strip()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], limit_seconds: float) -> str:
    """How the process ended; it is killed when it runs too long, or when this one is interrupted."""
    try:
        return f"The process ended with code {process.wait(timeout=limit_seconds)}."
    except subprocess.TimeoutExpired:
        return f"It ran longer than {limit_seconds:.0f} s."
    finally:
        process.kill()
        process.wait()


def _command(cell: Cell, checkpoint: Path, device: str, folder: Path, row: Path, calibration: Path | None) -> list[str]:
    return [
        *(sys.executable, "-m", "bench.cell", "--strategy", cell.strategy),
        *("--checkpoint", str(checkpoint.resolve()), "--out", str(folder / "pictures"), "--json", str(row)),
        *("--device", device, "--size", str(cell.size), "--steps", str(cell.steps)),
        *("--images", str(cell.num_images), "--groups", str(cell.num_groups)),
        *(("--calibration", str(calibration.resolve())) if calibration is not None and is_ours(cell.strategy) else ()),
        *(("--cap", cell.cap) if cell.cap is not None else ()),
    ]


def _asked(cell: Cell) -> Row:
    """What a row says of a cell whose process left none."""
    asked = asdict(cell)
    return {name: asked[name] for name in ("strategy", "size", "steps", "num_images")}


def _changes(asked: argparse.Namespace) -> dict[str, Any]:
    changes = {"size": asked.size, "steps": asked.steps, "num_images": asked.images}
    return {name: value for name, value in changes.items() if value is not None}


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
    parser.add_argument("--size", type=int, help="width and height of every cell, instead of 1024")
    parser.add_argument("--steps", type=int, help="steps of every cell, instead of its own")
    parser.add_argument("--images", type=int, help="pictures of every cell, instead of its own")
    return parser


if __name__ == "__main__":
    main()
