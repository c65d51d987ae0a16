"""How long the default comparison takes on PixArt-Tiny, and whether a second one gives the same.

    python -m bench.comparing [--size 256] [--steps 20] [--json FILE]

It is the command line that a person would type, twice, each in a fresh data folder: fp16, 8-bit, nf4 and fp4, with the
noise floor, report included. Beside the clock's seconds stand the processor's, since other programs may be at work.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixart_ui.compare import report
from pixart_ui.compare.comparison import Comparison

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "a red circle above a blue square at sunset"
GOAL_SECONDS = 45.0


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pixart-ui-comparing-") as folder:
        runs = [_run(Path(folder) / name, asked.size, asked.steps) for name in ("first", "second")]
    text = json.dumps(
        {
            "size": asked.size,
            "steps": asked.steps,
            "cpu_count": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "wall_seconds": [wall for wall, _, _ in runs],
            "processor_seconds": [processor for _, processor, _ in runs],
            "goal_seconds": GOAL_SECONDS,
            "is_identical": _figures(runs[0][2]) == _figures(runs[1][2]),
        },
        indent=2,
    )
    print(text) if asked.json is None else asked.json.write_text(text + "\n", encoding="utf-8")


def _run(folder: Path, size: int, steps: int) -> tuple[float, float, Comparison]:
    """Seconds by the clock, seconds of all processors, and what came out."""
    command = [sys.executable, "-m", "pixart_ui", "compare", PROMPT, "--data-dir", str(folder / "data")]
    command += ["--checkpoint", "tiny", "--device", "cpu", "--size", f"{size}x{size}", "--steps", str(steps)]
    started, used = time.perf_counter(), _used()
    subprocess.run([*command, "--out", str(folder / "report")], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started, _used() - used, report.read(folder / "report")


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _figures(comparison: Comparison) -> list[Any]:
    """What must be the same whenever it is made: pictures and metrics, not times."""
    return [(result.key, result.state, result.pixels_sha256, result.quality) for result in comparison.results]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.comparing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write it here and not to the screen")
    return parser


if __name__ == "__main__":
    main()
