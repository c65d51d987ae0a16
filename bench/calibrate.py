"""Let our engine learn a device at other sizes and budgets than those that are measured, so that predictions are some.

python -m bench.calibrate --checkpoint /tmp/full --out calibration.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.ours import locate, requests, weights
from pixart_ui.byte_size import GIB, MIB
from pixart_ui.catalog import COMPONENTS, from_folder
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.errors import PixArtError
from pixart_ui.request import Numerics

# Working sizes beside the square one, of fewer pixels and of more; few steps, since a step is a step.
SIDES = {128: ((832, 1216), (704, 1408)), 256: ((1664, 2432), (1408, 2816))}
BUDGETS = (700 * MIB, 1300 * MIB, 2300 * MIB, 5 * GIB, 40 * GIB)
STEPS = 3
PROMPTS = (
    "a harbour at dawn with fishing boats and gulls, in soft colours, seen from the hill above the town",
    "the portrait of an old watchmaker at his bench, a lamp beside him, small brass wheels on green cloth",
    "a greenhouse in winter, snow on its roof, orange trees and ferns behind panes white with frost",
    "an empty cinema with red seats, dust in the light of the projector, and one forgotten umbrella",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(arguments)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if asked.device == "auto" else asked.device
    calibrate(asked.checkpoint.resolve(), asked.out, device)


def calibrate(folder: Path, out: Path, device: str) -> None:
    """Run every size at every budget that it fits into, in both numerics."""
    checkpoint = from_folder(folder)
    files = EngineFiles(weights(folder), calibration_path=out)
    for budget in BUDGETS if device != "cpu" else BUDGETS[-1:]:
        engine = Engine.open(
            device, locate, lambda located: dict.fromkeys(COMPONENTS, "0" * 64), files, budget_bytes=budget
        )
        for width, height in SIDES.get(checkpoint.sample_size, ((checkpoint.sample_size * 8,) * 2,)):
            for numerics in Numerics:
                asked = {"steps": STEPS, "width": width, "height": height, "numerics": numerics}
                prompts = [f"{prompt}, {budget} {width}" for prompt in PROMPTS]
                try:
                    for _ in engine.run(requests(checkpoint, prompts, seed=1, **asked), lambda index: False):
                        pass
                except PixArtError as error:
                    print(f"{budget / GIB:.1f} GiB, {width}×{height}: {error.message}")
        engine.close()


if __name__ == "__main__":
    main()
