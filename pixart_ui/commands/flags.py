"""Flags that several commands and the page share, so that their words are the same everywhere."""

from __future__ import annotations

import argparse


def add_device_flags(parser: argparse.ArgumentParser, *, whose: str = "") -> None:
    """Which device, and how much of it. Left out, the environment says so; see `Settings.read`."""
    parser.add_argument("--device", help=f"{whose}auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--vram-budget",
        metavar="SIZE",
        help=f"{whose}what tensors may use of a GPU, for example 6GiB (default: PIXART_UI_VRAM_BUDGET, else all that "
        "is free); CUDA itself takes some beside it, and a CPU is not limited by it",
    )
