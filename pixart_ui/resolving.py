"""Resolving many requests at once: what they share, the default checkpoint and where its files are, is looked up once.

A `Resolver` is made for one task and then dropped: what is on the disk may have changed by the next one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pixart_ui.access.limits import Limits
from pixart_ui.catalog import Catalog, Checkpoint
from pixart_ui.hub import Hub
from pixart_ui.presets import Styles
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve

# Random seeds stay below 2^32: short enough to read aloud, and exact in a browser's numbers.
RANDOM_SEED_BITS = 32


class Resolver:
    """Knows the checkpoints that it met. `default` says which one a request without a name means.

    `limits` are those of whoever asks, None for the owner.
    """

    def __init__(
        self,
        catalog: Catalog,
        hub: Hub,
        styles: Styles,
        default: Callable[[], Checkpoint],
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits
        self._catalog = catalog
        self._hub = hub
        self._styles = styles
        self._default = default
        self._met: dict[str | None, Checkpoint] = {}

    def resolve(self, request: GenerationRequest) -> tuple[ResolvedRequest, ...]:
        """One resolved request for each picture. Raises InputError, or CheckpointError if the weights are not here."""
        if self._limits is not None:
            self._limits.check_asked(request, [entry.name for entry in self._catalog])
        checkpoint = self.checkpoint(request.checkpoint)
        style = self._styles.get(request.style, checkpoint.name)
        resolved = resolve(request, checkpoint, style, random_seed=secrets.randbits(RANDOM_SEED_BITS))
        if self._limits is not None:
            self._limits.check(resolved[0])
        return resolved

    def checkpoint(self, name: str | None) -> Checkpoint:
        """The checkpoint that a name, or none, means; it is on this disk. Raises as `resolve`."""
        if name not in self._met:
            checkpoint = self._default() if name is None else self._catalog.get(name)
            self._hub.locate(checkpoint)
            self._met[name] = checkpoint
        return self._met[name]
