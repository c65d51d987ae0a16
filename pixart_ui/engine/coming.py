"""What an engine is told of the group that comes after the one at hand. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixart_ui.request import ResolvedRequest


@dataclass(frozen=True)
class Coming:
    """What will probably be the next group, as `Engine.run` takes it; it shares what the group at hand shares."""

    requests: Sequence[ResolvedRequest]
    scopes: Sequence[str] = ()


# Asked between steps; None while nothing is known to come.
Foresee = Callable[[], Coming | None]
