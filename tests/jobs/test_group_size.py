"""How many jobs share a load: plain arithmetic, and what the real planner makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixart_ui.byte_size import GIB
from pixart_ui.jobs.group_size import PredictedSizes, choose_size, fair_share
from pixart_ui.services import catalog
from pixart_ui.settings import MOST_IN_A_GROUP
from tests.jobs.parts import request

LARGE = {"width": 1024, "height": 1024, "bin_width": 1024, "bin_height": 1024, "steps": 20, "checkpoint": "sigma-1024"}


@pytest.mark.parametrize(
    ("load", "each", "picture", "expected"),
    [
        (10.0, 0.0, 1.0, MOST_IN_A_GROUP),
        (10.0, 0.5, 4.0, 9),
        (0.0, 1.0, 5.0, 6),
        (100.0, 10.0, 1.0, 1),
        (0.0, 0.0, 0.0, MOST_IN_A_GROUP),
    ],
    ids=["a load is all", "a load and a little each", "no load", "texts take longer than pictures", "no time at all"],
)
def test_a_group_takes_no_more_than_a_picture_longer_to_encode(
    load: float, each: float, picture: float, expected: int
) -> None:
    assert choose_size(lambda jobs: load + each * jobs, picture) == expected


def test_passes_of_several_texts_are_counted_whole() -> None:
    """Eight texts a pass, a second each: a picture's time is worth two more passes."""
    assert choose_size(lambda jobs: float(-(-jobs // 8)), picture_seconds=2.5) == 24


@pytest.mark.parametrize(("open_jobs", "workers", "share"), [(32, 1, 32), (32, 3, 11), (1, 4, 1), (0, 1, 1), (5, 0, 5)])
def test_workers_share_what_is_open(open_jobs: int, workers: int, share: int) -> None:
    assert fair_share(open_jobs, workers) == share


def sizes(tmp_path: Path, **info: Any) -> PredictedSizes:
    return PredictedSizes(catalog(), tmp_path / "calibration.json", lambda: {"name": "A device", **info})


@pytest.mark.parametrize("gibibytes", [4, 24, 80])
@pytest.mark.parametrize("numerics", ["fast", "exact"])
def test_on_a_card_the_load_is_worth_a_whole_group(tmp_path: Path, gibibytes: int, numerics: str) -> None:
    found = sizes(tmp_path, device="cuda:0", memory_free_bytes=gibibytes * GIB)
    assert found.of(request(**LARGE, numerics=numerics)) == MOST_IN_A_GROUP


def test_quick_pictures_on_a_processor_are_not_kept_waiting_for_many_texts(tmp_path: Path) -> None:
    found = sizes(tmp_path, device="cpu", memory_free_bytes=64 * GIB)
    quick = request(**LARGE | {"steps": 1, "width": 256, "height": 256, "bin_width": 256, "bin_height": 256})
    assert 1 <= found.of(quick) < found.of(request(**LARGE))


def test_what_cannot_be_predicted_is_taken_alone(tmp_path: Path) -> None:
    found = sizes(tmp_path, device="cuda:0", memory_free_bytes=1)
    assert found.of(request(**LARGE)) == 1
    assert found.of(request(checkpoint="no-such-checkpoint")) == 1
