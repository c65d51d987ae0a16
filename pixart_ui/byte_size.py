"""Amounts of memory as people write and read them."""

from __future__ import annotations

import math
import re

from pixart_ui.errors import InputError

KIB, MIB, GIB, TIB = 1024, 1024**2, 1024**3, 1024**4
MAX_BYTES = 1024 * TIB

# One letter alone means the power of two, as in most tools that take such a number.
_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kib": KIB, "kb": 10**3,
    "m": MIB, "mib": MIB, "mb": 10**6,
    "g": GIB, "gib": GIB, "gb": 10**9,
    "t": TIB, "tib": TIB, "tb": 10**12,
}  # fmt: skip
_PATTERN = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,3})", re.ASCII)


def parse_bytes(text: str, what: str = "Memory") -> int:
    """Read `6GiB`, `6 GB`, `512MiB`, `1.5g`; `what` begins the sentence. Raises InputError.

    >>> parse_bytes("1.5g") == 3 * 2**29
    True
    """
    match = _PATTERN.fullmatch(text.strip().lower())
    shown = repr(text if len(text) <= 60 else text[:57] + "…")
    if match is None or match[2] not in _UNITS:
        raise InputError(f"{what} {shown} is not an amount of memory: write it like 6GiB or 512MiB.")
    if not match[2]:
        raise InputError(
            f"{what} {shown} has no unit, it must say GiB, GB, MiB or MB: write for example {match[1]}GiB."
        )
    count = round(float(match[1]) * _UNITS[match[2]])
    if not 0 < count <= MAX_BYTES:
        raise InputError(f"{what} {shown} is out of range, it must be above 0 and at most 1024 TiB: try 6GiB.")
    return count


def show_bytes(count: int) -> str:
    """In GiB from one on, else in MiB; one digit after the point.

    >>> show_bytes(1536 * MIB), show_bytes(700 * MIB)
    ('1.5 GiB', '700 MiB')
    """
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"


def show_at_least(count: int) -> str:
    """Rounded up, so that the amount said would really do."""
    if count >= GIB:
        return f"{math.ceil(count * 10 / GIB) / 10:.1f} GiB"
    return f"{math.ceil(count / MIB)} MiB"
