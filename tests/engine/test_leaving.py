"""Weights leave the device when their component does: not at some later collection of Python's."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pixart_ui.engine.components import Components
from pixart_ui.engine.device import open_device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.events import Phase, PhasePlan, Residency
from pixart_ui.request import Precision
from tests.engine.conftest import make_requests


@pytest.fixture
def without_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("residency", [Residency.STAGED, Residency.STREAMED])
@torch.no_grad()
def test_t5_leaves_at_once_in_every_precision(
    toys: dict[str, Path], weights_dir: Path, without_collections: None, precision: Precision, residency: Residency
) -> None:
    components = Components(open_device("cpu"), WeightStore(weights_dir))
    (request,) = make_requests(toys["sigma"], precision=precision)
    source = WeightSource.of("text_encoder", toys["sigma"] / "text_encoder", request, "toy")
    components.prepare(source, lambda *_: None)
    with components.on_device(source, PhasePlan(Phase.ENCODE, residency, "", slots=2)) as loaded:
        module = loaded.module
        loaded.run([lambda: module(torch.zeros(1, 4, dtype=torch.int64), attention_mask=torch.ones(1, 4))[0]])
        weights = [weakref.ref(weight) for weight in module.parameters() if not weight.is_meta]
        assert len(weights) > 10
    assert [weight for weight in weights if weight() is not None] == []
    components.close()
