"""What a strategy reports: each phase once for every time that it came, and none of it in the row by accident."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from PIL import Image

from bench.job import CellJob
from bench.recorder import Recorder
from pixart_ui.compare.sampling import Sampling


def test_phases_add_up_and_their_spans_follow_each_other(tmp_path: Path) -> None:
    recorder = Recorder(CellJob("staged", tmp_path, tmp_path, "cpu", num_images=1))
    for _ in range(2):
        with recorder.phase("load"):
            time.sleep(0.01)
    recorder.save(Image.new("RGB", (8, 8)))
    result = recorder.result()
    assert [span.name for span in result.spans] == ["load", "load", "decode", "write"]
    loads = [span.ended - span.started for span in result.spans if span.name == "load"]
    assert result.phases["load"] == pytest.approx(sum(loads))
    assert "spans" not in json.loads(json.dumps(result.as_json()))


def test_a_phase_that_somebody_else_timed_is_a_band_of_the_samples() -> None:
    before = time.perf_counter()
    with Sampling(lambda: 1, "rss") as sampling:
        started = time.perf_counter()
        time.sleep(0.02)
        ended = time.perf_counter()
    sampling.band("load", started, ended)
    sampling.band("early", before - 1, before)
    load, early = sampling.timeline().bands
    assert load.end_seconds - load.start_seconds == pytest.approx(ended - started)
    assert 0 <= load.start_seconds < load.end_seconds <= sampling.timeline().at_seconds[-1]
    assert (early.start_seconds, early.end_seconds) == (0.0, 0.0)
