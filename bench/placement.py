"""Measures one picture over two GPUs beside one GPU alone: `python -m bench placement`.

    python -m bench placement --full-size /tmp/sigma-1024 --budget 12GiB --out pair.json
    python -m bench placement --devices cpu,cpu:0+cpu:1 --checkpoint pixart_ui/tiny/weights --size 256 --budget 1TiB

With each of the devices, in one process after the other: a first picture, then others with new prompts, one at a time.
Told are the seconds of a picture after the first, where each phase's weights were and the most that it reserved, and
whether the latents are, bit for bit, those of the first device. Each GPU may use the budget.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.results import write_aside
from bench.workers import full_size
from pixart_ui.byte_size import parse_bytes, show_bytes
from pixart_ui.events import ImageFailed, LatentsReady, Phase, PhaseFinished, Planned

PROMPTS = tuple(f"a {colour} boat by the sea" for colour in ("red", "blue", "green", "yellow", "purple", "orange"))


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    folder = (full_size(given.full_size) if given.full_size is not None else given.checkpoint).resolve()
    rows: list[dict[str, Any]] = []
    for device in given.devices.split(","):
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process that holds nothing of the one before
            rows.append(pool.apply(measure, (device, folder, given.size, given.steps, given.budget, given.calibration)))
        print(shown(rows[-1], rows[0]), flush=True)
        if given.out is not None:
            document = {"command": ["python", "-m", "bench", "placement", *arguments], "rows": rows}
            write_aside(given.out, json.dumps(document, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench placement", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", default="cuda:0,cuda:0+cuda:1", help="default: %(default)s")
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER")
    parser.add_argument("--full-size", type=Path, metavar="FOLDER", help="a Sigma of full size with random weights")
    parser.add_argument("--budget", default="12GiB", help="of each GPU (default: %(default)s)")
    parser.add_argument("--size", type=int, default=1024, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="what was measured on these GPUs before")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
    return parser


def measure(device: str, folder: Path, size: int, steps: int, budget: str, calibration: Path | None) -> dict[str, Any]:
    """One row: a picture at a time, each with a prompt of its own."""
    from bench import ours
    from pixart_ui.catalog import COMPONENTS, from_folder
    from pixart_ui.engine.engine import EngineFiles
    from pixart_ui.engine.paired import open_engine

    engine = open_engine(
        device,
        ours.locate,
        lambda located: dict.fromkeys(COMPONENTS, "0" * 64),
        EngineFiles(ours.weights(folder), calibration_path=calibration),
        budget_bytes=parse_bytes(budget, "The budget"),
    )
    asked = ours.requests(from_folder(folder), PROMPTS, seed=0, width=size, height=size, steps=steps)
    engine.prepare(asked[:1])
    row: dict[str, Any] = {"device": device, "budget": budget, "seconds": [], "encode_seconds": [], "latents": []}
    for request in asked:
        started = time.perf_counter()
        peaks: dict[str, int] = {}
        for event in engine.run([request], lambda _: False):
            match event:
                case Planned(plan=plan):
                    row["plan"] = plan.as_json()
                case PhaseFinished(measurement=measured):
                    peaks[measured.phase] = measured.peak_reserved_bytes or 0
                    if measured.phase is Phase.ENCODE:
                        row["encode_seconds"].append(measured.seconds)
                case LatentsReady(latents=latents):
                    row["latents"].append(hashlib.sha256(latents.tobytes()).hexdigest())
                case ImageFailed(message=message):
                    raise SystemExit(f"{device}: {message}")
        row["seconds"].append(time.perf_counter() - started)
        row["peak_reserved_bytes"] = peaks
    engine.close()
    return row


def shown(row: dict[str, Any], first: dict[str, Any]) -> str:
    equal = sum(a == b for a, b in zip(row["latents"], first["latents"], strict=True))
    phases = ", ".join(
        f"{entry['phase']} {entry['residency']} ({show_bytes(row['peak_reserved_bytes'][entry['phase']])})"
        for entry in row["plan"]["phases"]
    )
    return (
        f"{row['device']} with {row['budget']} each: first picture {row['seconds'][0]:.2f} s, then "
        f"{statistics.median(row['seconds'][1:]):.2f} s, of it encoding "
        f"{statistics.median(row['encode_seconds'][1:]):.2f} s; {phases}; {equal} of {len(row['latents'])} latents are "
        f"those of {first['device']}, bit for bit\n    {row['plan']['phases'][0]['reason']}"
    )
