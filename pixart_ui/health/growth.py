"""Whether memory grows from group to group, which would be a leak, told from what a worker noted. Pure functions.

The first groups of a worker bring libraries and caches that stay: they are left out. Memory counts as growing only
where the latest groups all held more than the earliest ones, by more than flickers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any

WARM_UP_GROUPS = 2
MIN_GROUPS = 6
# Less than this, or less than a tenth of what was held, is no growth.
LEAST_BYTES = 64 * 2**20
LEAST_SHARE = 0.1


class Trend(StrEnum):
    """`UNKNOWN` until enough groups have run."""

    UNKNOWN = "unknown"
    STEADY = "steady"
    GROWING = "growing"


@dataclass(frozen=True)
class Growth:
    """How one figure went, in bytes, oldest first; `per_group_bytes` is what a group added where it grows."""

    trend: Trend
    values: tuple[int, ...]
    spread_bytes: int
    per_group_bytes: int


@dataclass(frozen=True)
class Health:
    """`beside` is what torch held of the device beside weights, `ram` the worker's resident set, after each group."""

    num_groups: int
    beside: Growth
    ram: Growth


def health(info: Mapping[str, Any]) -> Health:
    """Of a worker that says `info` of itself; one that says nothing of groups has had none."""
    groups = [entry for entry in info.get("watch", {}).get("groups", ()) if len(entry) == 3]
    beside, ram = ([int(entry[place]) for entry in groups] for place in (1, 2))
    return Health(len(groups), growth(beside), growth(ram))


def growth(values: Sequence[int]) -> Growth:
    """What the values of successive groups say."""
    settled = tuple(values[WARM_UP_GROUPS:]) if len(values) > WARM_UP_GROUPS else ()
    if len(values) < MIN_GROUPS:
        return Growth(Trend.UNKNOWN, tuple(values), 0, 0)
    third = max(1, len(settled) // 3)
    first, last = settled[:third], settled[-third:]
    grown = round(median(last) - median(first))
    is_growing = min(last) > max(first) and grown > max(LEAST_BYTES, LEAST_SHARE * median(first))
    per_group = round(grown / max(1, len(settled) - third))
    trend = Trend.GROWING if is_growing else Trend.STEADY
    return Growth(trend, tuple(values), max(settled) - min(settled), per_group if is_growing else 0)
