"""On a real GPU, at full size with random weights: texts of the next group encoded beside the last picture's steps.

python -m pytest -m gpu -s tests/gpu/test_ahead.py
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pixart_ui.byte_size import MIB
from pixart_ui.engine.coming import Coming
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import EncodedAhead, Event, Phase, SteppedDown
from pixart_ui.request import Numerics, ResolvedRequest
from tests.engine.conftest import facts_of, forget_texts, images_of, latents_of, make_requests, run
from tests.gpu.test_full_size import open_engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.timeout(600),
]
PROMPTS = (
    "a lighthouse above a stormy sea, heavy clouds, a warm light in its window",
    "a red fox asleep in a library, leather armchair, dust in the sunbeams",
    "a small cactus with a happy face in the desert, soft morning light",
    "a harbour at dawn with fishing boats and gulls, in soft colours",
    "an old watchmaker at his bench, a lamp beside him, brass wheels on green cloth",
)


@pytest.mark.parametrize(
    ("budget", "numerics"), [("4GiB", Numerics.FAST), ("8GiB", Numerics.FAST), ("8GiB", Numerics.EXACT)]
)
def test_jobs_one_after_the_other_are_the_same_and_sooner_done(
    files: EngineFiles, folder: Path, budget: str, numerics: Numerics
) -> None:
    asked = {"steps": 20, "width": 1024, "height": 1024, "numerics": numerics}
    jobs = [make_requests(folder, prompt=prompt, seed=seed, **asked) for seed, prompt in enumerate(PROMPTS)]
    with open_engine(files, budget) as engine:
        for _ in range(2):  # the first are estimates, and meet cold kernels
            forget_texts(engine)
            one_after_the_other(engine, jobs[:2], is_foreseen=False)
        forget_texts(engine)
        apart, seconds_apart = one_after_the_other(engine, jobs, is_foreseen=False)
        forget_texts(engine)
        one_after_the_other(engine, jobs[:2], is_foreseen=True)
        forget_texts(engine)
        beside, seconds_beside = one_after_the_other(engine, jobs, is_foreseen=True)
        assert "text_encoder" not in engine.info()["on_device"]
    for one, other in zip(latents_of(apart), latents_of(beside), strict=True):
        np.testing.assert_array_equal(one, other)
    for before, after in zip(images_of(apart), images_of(beside), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    ahead = [event for event in beside if isinstance(event, EncodedAhead)]
    rows = []
    for facts in facts_of(beside):
        plan = next(entry for entry in facts["plan"]["phases"] if entry["phase"] == Phase.DENOISE)
        peak = facts["measurements"]["denoise"]["peak_reserved_bytes"]
        rows.append((plan["predicted_peak_bytes"] / MIB, peak / MIB, facts["measurements"]["denoise"]["seconds"]))
    print(
        f"ROW {budget} {numerics}: five jobs {seconds_beside:.2f} s with texts encoded ahead ({len(ahead)} of 4), "
        f"{seconds_apart:.2f} s without; denoise predicted, reserved MiB, seconds: "
        + "; ".join(f"{predicted:.0f} {peak:.0f} {seconds:.3f}" for predicted, peak, seconds in rows)
        + "; without "
        + " ".join(f"{facts['measurements']['denoise']['seconds']:.3f}" for facts in facts_of(apart))
    )
    assert not [event for event in beside if isinstance(event, SteppedDown)]
    assert len(ahead) == len(jobs) - 1
    assert all(peak <= predicted * 1.05 for predicted, peak, _ in rows)


def one_after_the_other(
    engine: Engine, jobs: Sequence[tuple[ResolvedRequest, ...]], *, is_foreseen: bool
) -> tuple[list[Event], float]:
    """All events, and the seconds in all; each job has come when the one before is being drawn."""
    events: list[Event] = []
    started = time.perf_counter()
    for job, following in zip(jobs, [*jobs[1:], ()], strict=True):
        coming = Coming(following) if following and is_foreseen else None
        engine.foresee(lambda coming=coming: coming)  # type: ignore[misc]
        events += run(engine, job)
    return events, time.perf_counter() - started
