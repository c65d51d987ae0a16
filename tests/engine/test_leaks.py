"""Many mixed runs in one engine: memory after the last is that after the first ones."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import pytest

from pixart_ui.events import StepDone
from pixart_ui.hub import Hub
from tests.engine.conftest import make_requests, open_engine, use_memory

RUNS, WARM_UP = 50, 15
MAX_GROWTH_BYTES = 50 * 2**20


@pytest.mark.long
def test_fifty_mixed_runs_do_not_grow(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precisions, sizes, checkpoints, residencies and cancels in turn; RSS after the last against after the warm-up."""
    engine, process = open_engine(hub, weights_dir), psutil.Process()
    resident = []
    for number in range(RUNS):
        toy = ("sigma", "alpha")[number % 2]
        precision = ("fp16", "int8", "nf4")[number % 3]
        size = (128, 256)[number // 2 % 2]
        use_memory(monkeypatch, (10**9, 111 * 2**20)[number // 3 % 2])
        requests = make_requests(toys[toy], prompt=f"{number}", precision=precision, width=size, height=size)
        cancelled: set[int] = set()
        for event in engine.run(requests, cancelled.__contains__):
            if isinstance(event, StepDone) and number % 5 == 4:
                cancelled.add(0)
        gc.collect()
        resident.append(process.memory_info().rss)
    engine.close()
    assert resident[-1] - resident[WARM_UP] < MAX_GROWTH_BYTES
