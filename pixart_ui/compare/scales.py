"""Round numbers for an axis, and their names. Arithmetic alone: pages and figures share it."""

from __future__ import annotations

GIB, MIB = 2**30, 2**20


def memory_scale(highest: float) -> tuple[list[float], list[str]]:
    """Round amounts from 0 to past `highest` bytes, three to five of them, and their names."""
    unit, name = (GIB, "GiB") if highest >= GIB else (MIB, "MiB")
    ticks = [tick * unit for tick in round_steps(highest / unit)]
    return ticks, [f"{tick / unit:g} {name}" if tick else "0" for tick in ticks]


def round_steps(highest: float) -> list[float]:
    """0, then equal steps of 1, 2 or 5 times a power of ten, until one is at or past `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** (len(f"{highest:.12f}".split(".")[0]) - 1)
    while highest / power < 1:
        power /= 10
    step = next(step for step in (power * part for part in (0.2, 0.25, 0.5, 1, 2, 2.5, 5)) if highest / step <= 4)
    ticks = [0.0]
    while ticks[-1] < highest:
        ticks.append(round(ticks[-1] + step, 12))
    return ticks
