"""A comparison's folder while its runs write into it: results one by one, by one process at a time.

Two workers may run cells of one comparison. What must stay true: whoever adds a result reads what is there and
replaces it under one lock, so that none is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from filelock import FileLock

from pixart_ui.compare.comparison import Comparison, Result
from pixart_ui.compare.kept import Kept

LOCK_FILE = ".lock"


class Update(Protocol):
    def __call__(self, *results: Result, **changes: Any) -> Comparison:
        """Put results in the place of those of the same runs, and change other fields; returns what is kept then."""


@contextmanager
def updating(kept: Kept, comparison_id: str) -> Iterator[Update]:
    """Have the comparison to oneself for the length of the block. Raises InputError where it is gone."""
    with FileLock(kept.path(comparison_id) / LOCK_FILE, thread_local=False):

        def update(*results: Result, **changes: Any) -> Comparison:
            comparison = kept.open(comparison_id)
            known = comparison.by_key | {result.key: result for result in results}
            ordered = tuple(known[cell.key] for cell in comparison.sweep.cells() if cell.key in known)
            comparison = comparison.model_copy(update={**changes, "results": ordered})
            kept.save(comparison_id, comparison)
            return comparison

        yield update
