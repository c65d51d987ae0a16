"""On a real GPU, at full size with random weights: pictures that are decoded beside the next one's first steps.

python -m pytest -m gpu -s tests/gpu/test_beside.py
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pixart_ui.byte_size import MIB
from pixart_ui.engine import planner
from pixart_ui.engine.engine import EngineFiles
from pixart_ui.events import ImageReady, Phase, Planned
from pixart_ui.request import Numerics
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, never, run
from tests.gpu.test_full_size import open_engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize(("budget", "numerics"), [("5GiB", Numerics.FAST), ("24GiB", Numerics.EXACT)])
def test_pictures_are_the_same_and_peaks_as_predicted(
    files: EngineFiles, folder: Path, monkeypatch: pytest.MonkeyPatch, budget: str, numerics: Numerics
) -> None:
    asked = {"steps": 20, "width": 1024, "height": 1024, "numerics": numerics}
    with open_engine(files, budget) as engine:
        run(engine, make_requests(folder, **asked))  # the first group is an estimate
        requests = make_requests(folder, num_images=5, **asked)
        with monkeypatch.context() as patch:
            patch.setattr(planner, "_peak_beside", lambda *_: None)
            run(engine, requests)
            started = time.perf_counter()
            apart = run(engine, requests)
            seconds_apart = time.perf_counter() - started
        run(engine, requests)
        started = time.perf_counter()
        beside = list(engine.run(requests, never))
        seconds_beside = time.perf_counter() - started
    plan = next(event.plan for event in beside if isinstance(event, Planned))
    assert plan.phase(Phase.DECODE).is_beside
    for one, other in zip(latents_of(apart), latents_of(beside), strict=True):
        np.testing.assert_array_equal(one, other)
    for before, after in zip(images_of(apart), images_of(beside), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    assert [event.index for event in beside if isinstance(event, ImageReady)] == [0, 1, 2, 3, 4]
    peak = max(entry["peak_reserved_bytes"] for facts in facts_of(beside) for entry in facts["measurements"].values())
    assert not any(facts["notes"] for facts in facts_of(beside))
    phases = [
        {name: round(entry["seconds"], 3) for name, entry in facts["measurements"].items()}
        for facts in facts_of(beside)
    ]
    print(
        f"ROW {budget} {numerics}: five pictures {seconds_beside:.2f} s beside, {seconds_apart:.2f} s one after the "
        f"other; predicted {plan.predicted_peak_bytes / MIB:.0f} MiB, reserved {peak / MIB:.0f}; {phases[1]}"
    )
    assert peak <= plan.budget_bytes
