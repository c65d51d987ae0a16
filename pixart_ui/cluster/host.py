"""The engine's side of the seam: opens the device of a slot on its node, and runs what it is given. No Ray.

It knows no queue. What must stay true: one device, one worker, by the same lock as on one machine; and whatever ends a
run is told, so that nobody has to guess from a broken connection.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from pixart_ui.cluster.manifest import Manifest
from pixart_ui.cluster.wire import CPU, Description, Embeddings, Ended, HostConfig, Learned, Pulse, Wanted
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.errors import PixArtError
from pixart_ui.events import LatentArray, Phase, PhaseFinished
from pixart_ui.hub import Hub
from pixart_ui.jobs.lock import device_lock
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import catalog, make_folders
from pixart_ui.settings import Settings

log = logging.getLogger(__name__)


class Host:
    """`run`, `wanted` and `latents_keys` are called one after the other, the others at any time from other threads."""

    def __init__(self, config: HostConfig) -> None:
        """Raises PixArtError where the device is absent or another worker's."""
        slot = config.slot
        device = slot.place if slot.kind == CPU else slot.kind  # Ray shows its worker one GPU alone
        budget = None if config.vram_budget is None else f"{config.vram_budget}B"
        self._settings = Settings.read(os.environ, device=device, vram_budget=budget)
        make_folders(self._settings)
        known, hub = catalog(), Hub(self._settings.checkpoints_dir)
        settings = self._settings
        self._engine = Engine.open(
            device,
            locate=lambda name: hub.locate(known.get(name)),
            hashes=hub.hashes,
            files=EngineFiles(
                settings.weights_dir, settings.embeddings_dir, settings.calibration_path, settings.compile_dir
            ),
            budget_bytes=settings.vram_budget,
        )
        self._held = ExitStack()
        self._held.enter_context(device_lock(self._engine.device_id, settings.data_dir))
        self._slot = slot
        self._manifest = Manifest.of(known, hub)
        self._cancelled: frozenset[tuple[int, int]] = frozenset()
        self._cancelling = threading.Lock()
        self._info = self._engine.info()

    def describe(self) -> Description:
        device_id = self._engine.device_id
        if self._slot.kind == CPU:
            device_id = f"{device_id}@{self._slot.node[:8]}"
        return Description(device_id, self._manifest, self.pulse())

    def pulse(self) -> Pulse:
        """Quickly, whatever the engine does."""
        told = {
            "host": socket.gethostname(),
            "node": self._slot.node,
            "place": self._slot.place,
            "pid": os.getpid(),
            "checkpoints": sorted(self._manifest.checkpoints),
        }
        return Pulse(self._info | told, self._engine.weigh())

    def cancel(self, run: int, indices: Sequence[int]) -> None:
        with self._cancelling:
            self._cancelled |= {(run, index) for index in indices}

    def latents_keys(self, requests: Sequence[ResolvedRequest]) -> list[str]:
        return self._engine.latents_keys(requests)

    def wanted(self, requests: Sequence[ResolvedRequest], scopes: Sequence[str]) -> Wanted:
        """Which embeddings these need. Raises CheckpointError."""
        paths = self._engine.embedding_paths(requests, scopes)
        return Wanted(tuple(path.name for path in paths), frozenset(path.name for path in paths if not path.exists()))

    def run(
        self,
        run: int,
        requests: Sequence[ResolvedRequest],
        latents: Mapping[int, LatentArray],
        embeddings: Mapping[str, bytes],
        known: frozenset[str],
        scopes: Sequence[str] = (),
    ) -> Iterator[Any]:
        """The engine's events, and what `wire.py` adds to them; `known` are the embeddings that the driver has."""
        try:
            self._engine.adopt_embeddings(embeddings)

            def is_cancelled(index: int) -> bool:
                return (run, index) in self._cancelled

            for event in self._engine.run(requests, is_cancelled, latents, scopes):
                yield event
                if isinstance(event, PhaseFinished) and event.measurement.phase is Phase.ENCODE:
                    yield Embeddings(self._files(requests, scopes, known))
        except PixArtError as error:
            yield Ended(error.message, is_expected=True)
        except Exception as error:
            log.exception("a run failed unexpectedly")
            yield Ended(type(error).__name__, is_expected=False)
        finally:
            with self._cancelling:
                self._cancelled = frozenset(entry for entry in self._cancelled if entry[0] > run)
            self._info = self._engine.info()
        key = str(self._info.get("calibration_key"))
        yield Learned(key, Table.load(self._settings.calibration_path).of(key))

    def _files(
        self, requests: Sequence[ResolvedRequest], scopes: Sequence[str], known: frozenset[str]
    ) -> dict[str, bytes]:
        paths = [path for path in self._engine.embedding_paths(requests, scopes) if path.name not in known]
        return {path.name: path.read_bytes() for path in paths if path.exists()}
