"""What our engine says that cells will take, before any of them was run; in a process of its own.

    python -m bench.predict --checkpoint /tmp/full --calibration FILE --cells FILE --out FILE

Where there is no calibration yet, the device is learned first, at other sizes and budgets (see `calibrate.py`).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cells import Cell
from bench.job import OURS_LEAKS, OURS_T5, CellJob
from bench.results import write_aside


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.predict", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--calibration", required=True, type=Path)
    parser.add_argument("--cells", required=True, type=Path, help="what is to be predicted, as JSON")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(arguments)
    cells = [Cell(**values) for values in json.loads(asked.cells.read_text(encoding="utf-8"))]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it has advice to give when it is imported
    from bench.measuring import device

    predictions = predict(cells, asked.checkpoint.resolve(), asked.calibration, device(asked.device))
    write_aside(asked.out, json.dumps(predictions))


def predict(cells: Sequence[Cell], checkpoint: Path, calibration: Path, device: str) -> dict[str, Any]:
    """By the cells' keys: plans with `predicted_peak_bytes`, `predicted_seconds` and when that was said."""
    from bench.calibrate import calibrate
    from pixart_ui.request import Precision

    if not calibration.exists():
        others = [Precision.INT8, Precision.NF4] if any(_has_other_precision(cell) for cell in cells) else []
        calibrate(checkpoint, calibration, device, others)
    with tempfile.TemporaryDirectory() as scratch:
        known = calibration if calibration.exists() else None
        return {cell.key: _prediction(_job(cell, checkpoint, Path(scratch), device, known)) for cell in cells}


def _has_other_precision(cell: Cell) -> bool:
    return cell.strategy.partition("@")[0] in (OURS_T5, "ours-int8", "ours-nf4")


def _job(cell: Cell, checkpoint: Path, out: Path, device: str, calibration: Path | None) -> CellJob:
    return CellJob(
        cell.strategy,
        checkpoint,
        out,
        device,
        size=cell.size,
        steps=cell.steps,
        num_images=cell.num_images,
        calibration=calibration,
    )


def _prediction(job: CellJob) -> Mapping[str, Any]:
    from bench import ours, t5
    from pixart_ui.errors import PixArtError

    name = job.strategy.partition("@")[0]
    try:
        if name == OURS_T5:
            return t5.predict(job)
        return {} if name == OURS_LEAKS else ours.predict(job)
    except PixArtError as error:
        return {"error": error.message}


if __name__ == "__main__":
    main()
