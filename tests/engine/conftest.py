"""Engines on the CPU with toy checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.catalog import Checkpoint, from_folder
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.engine.planner import smallest_budget
from pixart_ui.events import Event, ImageReady, LatentsReady
from pixart_ui.hub import Hub
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve
from tests.toy import make_toy_checkpoint

TOYS = {"sigma": ("sigma", 32), "alpha": ("alpha", 32), "alpha-conditions": ("alpha", 128)}
LARGER_TOYS = {"sigma-512": ("sigma", 64)}


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("toys")
    return {
        name: make_toy_checkpoint(root / name, family, sample_size=sample_size)
        for name, (family, sample_size) in (TOYS | LARGER_TOYS).items()
    }


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return Hub(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted once for all tests, as a person's data folder has them."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def engine(hub: Hub, weights_dir: Path) -> Iterator[Engine]:
    engine = open_engine(hub, weights_dir)
    yield engine
    engine.close()


def open_engine(hub: Hub, weights_dir: Path, **files: Path) -> Engine:
    """An engine on the CPU for checkpoints that are named by their folder."""
    return Engine.open(
        "cpu", lambda name: hub.locate(from_folder(Path(name))), hub.hashes, EngineFiles(weights_dir, **files)
    )


def use_memory(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    """Let the engine believe that so much is free, what it holds itself included."""
    monkeypatch.setattr("pixart_ui.engine.planning.Planning.budget_bytes", lambda self, kept_bytes: free_bytes)


def least_memory(engine: Engine, requests: tuple[ResolvedRequest, ...]) -> int:
    """The least bytes that any plan of these needs."""
    group = engine._opening.open(requests)
    return smallest_budget(group.demand(), engine._planning.limits(frozenset(), 0))


def forget_texts(engine: Engine) -> None:
    """Let every text be encoded anew."""
    engine._embeddings._entries.clear()


def facts_of(events: list[Event]) -> list[dict[str, Any]]:
    return [event.facts for event in events if isinstance(event, ImageReady)]


def make_requests(checkpoint: Path | Checkpoint, **values: Any) -> tuple[ResolvedRequest, ...]:
    """Resolved requests of a small, quick picture; `values` override."""
    found = from_folder(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    asked = {"prompt": "a red circle above a blue square", "steps": 3, "seed": 7, "width": 128, "height": 128}
    return resolve(GenerationRequest.parse(asked | values), found, None, random_seed=0)


def never(_: int) -> bool:
    return False


def run(engine: Engine, requests: tuple[ResolvedRequest, ...], cancelled: Callable[[int], bool] = never) -> list[Event]:
    return list(engine.run(requests, cancelled))


def latents_of(events: list[Event]) -> list[Any]:
    return [event.latents for event in events if isinstance(event, LatentsReady)]


def images_of(events: list[Event]) -> list[Any]:
    return [event.image for event in events if isinstance(event, ImageReady)]
