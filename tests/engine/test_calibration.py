"""What was measured, and what it says about sizes that were not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pixart_ui.engine.calibration import (
    MAX_DEVICES,
    MAX_KINDS,
    MAX_POINTS,
    SAFETY,
    Calibration,
    Point,
    Rates,
    Table,
    device_key,
)

KIND = "denoise/1152x28/fp16/fast/batch2"
OTHER_KIND = "denoise/1152x28/fp16/fast/batch1"


def linear(x: int) -> float:
    return 2.0 * x


def quadratic(x: int) -> float:
    return float(x * x)


def knowing(*points: Point) -> Calibration:
    return Calibration({KIND: points})


def test_without_points_the_formula_counts_and_bytes_get_some_safety() -> None:
    found = Calibration().predict_bytes(KIND, 100, linear)
    assert (found.value, found.is_measured) == (pytest.approx(200 * SAFETY), False)
    found = Calibration().predict_seconds(KIND, 100, linear)
    assert (found.value, found.is_measured) == (200.0, False)


def test_a_measured_size_is_predicted_as_it_was() -> None:
    known = knowing(Point(100, 777, 0.5), Point(200, 1000, 0.7))
    assert known.predict_bytes(KIND, 100, linear).value == 777
    assert known.predict_seconds(KIND, 200, linear).value == 0.7
    assert known.predict_seconds(KIND, 200, linear).is_measured


def test_one_point_scales_the_formula() -> None:
    known = knowing(Point(100, 300, 0.5))
    assert known.predict_bytes(KIND, 400, linear).value == pytest.approx(800 * 300 / 200)
    assert known.predict_seconds(KIND, 400, quadratic).value == pytest.approx(160_000 * 0.5 / 10_000)


@pytest.mark.parametrize(
    ("x", "expected"), [(150, 1500), (300, 3000), (50, 500), (350, 4375), (400, 6000), (1000, 15000)]
)
def test_bytes_follow_the_formula_between_points_and_beyond_them(x: int, expected: int) -> None:
    """Measured / formula is 5, 5 and 7.5: between two points it is in between, outside it is the nearest one's."""
    known = knowing(Point(300, 3000), Point(100, 1000), Point(400, 6000))
    assert known.predict_bytes(KIND, x, lambda x: 2.0 * x).value == pytest.approx(expected)


def test_seconds_keep_the_growth_of_the_formula() -> None:
    """Twice as slow as the formula at 100, three times at 200."""
    known = knowing(Point(100, None, 20_000.0), Point(200, None, 120_000.0))
    assert known.predict_seconds(KIND, 150, quadratic).value == pytest.approx(2.5 * 150**2)
    assert known.predict_seconds(KIND, 1000, quadratic).value == pytest.approx(3 * 1000**2)
    assert known.predict_seconds(KIND, 10, quadratic).value == pytest.approx(2 * 10**2)


def test_one_kind_tells_the_pace_of_its_architecture_only() -> None:
    known = Calibration().learn(KIND, 100, activation_bytes=None, seconds=100.0, formula=linear)
    found = known.predict_seconds(OTHER_KIND, 50, linear)
    assert (found.value, found.is_measured) == (50.0, False)
    assert known.predict_seconds("denoise/256x8/fp16/fast/batch2", 50, linear).value == 100.0
    assert known.predict_bytes(KIND, 100, linear).is_measured is False


def test_learning_makes_a_new_value() -> None:
    before = Calibration()
    after = before.learn(KIND, 100, activation_bytes=500, seconds=0.5, formula=linear)
    assert before == Calibration()
    assert after.points == {KIND: (Point(100, 500, 0.5),)}


def test_larger_bytes_count_at_once_and_smaller_ones_by_and_by() -> None:
    known = knowing(Point(100, 1000, 1.0))
    assert known.learn(KIND, 100, activation_bytes=1400, seconds=None, formula=linear).points[KIND] == (
        Point(100, 1400, 1.0),
    )
    assert known.learn(KIND, 100, activation_bytes=600, seconds=2.0, formula=linear).points[KIND] == (
        Point(100, 900, 1.25),
    )


def after(*seconds: float) -> float:
    """What is predicted after pictures that took so long."""
    known = Calibration()
    for measured in seconds:
        known = known.learn(KIND, 100, activation_bytes=None, seconds=measured, formula=linear)
    return known.predict_seconds(KIND, 100, linear).value


