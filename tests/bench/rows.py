"""Rows of results as a run on a GPU leaves them, made up; and what is really run. No torch."""

from __future__ import annotations

from typing import Any

GIB = 2**30
# Strategies of ours and T5 alone, which the tests run beside all peers.
OURS, LEAKS, NUM_RUNS = "ours@2GiB", "ours-leaks@2GiB", 8
OTHERS = ("ours-exact@2GiB", "ours-int8@8GB", "ours-nf4@7GB", "ours-t5", "stock-t5", LEAKS)
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
BUDGETS = (
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
    return [*(ours(*row) for row in BUDGETS), *(peer(*row) for row in PEERS), failed]


def figure_rows() -> list[dict[str, Any]]:
    """What the figures are made from, beside the rows of the picture."""
    return [
        *(row | {"details": {"next_new_prompt_seconds": 1.2}} for row in all_rows()),
        ours("24GiB", 5.0, 3.3, 15.1, "ours-exact")
        | {"details": {"next_cached_prompt_seconds": 0.8, "cold": phases(2.0, 1.9), "warm": phases(2.0, 2.02)}},
        ours("0.7GiB", 9.0, 8.0, 0.57, "ours-exact"),
        *(ours("8GiB", wall, 0, 7.0) | {"num_images": num} for num, wall in ((1, 2.5), (4, 5.0), (32, 33.0))),
        ours("7GB", 5.0, 0, 6.0, "ours-nf4"),
        ours("1.5GiB", 17.0, 0, 1.45) | {"is_2k": True, "size": 2048, "next_image_seconds": [7.7]},
        peer("vae-tiling", None, 16.0, 8.8, 9.0) | {"is_2k": True, "size": 2048, "next_image_seconds": [7.0]},
        ours("4GiB", 15.0, 0, 3.5)
        | {"ram_limit": "control group", "disk_bytes_a_second": 1.5e9, "disk_bytes_read": int(12.9e9)},
        asked("ours-t5", None)
        | {
            "parts": [
                t5("fp16 streamed, 1.2 GiB", 0.3, 1.07),
                t5("nf4 streamed, least", 0.35, 0.55),
                t5("int8 whole", 0.4, 7.5) | {"first": {"seconds": 0.9}},
                t5("nf4 whole", 0.4, 7.5) | {"error": "OutOfMemory: no"},
            ]
        },
        asked("stock-t5", None)
        | {"parts": [t5("fp16", 0.53, 9.31), t5("nf4", 0.61, 6.2), t5("int8", 0.7, 7.9) | {"load_seconds": 6.1}]},
        asked("ours-leaks@2GiB", "2GiB") | {"runs": [leak(number) for number in range(50)]},
    ]


def phases(predicted: float, *measured: float) -> dict[str, Any]:
    """What a group's plan said, and the peaks of its phases, in GiB."""
    peaks = [{"peak_reserved_bytes": int(peak * GIB)} for peak in measured]
    return {"predicted": {"predicted_peak_bytes": int(predicted * GIB)}, "phases": peaks}


def t5(name: str, seconds: float, reserved: float) -> dict[str, Any]:
    return {"name": name, "error": None, "warm_seconds": seconds, "peak_reserved_bytes": int(reserved * GIB)}


def leak(number: int) -> dict[str, Any]:
    """One MiB of RSS in each run, and VRAM that ends eight above where it began."""
    reserved = 1500 if number == 0 else 1508
    return {"reserved_bytes": reserved * 2**20, "rss_bytes": (2000 + number) * 2**20, "error": None}


def peer(strategy: str, cap: str | None, seconds: float, allocated: float, reserved: float) -> dict[str, Any]:
    latents = ["a", "b", "c", "d"] if strategy != "staged-nf4" else ["e", "f", "g", "h"]
    return asked(strategy, cap) | group(seconds, allocated, reserved) | {"latents_sha256": latents, "warm": None}


def ours(budget: str, cold: float, warm: float, reserved: float, kind: str = "ours") -> dict[str, Any]:
    """Without a warm group where its seconds are 0."""
    groups = group(cold, reserved, reserved) | {"warm": group(warm, reserved, reserved) if warm else None}
    numerics = "exact" if kind == "ours-exact" else "fast"
    return asked(f"{kind}@{budget}", budget) | groups | {"numerics": numerics}


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
