"""Flags that several commands and the page share, so that their words are the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from pixart_ui.request import GenerationRequest, parse_size

# Flags that make up a request, by the request's field. Their values stay text: the request validates them.
REQUEST_FLAGS: Mapping[str, tuple[str, str, str]] = {
    "checkpoint": ("--checkpoint", "NAME|FOLDER", "which checkpoint (default: the best one on this disk)"),
    "precision": ("--precision", "NAME", "of the text encoder: fp16, bf16, int8, nf4 or fp4"),
    "transformer_precision": (
        "--transformer-precision",
        "NAME",
        "of the transformer: fp16, bf16, fp8, int8 or nf4 (default: bf16 beside a bf16 text encoder, else fp16)",
    ),
    "numerics": ("--numerics", "NAME", "exact or fast"),
    "seed": ("--seed", "N", "of the first picture (default: random)"),
    "steps": ("--steps", "N", "denoising steps"),
    "size": ("--size", "WxH", "in pixels, for example 256x256"),
    "guidance_scale": ("--guidance", "X", "how closely to follow the prompt, for example 4.5"),
    "scheduler": ("--scheduler", "NAME", "the sampler"),
    "negative_prompt": ("--negative", "TEXT", "what the picture should not show"),
    "style": ("--style", "NAME", "a style from presets/"),
    "num_images": ("--num-images", "N", "pictures, with seeds N, N+1, …"),
}
COMPILE_FLAG = "--compile"
COMPILE_HELP = (
    "compile the transformer's blocks: the first picture takes about 10 s longer, later ones an eighth less; "
    "needs a C++ compiler, and a GPU of compute capability 7.0 or newer (default: not)"
)


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Everything of a request but its prompt; `asked` reads them."""
    for field, (flag, metavar, text) in REQUEST_FLAGS.items():
        parser.add_argument(flag, dest=field, metavar=metavar, help=text)
    parser.add_argument(COMPILE_FLAG, dest="compile_blocks", action="store_true", help=COMPILE_HELP)


def asked(args: argparse.Namespace, prompt: str) -> GenerationRequest:
    """The request for a prompt with the settings given beside it. Raises InputError."""
    values = {field: value for field in REQUEST_FLAGS if (value := getattr(args, field)) is not None}
    if "size" in values:
        values["width"], values["height"] = parse_size(values.pop("size"))
    if args.compile_blocks:
        values["compile_blocks"] = True
    return GenerationRequest.parse({"prompt": prompt, **values})


def given_request_flags(args: argparse.Namespace) -> list[str]:
    """Which of them stand on the command line."""
    given = [flag for field, (flag, _, _) in REQUEST_FLAGS.items() if getattr(args, field) is not None]
    return [*given, COMPILE_FLAG] if args.compile_blocks else given


def add_device_flags(parser: argparse.ArgumentParser, *, whose: str = "") -> None:
    """Which device, and how much of it. Left out, the environment says so; see `Settings.read`."""
    parser.add_argument(
        "--device",
        help=f"{whose}auto, cpu, cpu:N, cuda, cuda:N or mps; cuda:0+cuda:1 is both for one picture (default: auto)",
    )
    parser.add_argument(
        "--vram-budget",
        metavar="SIZE",
        help=f"{whose}what tensors may use of a GPU, for example 6GiB (default: PIXART_UI_VRAM_BUDGET, else all that "
        "is free); CUDA itself takes some beside it, and a CPU is not limited by it",
    )


def add_fleet_flags(parser: argparse.ArgumentParser) -> None:
    """Several devices instead of the one of `--device`."""
    parser.add_argument(
        "--devices",
        metavar="NAMES",
        help="a worker on each: auto for every GPU here, or names such as cuda:0,cuda:1 or cpu,cpu; "
        "cuda:0+cuda:1 is one worker, with its text encoder on the second GPU",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="every GPU of a Ray cluster: HOST:PORT of its head, which is started if it is to be on this machine, or "
        "auto for one that nobody else can reach (needs requirements-cluster.txt)",
    )


def add_worker_flags(parser: argparse.ArgumentParser) -> None:
    """How a worker runs the queue, and how long it keeps pictures."""
    parser.add_argument(
        "--group-size",
        metavar="N",
        help="jobs that share one load of the weights, 1 to 64 (default: what the planner predicts to pay off)",
    )
    parser.add_argument(
        "--keep-images", metavar="N", help="delete pictures without a star beyond the newest N (default: keep all)"
    )
    parser.add_argument(
        "--keep-days", metavar="N", help="delete pictures without a star after N days (default: keep all)"
    )


def add_cap_flags(parser: argparse.ArgumentParser) -> None:
    """How many jobs may wait or run at a time."""
    parser.add_argument("--max-jobs", metavar="N", help="unfinished jobs in all (default: no limit)")
    parser.add_argument("--max-jobs-per-owner", metavar="N", help="unfinished jobs of each owner (default: no limit)")
