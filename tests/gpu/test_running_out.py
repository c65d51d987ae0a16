"""On a real GPU, at full size with random weights: memory that runs out in a phase, and what is left afterwards.

python -m pytest -m gpu -s tests/gpu/test_running_out.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.byte_size import MIB
from pixart_ui.engine import engine as engine_module
from pixart_ui.engine.engine import EngineFiles
from pixart_ui.events import ImageFailed, ImageReady, Phase, SteppedDown
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, run
from tests.gpu.test_full_size import STEPS, open_engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.timeout(600),
]
SIZE = {"steps": STEPS, "width": 1024, "height": 1024}
SAME_BYTES = 16 * MIB


def fill(monkeypatch: pytest.MonkeyPatch, phase: Phase, times: int) -> None:
    """So many attempts at the phase take all that the allocator gives, until it really has no more."""
    real = getattr(engine_module, phase)
    attempts = iter(range(times))

    def full(*args: Any, **kwargs: Any) -> Any:
        if next(attempts, None) is None:
            return real(*args, **kwargs)
        taken = []
        while True:
            taken.append(torch.empty(64 * MIB, dtype=torch.uint8, device="cuda"))

    monkeypatch.setattr(engine_module, phase, full)


@pytest.fixture
def own(files: EngineFiles, tmp_path: Path) -> EngineFiles:
    """The converted weights of all tests, and a table of its own: what ran out is learned to take more."""
    return replace(files, calibration_path=tmp_path / "calibration.json")


@pytest.fixture
def warm(files: EngineFiles, folder: Path) -> tuple[int, list[Any]]:
    """What is reserved once an engine has come and gone, and the latents that it made."""
    with open_engine(files, "3GiB") as engine:
        latents = latents_of(run(engine, make_requests(folder, **SIZE)))
    return torch.cuda.memory_reserved(), latents


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("phase", Phase)
def test_after_memory_ran_out_it_goes_on_and_leaves_nothing_behind(
    own: EngineFiles,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    warm: tuple[int, list[Any]],
    phase: Phase,
    times: int,
) -> None:
    baseline, expected = warm
    with open_engine(own, "3GiB") as engine:
        with monkeypatch.context() as patched:
            fill(patched, phase, times)
            events = run(engine, make_requests(folder, **SIZE))
        reserved, kept = torch.cuda.memory_reserved(), engine.info()["weight_bytes"]
    after = torch.cuda.memory_reserved()
    steps = [event for event in events if isinstance(event, SteppedDown)]
    print(f"ROW {phase} ran out {times} ×: {[step.reason for step in steps]}, {(after - baseline) / MIB:+.0f} MiB left")
    assert [step.phase for step in steps] == [phase] * times
    assert len(images_of(events)) == 1
    np.testing.assert_array_equal(latents_of(events), expected)
    assert reserved - kept - baseline <= SAME_BYTES
    assert abs(after - baseline) <= SAME_BYTES


def test_no_step_left_leaves_nothing_behind_either(
    own: EngineFiles, folder: Path, monkeypatch: pytest.MonkeyPatch, warm: tuple[int, list[Any]]
) -> None:
    baseline, expected = warm
    with open_engine(own, "3GiB") as engine:
        with monkeypatch.context() as patched:
            fill(patched, Phase.DECODE, 100)
            events = run(engine, make_requests(folder, **SIZE))
        (failed,) = [event for event in events if isinstance(event, ImageFailed)]
        assert "ran out of memory in the phase decode" in failed.message
        assert not [event for event in events if isinstance(event, ImageReady)]
        reserved, kept = torch.cuda.memory_reserved(), engine.info()["weight_bytes"]
        again = run(engine, make_requests(folder, **SIZE))
    assert reserved - kept - baseline <= SAME_BYTES
    np.testing.assert_array_equal(latents_of(again), expected)
    assert abs(torch.cuda.memory_reserved() - baseline) <= SAME_BYTES


def test_a_prediction_that_was_too_small_is_lifted_once_told_and_learned(
    own: EngineFiles, folder: Path, tmp_path: Path
) -> None:
    """A table that says a step takes a tenth of what it takes: the cap is too low, the budget is not."""
    requests = make_requests(folder, **SIZE)
    with open_engine(own, "24GiB") as engine:
        expected = latents_of(run(engine, requests))
    table = json.loads((tmp_path / "calibration.json").read_text())
    for device in table["devices"].values():
        for kind, points in device["points"].items():
            for point in points:
                if kind.startswith("denoise"):
                    point["activation_bytes"] //= 10
    (tmp_path / "calibration.json").write_text(json.dumps(table))
    with open_engine(own, "24GiB") as engine:
        first = run(engine, requests)
        second = run(engine, make_requests(folder, seed=8, **SIZE))
    (step,) = [event for event in first if isinstance(event, SteppedDown)]
    print(f"ROW cap lifted: {step.reason}")
    assert step.reason == "denoise took more memory than was predicted: it began again with all of the budget."
    assert facts_of(first)[0]["notes"] == [step.reason]
    np.testing.assert_array_equal(latents_of(first), expected)
    assert facts_of(second)[0]["notes"] == []
