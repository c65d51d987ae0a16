"""One measurement in a process of its own.

    python -m bench.cell --strategy staged --checkpoint /tmp/full --out /tmp/pictures [--cap 8GiB] [--json FILE]

Imports, the CUDA context and reading the checkpoint's files once come first; then the clock starts. It stops when the
last picture is on disk. Whatever a strategy raises becomes its row's `error`, with the memory used until then.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from bench import names
from bench.job import GUIDANCE_SCALE, CellJob, is_ours
from bench.results import write_aside
from pixart_ui.byte_size import parse_bytes
from pixart_ui.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not (is_ours(asked.strategy) or asked.strategy in names.STOCK):
        parser.error(f"Strategy {asked.strategy!r} is unknown: choose ours@2GiB or one of {', '.join(names.STOCK)}.")
    try:
        cap_bytes = parse_bytes(asked.cap, "The cap") if asked.cap is not None else None
    except InputError as error:
        parser.error(error.message)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it has advice to give when it is imported
    from bench import measuring

    job = CellJob(
        strategy=asked.strategy,
        checkpoint=asked.checkpoint,
        out=asked.out,
        device=measuring.device(asked.device),
        size=asked.size,
        steps=asked.steps,
        num_images=asked.images,
        cap_bytes=cap_bytes,
        num_groups=asked.groups,
        calibration=asked.calibration,
        is_from_disk=asked.from_disk,
        tile=asked.tile,
        own_prompt=asked.prompt,
        first_seed=asked.seed,
        guidance_scale=asked.guidance,
        is_watched=asked.watch,
    )
    text = json.dumps(measuring.measure(job), indent=2) + "\n"
    print(text) if asked.json is None else write_aside(asked.json, text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cell", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", required=True, metavar="NAME", help="`python -m bench list` names them")
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="for the pictures")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--size", type=int, default=1024, help="width and height in pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--images", type=int, default=4, help="pictures, each with a prompt of its own")
    parser.add_argument("--cap", metavar="GIB", help="what torch may reserve on a GPU, for example 2GiB")
    parser.add_argument("--groups", type=int, choices=(1, 2), default=1, help="2: a second, warm group (ours only)")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="what was measured at other sizes (ours only)")
    parser.add_argument("--tile", type=int, help="side of the pieces that a peer's tiled VAE decodes")
    parser.add_argument("--prompt", help="of every picture of a peer, instead of the usual ones")
    parser.add_argument("--seed", type=int, default=0, help="of a peer's first picture")
    parser.add_argument("--guidance", type=float, default=GUIDANCE_SCALE, help="of a peer's pictures")
    parser.add_argument("--watch", action="store_true", help="sample memory through a peer's run, phase by phase")
    parser.add_argument("--from-disk", action="store_true", help="begin with nothing of the checkpoint in RAM")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the row here and not to the screen")
    return parser


if __name__ == "__main__":
    main()
