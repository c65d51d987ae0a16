"""Runs every strategy once on the CPU with a toy checkpoint: `python -m tests.bench.each FOLDER peers|ours`.

Prints the rows as JSON by name. Apart from the tests' own process, because strategies change torch's and diffusers'
settings for good. Compilation is off: it takes minutes, and the strategies' own calls are made all the same.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import measuring, peers
from bench.job import CellJob
from tests.bench.rows import LEAKS, NUM_RUNS, OTHERS, OURS
from tests.toy import make_toy_checkpoint

NUM_IMAGES = 2


def main() -> None:
    folder = Path(sys.argv[1])
    toy = make_toy_checkpoint(folder / "toy")
    torch._dynamo.config.disable = True
    names = tuple(peers.STRATEGIES) if sys.argv[2] == "peers" else (OURS, *OTHERS)
    print(json.dumps({name: _row(name, toy, folder / name) for name in names}))


def _row(name: str, toy: Path, out: Path) -> dict[str, Any]:
    job = CellJob(name, toy, out, "cpu", size=128, steps=2, num_images=NUM_IMAGES)
    changes: dict[str, dict[str, Any]] = {
        OURS: {"num_groups": 2},
        LEAKS: {"num_images": NUM_RUNS},
        "vae-tiling": {"tile": 64},
    }
    row = measuring.measure(replace(job, **changes.get(name, {})))
    return row | {"pictures": sorted(path.name for path in out.glob("*.png"))}


if __name__ == "__main__":
    main()
