"""Rows of results as a run on a GPU leaves them, made up."""

from __future__ import annotations

from typing import Any

GIB = 2**30
VERSIONS = {"pixart-ui": "0.1.0", "torch": "2.11.0", "diffusers": "0.42.1", "bitsandbytes": "absent"}
PLACE = {"device": "NVIDIA Test", "driver": "570.1", "versions": VERSIONS}
# Strategy, cap, seconds, GiB allocated and reserved.
PEERS = (
    ("resident", None, 6.9, 14.5, 16.5),
    ("staged", None, 6.3, 10.9, 10.9),
    ("staged-max-memory", "8GiB", 9.3, 7.5, 7.65),
    ("staged-int8", None, 11.5, 7.5, 7.8),
    ("staged-nf4", None, 7.5, 6.06, 6.2),
    ("vae-tiling", None, 7.2, 12.1, 12.3),
    ("model-offload", None, 35.7, 10.9, 10.9),
    ("group-leaf-stream", None, 16.0, 2.4, 4.7),
    ("group-leaf-tiling", "2GiB", 18.2, 1.54, 1.98),
    ("group-block-t5", None, 14.0, 3.1, 3.9),
    ("group-block-stream", None, 64.4, 10.9, 14.7),
)
OURS = (
    ("1GiB", 7.9, 7.0, 0.97),
    ("1.5GiB", 6.4, 5.6, 1.4),
    ("2GiB", 6.0, 5.2, 1.9),
    ("3GiB", 5.6, 4.8, 2.9),
    ("4GiB", 5.4, 4.6, 3.2),
    ("12GiB", 5.2, 3.6, 11.5),
    ("24GiB", 5.2, 3.2, 15.1),
)


def all_rows() -> list[dict[str, Any]]:
    failed = asked("attention-xformers", None) | {"error": "ModuleNotFoundError: No module named 'xformers' | pip"}
    return [*(ours(*row) for row in OURS), *(peer(*row) for row in PEERS), failed]


def peer(strategy: str, cap: str | None, seconds: float, allocated: float, reserved: float) -> dict[str, Any]:
    latents = ["a", "b", "c", "d"] if strategy != "staged-nf4" else ["e", "f", "g", "h"]
    return asked(strategy, cap) | group(seconds, allocated, reserved) | {"latents_sha256": latents, "warm": None}


def ours(budget: str, cold: float, warm: float, reserved: float) -> dict[str, Any]:
    groups = group(cold, reserved, reserved) | {"warm": group(warm, reserved, reserved)}
    return asked(f"ours@{budget}", budget) | groups


def asked(strategy: str, cap: str | None) -> dict[str, Any]:
    return {
        "key": f"{strategy}, cap {cap}",
        "strategy": strategy,
        "description": strategy.replace("-", " "),
        "cap": cap,
        "size": 1024,
        "steps": 20,
        "num_images": 4,
        "error": None,
        **PLACE,
    }


def group(seconds: float, allocated: float, reserved: float) -> dict[str, Any]:
    return {
        "wall_seconds": seconds,
        "load_seconds": 2.0,
        "first_image_seconds": seconds / 2,
        "next_image_seconds": [seconds / 6] * 3,
        "latents_sha256": ["a", "b", "c", "d"],
        "peak_allocated_bytes": int(allocated * GIB),
        "peak_reserved_bytes": int(reserved * GIB),
        "peak_rss_bytes": 12 * GIB,
    }
