"""Lays a comparison's memory beside what `bench/independent.py` measured of the same strategies.

    python bench/independent.py /tmp/full --out independent.json
    python -m bench agreement report/report.json independent.json

Both figures are torch's peak of reserved bytes. A strategy that both could not run agrees where both saw the same
kind of exception. It ends with 1 where a difference is above the goal. No torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixart_ui.compare import report, strategies
from pixart_ui.compare.comparison import Comparison, Result
from pixart_ui.compare.sweep import Role
from pixart_ui.errors import PixArtError

GOAL = 0.03
GIB = 2**30
DASH = "–"


@dataclass(frozen=True)
class Pair:
    """A strategy as both measured it: bytes, or what it raised. `there` is the independent script's."""

    strategy: str
    here_bytes: int | None
    there_bytes: int | None
    here_error: str | None = None
    there_error: str | None = None

    @property
    def difference(self) -> float | None:
        """Ours over theirs, less one; None where one of them has no figure."""
        if self.here_bytes is None or not self.there_bytes:
            return None
        return self.here_bytes / self.there_bytes - 1

    @property
    def agrees(self) -> bool | None:
        """None where it cannot be said, as on a CPU: neither has a figure."""
        if self.difference is not None:
            return abs(self.difference) <= GOAL
        if self.here_error is not None and self.there_error is not None:
            return _kind(self.here_error) == _kind(self.there_error)
        return None if self.here_bytes is None and self.there_bytes is None else False


def pairs(comparison: Comparison, independent: Mapping[str, Any]) -> Iterator[Pair]:
    """A pair for each of diffusers' strategies in the comparison that the independent script knows, in its order."""
    for result in comparison.results:
        peer = strategies.parse(result.strategy).peer
        found = independent["strategies"].get(peer) if peer is not None and result.role is Role.CELL else None
        if peer is not None and found is not None:
            yield Pair(
                peer,
                _reserved(result),
                found.get("peak_reserved_bytes") if found["error"] is None else None,
                result.reason if not result.is_done else None,
                found["error"],
            )


def plain(found: Sequence[Pair]) -> str:
    """A line for each, and how many agree."""
    lines = [f"{'strategy':22} {'here':>9} {'there':>9} {'difference':>11}"]
    lines += [_line(pair) for pair in found]
    return "\n".join([*lines, "", _sum(found)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench agreement", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, help="report.json of a comparison along strategies, or its folder")
    parser.add_argument("independent", type=Path, help="what bench/independent.py wrote")
    asked = parser.parse_args(arguments)
    try:
        comparison = report.read(asked.report)
        independent = json.loads(asked.independent.read_text(encoding="utf-8"))
    except PixArtError as error:
        raise SystemExit(error.message) from None
    except (OSError, ValueError) as error:
        raise SystemExit(f"{asked.independent} cannot be read: {error}") from None
    found = list(pairs(comparison, independent))
    print(plain(found))
    if any(pair.agrees is False for pair in found):
        raise SystemExit(1)


def _reserved(result: Result) -> int | None:
    memory = result.memory
    return memory.bytes if memory is not None and memory.kind == "reserved" else None


def _kind(error: str) -> str:
    """The exception's name. Running out of memory has a sentence before it in a comparison."""
    return "OutOfMemoryError" if "out of memory" in error.lower() else error.partition(":")[0]


def _line(pair: Pair) -> str:
    said = "" if pair.agrees is not False else "  TOO FAR" if pair.difference is not None else "  NOT THE SAME"
    if pair.difference is not None:
        shown = f"{pair.difference:>+11.2%}"
    else:
        error = pair.here_error if pair.here_error is not None else pair.there_error
        shown = f"{DASH:>11}" + (f"  {error}" if error is not None else "")
    return f"{pair.strategy:22} {_gib(pair.here_bytes)} {_gib(pair.there_bytes)} {shown}{said}"


def _gib(count: int | None) -> str:
    return f"{count / GIB:>9.3f}" if count is not None else f"{DASH:>9}"


def _sum(found: Sequence[Pair]) -> str:
    measured = [abs(pair.difference) for pair in found if pair.difference is not None]
    within = sum(value <= GOAL for value in measured)
    worst = f", {max(measured):.2%} at most" if measured else ""
    raised = [pair for pair in found if pair.difference is None and pair.agrees is not None]
    same = sum(pair.agrees is True for pair in raised)
    alike = f"{same} of {len(raised)} without a figure raise the same"
    return f"{within} of {len(measured)} within {GOAL:.0%}{worst}; {alike}."


if __name__ == "__main__":
    main()