def test_a_first_picture_with_cold_kernels_is_not_taken_for_the_usual_one() -> None:
    assert after(7.6) == 7.6  # nothing else is known yet
    assert after(7.6, 1.8) == 1.8
    assert after(7.6, 1.8, 1.9) == pytest.approx(1.825)


def test_the_first_picture_of_another_process_hardly_moves_what_is_known() -> None:
    assert after(1.8, 1.8, 3.0) == pytest.approx(2.1)
    assert after(1.8, 1.8, 3.0, 1.8) == 1.8


def test_a_machine_that_stays_slower_is_believed_by_and_by() -> None:
    assert after(1.0, *[2.0] * 8) == pytest.approx(2.0, rel=0.06)


def test_rates_are_learned_alike() -> None:
    known = Calibration().learn_rates(link=100.0)
    assert known.rates == Rates(link=100.0)
    assert known.learn_rates(link=200.0, disk=5.0).rates == Rates(link=200.0, disk=5.0)
    assert known.learn_rates(link=60.0, host=7.0).rates == Rates(link=90.0, host=7.0)


def test_it_stays_small() -> None:
    known = Calibration()
    for x in range(1, MAX_POINTS + 6):
        known = known.learn(KIND, x, activation_bytes=x, seconds=None, formula=linear)
    assert [point.x for point in known.points[KIND]] == list(range(6, MAX_POINTS + 6))
    for number in range(MAX_KINDS):
        known = known.learn(f"decode/{number}", 1, activation_bytes=1, seconds=1.0, formula=linear)
    assert len(known.points) == len(known.pace) == MAX_KINDS
    assert KIND not in known.points
    table = Table()
    for number in range(MAX_DEVICES + 3):
        table = table.having(f"device {number}", known)
    assert list(table.devices) == [f"device {number}" for number in range(3, MAX_DEVICES + 3)]


def test_what_was_used_last_is_forgotten_last() -> None:
    known = Calibration()
    for x in (*range(1, MAX_POINTS + 1), 1, MAX_POINTS + 1):
        known = known.learn(KIND, x, activation_bytes=x, seconds=None, formula=linear)
    assert {point.x for point in known.points[KIND]} == set(range(1, MAX_POINTS + 2)) - {2}


def full_table() -> Table:
    known = Calibration().learn(KIND, 100, activation_bytes=500, seconds=0.5, formula=linear)
    known = known.learn(OTHER_KIND, 100, activation_bytes=None, seconds=0.25, formula=linear)
    return Table().having(device_key("NVIDIA H200", 150_000_000_000, "2.11"), known.learn_rates(link=5e10))


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calibration.json"
    full_table().save(path)
    assert Table.load(path) == full_table()
    assert [entry.name for entry in path.parent.iterdir()] == ["calibration.json"]


def test_another_torch_is_another_device(tmp_path: Path) -> None:
    table = full_table()
    assert table.of(device_key("NVIDIA H200", 150_000_000_000, "2.11")).points
    assert table.of(device_key("NVIDIA H200", 150_000_000_000, "2.12")) == Calibration()


def test_no_file_is_no_reason_to_complain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Table.load(tmp_path / "absent.json") == Table()
    assert caplog.records == []


GOOD = {"version": 1, "devices": {"a": {"rates": {"link": 1.0}, "pace": {}, "points": {}}}}


def damaged(**changes: object) -> str:
    return json.dumps({"version": 1, "devices": {"a": GOOD["devices"]["a"] | changes}})  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"version": 2, "devices": {}}',
        '{"version": 1}',
        '{"version": 1, "devices": []}',
        damaged(rates={"link": -1}),
        damaged(rates={"other": 1}),
        damaged(rates={"link": "quick"}),
        damaged(pace={"a": None}),
        damaged(points={"a": [{"x": 1}]}),
        damaged(points={"a": [{"x": float("nan"), "activation_bytes": 1, "seconds": 1}]}),
        damaged(points={"a": [{"x": 1, "activation_bytes": 1e400, "seconds": 1}]}),
        damaged(points={"a": 3}),
    ],
)
def test_a_damaged_file_counts_as_empty(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(GOOD))
    assert Table.load(path).of("a").rates.link == 1.0
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert Table.load(path) == Table()
    assert "measuring begins anew" in caplog.text


def test_bytes_that_are_no_text_count_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert Table.load(path) == Table()
