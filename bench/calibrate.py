"""Lets our engine learn a device at other sizes and budgets than those that are measured, so that predictions are some.

Working sizes are not square, texts are fewer, budgets lie beside those of the rows; each kind of decoding piece that
the rows take is met once. Few steps, since a step is a step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.ours import locate, requests, weights
from pixart_ui.byte_size import GIB, MIB, show_bytes
from pixart_ui.catalog import COMPONENTS, Checkpoint, from_folder
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.errors import PixArtError
from pixart_ui.request import Numerics, Precision, ResolvedRequest

SIDES = {128: (832, 1216), 256: (1664, 2432)}
BUDGETS = {128: (620 * MIB, 700 * MIB, 1300 * MIB, 2300 * MIB, 40 * GIB), 256: (1600 * MIB, 40 * GIB)}
STEPS, NUM_PICTURES = 3, 2
PROMPTS = (
    "a harbour at dawn with fishing boats and gulls, in soft colours, seen from the hill above the town",
    "the portrait of an old watchmaker at his bench, a lamp beside him, small brass wheels on green cloth",
    "a greenhouse in winter, snow on its roof, orange trees and ferns behind panes white with frost",
)


def calibrate(folder: Path, out: Path, device: str, precisions: Iterable[Precision]) -> None:
    """Draw at every budget that does, in both numerics; of T5's other `precisions`, encode only."""
    checkpoint = from_folder(folder)
    budgets = BUDGETS.get(checkpoint.sample_size, (40 * GIB,)) if device != "cpu" else (40 * GIB,)
    for budget in budgets:
        engine = Engine.open(
            device,
            locate,
            lambda located: dict.fromkeys(COMPONENTS, "0" * 64),
            EngineFiles(weights(folder), calibration_path=out),
            budget_bytes=budget,
        )
        for numerics in Numerics:
            _learn(engine, _requests(checkpoint, budget, numerics, Precision.FP16), show_bytes(budget))
        if budget == max(budgets):
            for precision in precisions:
                engine.embed(_requests(checkpoint, budget, Numerics.FAST, precision))
        engine.close()


def _learn(engine: Engine, wanted: tuple[ResolvedRequest, ...], budget: str) -> None:
    """All texts, then some of their pictures."""
    try:
        engine.embed(wanted)
        for _ in engine.run(wanted[:NUM_PICTURES], lambda index: False):
            pass
    except PixArtError as error:
        print(f"{budget}: {error.message}", file=sys.stderr)


def _requests(
    checkpoint: Checkpoint, budget: int, numerics: Numerics, precision: Precision
) -> tuple[ResolvedRequest, ...]:
    width, height = _size(checkpoint)
    asked = {"steps": STEPS, "width": width, "height": height, "numerics": numerics, "precision": precision}
    return requests(checkpoint, list(_prompts(budget)), seed=1, **asked)


def _size(checkpoint: Checkpoint) -> tuple[int, int]:
    return SIDES.get(checkpoint.sample_size, (checkpoint.sample_size * 8,) * 2)


def _prompts(budget: int) -> Iterator[str]:
    """Other ones at each budget: a text is encoded once."""
    return (f"{prompt}, {budget}" for prompt in PROMPTS)
