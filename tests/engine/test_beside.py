"""A picture is decoded beside the next one's first steps, and nobody who reads the events can tell."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.byte_size import GIB
from pixart_ui.catalog import Component, from_folder
from pixart_ui.engine.beside import Fetched, HeadStart, SideStream
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.engine.group import Group
from pixart_ui.engine.planner import choose_plan, step_down
from pixart_ui.errors import JournalError
from pixart_ui.events import Event, ImageFailed, ImageReady, Phase, PhaseStarted, Plan, StepDone
from pixart_ui.hub import Hub
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, never, run
from tests.engine.test_planner import DECODE_BYTES, DENOISE_BYTES, RESIDENT, small_demand, small_limits

QUESTIONS = 2
WEIGHTS = 1010 + 820 + 50
EVERYTHING = frozenset[Component]({"text_encoder", "transformer", "vae"})


class Slow(SideStream):
    """Pictures that are there when they were asked for a few times, as on a device that is still at it."""

    def fetch(self, pixels: torch.Tensor) -> Fetched:
        return Late(pixels, None)


class Late(Fetched):
    num_asked = 0

    def is_there(self) -> bool:
        self.num_asked += 1
        return self.num_asked > QUESTIONS


class Beside(Engine):
    """On a processor, which has no reason to: every picture beside the next."""

    def _spread_out(self, group: Group) -> None:
        entries = tuple(
            replace(entry, is_beside=entry.phase is Phase.DECODE, residency=RESIDENT) for entry in group.plan.phases
        )
        group.plan = replace(group.plan, phases=entries)
        self._side = Slow(torch.device("cpu"))


def open_engine(kind: type[Engine], hub: Hub, weights_dir: Path) -> Engine:
    return kind.open("cpu", lambda name: hub.locate(from_folder(Path(name))), hub.hashes, EngineFiles(weights_dir))


@pytest.fixture
def beside(hub: Hub, weights_dir: Path) -> Iterator[Engine]:
    engine = open_engine(Beside, hub, weights_dir)
    yield engine
    engine.close()


def kinds(events: list[Event]) -> list[tuple[str, Any]]:
    return [(type(event).__name__, getattr(event, "index", None)) for event in events]


class Asking:
    """`is_cancelled` that notes which pictures it was asked about, and answers as told."""

    def __init__(self, answer: Callable[[int], bool] = never) -> None:
        self.asked: list[int] = []
        self._answer = answer

    def __call__(self, index: int) -> bool:
        self.asked.append(index)
        return self._answer(index)


def test_the_events_and_the_pictures_are_those_of_one_after_the_other(
    engine: Engine, beside: Engine, toys: dict[str, Path]
) -> None:
    requests = make_requests(toys["sigma"], num_images=3)
    engine.prepare(requests)
    before, after = run(engine, requests), run(beside, requests)
    assert kinds(after) == kinds(before)
    for one, other in zip(images_of(before), images_of(after), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    for one, other in zip(latents_of(before), latents_of(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_next_picture_takes_its_first_steps_meanwhile(beside: Engine, toys: dict[str, Path]) -> None:
    asking, asked_at_first_picture = Asking(), []
    for event in beside.run(make_requests(toys["sigma"], num_images=2), asking):
        if isinstance(event, ImageReady) and event.index == 0:
            asked_at_first_picture = list(asking.asked)
    assert 1 in asked_at_first_picture, "whether it is cancelled is asked where it begins"


def test_a_picture_unlike_the_next_one_is_decoded_alone(beside: Engine, toys: dict[str, Path]) -> None:
    square, wide = (make_requests(toys["sigma"], width=width, height=128) for width in (128, 256))
    asking, asked_at_first_picture = Asking(), []
    for event in beside.run(square + wide, asking):
        if isinstance(event, ImageReady) and event.index == 0:
            asked_at_first_picture = list(asking.asked)
    assert 0 in asked_at_first_picture
    assert 1 not in asked_at_first_picture


def test_a_picture_that_makes_way_leaves_the_weights_there(beside: Engine, toys: dict[str, Path]) -> None:
    gone = set[int]()
    for event in beside.run(make_requests(toys["sigma"], num_images=2), gone.__contains__):
        if isinstance(event, ImageReady):
            gone.add(1)
    assert "transformer" in beside.info()["on_device"]


def test_steps_that_were_all_taken_meanwhile_took_no_time_of_their_own(
    beside: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.QUESTIONS", 99)
    facts = facts_of(run(beside, make_requests(toys["sigma"], num_images=3)))
    assert [entry["measurements"]["denoise"]["seconds"] > 0 for entry in facts] == [True, False, False]
    assert facts[1]["measurements"]["denoise"]["load_seconds"] == 0


def test_time_is_counted_once(beside: Engine, toys: dict[str, Path]) -> None:
    facts = facts_of(run(beside, make_requests(toys["sigma"], num_images=2, steps=QUESTIONS - 1)))
    measured = facts[1]["measurements"]["denoise"]["seconds"]
    decoding = facts[0]["measurements"]["decode"]["seconds"]
    assert measured < decoding, "all of its steps were taken while the other was decoded"


def test_a_picture_is_told_of_before_the_next_one_is_cancelled(beside: Engine, toys: dict[str, Path]) -> None:
    events = run(beside, make_requests(toys["sigma"], num_images=3), lambda index: index == 1)
    ends = [event for event in events if isinstance(event, (ImageReady, ImageFailed))]
    assert [(type(event), event.index) for event in ends] == [(ImageReady, 0), (ImageFailed, 1), (ImageReady, 2)]


def test_a_picture_is_told_of_before_the_journal_fails(beside: Engine, toys: dict[str, Path]) -> None:
    def answer(index: int) -> bool:
        if index == 1:
            raise JournalError("The journal cannot be read.")
        return False

    requests = make_requests(toys["sigma"], num_images=2)
    told: list[Event] = []
    with pytest.raises(JournalError):
        told.extend(beside.run(requests, answer))
    assert [event.index for event in told if isinstance(event, ImageReady)] == [0]
    assert len(images_of(run(beside, requests))) == 2, "the engine goes on"


def test_whoever_stops_reading_ends_the_next_picture_too(beside: Engine, toys: dict[str, Path]) -> None:
    requests = make_requests(toys["sigma"], num_images=2)
    events = beside.run(requests, never)
    for event in events:
        if isinstance(event, ImageReady):
            break
    assert isinstance(events, Generator)
    events.close()
    assert len(images_of(run(beside, requests))) == 2


def test_a_picture_whose_latents_are_there_is_not_waited_for(beside: Engine, toys: dict[str, Path]) -> None:
    requests = make_requests(toys["sigma"], num_images=2)
    kept = latents_of(run(beside, requests))
    asking = Asking()
    events = list(beside.run(requests, asking, {1: kept[1]}))
    assert [event.index for event in events if isinstance(event, ImageReady)] == [0, 1]
    assert not any(isinstance(event, StepDone) and event.index == 1 for event in events)


# A generator's head start


def numbers(error: Exception | None = None) -> Generator[Event, None, str]:
    yield PhaseStarted(Phase.DENOISE, 1)
    yield PhaseStarted(Phase.DENOISE, 2)
    if error is not None:
        raise error
    yield PhaseStarted(Phase.DENOISE, 3)
    return "done"


def drained(events: Generator[Event, None, str]) -> tuple[list[int | None], str]:
    seen = []
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return seen, end.value
        assert isinstance(event, PhaseStarted)
        seen.append(event.index)


@pytest.mark.parametrize("num_early", [0, 1, 3, 9])
def test_a_head_start_keeps_order_and_result(num_early: int) -> None:
    start, left = HeadStart(numbers()), iter(range(num_early))
    start.run_until(lambda: next(left, None) is None)
    assert drained(start.rest()) == ([1, 2, 3], "done")


def test_a_head_start_raises_after_what_came_before() -> None:
    start = HeadStart(numbers(ValueError("of the next one")))
    start.run_until(lambda: False)
    seen: list[Event] = []
    with pytest.raises(ValueError, match="of the next one"):
        seen.extend(start.rest())
    assert len(seen) == 2


# When it is planned


def beside_peak(plan: Plan) -> int | None:
    return plan.phase(Phase.DECODE).predicted_peak_bytes if plan.phase(Phase.DECODE).is_beside else None


def test_it_is_planned_where_both_fit_at_once_to_the_byte() -> None:
    demand, both = small_demand(num_images=2), WEIGHTS + DECODE_BYTES + DENOISE_BYTES
    plan = choose_plan(demand, small_limits(both, on_device=EVERYTHING))
    assert beside_peak(plan) == both == plan.phase(Phase.DENOISE).predicted_peak_bytes
    assert "beside the next picture" in plan.phase(Phase.DECODE).reason
    assert beside_peak(choose_plan(demand, small_limits(both - 1, on_device=EVERYTHING))) is None


def test_one_picture_has_no_next_one() -> None:
    assert beside_peak(choose_plan(small_demand(num_images=1), small_limits(9000))) is None


def test_a_processor_has_no_part_that_is_idle() -> None:
    assert beside_peak(choose_plan(small_demand(num_images=2), small_limits(9000, is_cpu=True))) is None


def test_an_estimate_leaves_no_memory_to_share() -> None:
    demand, limits = small_demand(num_images=2), small_limits(GIB)
    points = {name: entry for name, entry in limits.calibration.points.items() if "denoise" not in name}
    limits = replace(limits, calibration=replace(limits.calibration, points=points))
    assert beside_peak(choose_plan(demand, limits)) is None


@pytest.mark.parametrize("phase", [Phase.DENOISE, Phase.DECODE])
def test_where_memory_runs_out_it_waits_for_its_turn_first(phase: Phase) -> None:
    demand, limits = small_demand(num_images=2), small_limits(9000)
    plan = choose_plan(demand, limits)
    assert beside_peak(plan) is not None
    smaller = step_down(demand, limits, plan, phase)
    assert smaller is not None
    assert beside_peak(smaller) is None
    assert [entry.residency for entry in smaller.phases] == [entry.residency for entry in plan.phases]
    assert smaller.phase(phase).predicted_peak_bytes < plan.phase(phase).predicted_peak_bytes
    assert "one after the other since memory ran out" in smaller.phase(phase).reason
    again = step_down(demand, limits, smaller, phase)
    assert again is None or beside_peak(again) is None
