"""The texts of the next group pass through T5 beside the last picture's steps, and no picture can tell."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import greenlet
import numpy as np
import pytest

from pixart_ui.byte_size import GIB
from pixart_ui.engine import ahead as ahead_module
from pixart_ui.engine import engine as engine_module
from pixart_ui.engine.clock import Pace
from pixart_ui.engine.coming import Coming
from pixart_ui.engine.costs import UNIT_SECONDS, Limits
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.group import Group
from pixart_ui.engine.opening import Opening
from pixart_ui.engine.paged import Paged
from pixart_ui.engine.pager import Pager
from pixart_ui.engine.planner import choose_plan, look_ahead, may_look_ahead
from pixart_ui.engine.planning import Planning
from pixart_ui.errors import JournalError
from pixart_ui.events import (
    EncodedAhead,
    Event,
    ImageFailed,
    Phase,
    PhaseFinished,
    PhasePlan,
    Plan,
    Residency,
    StepDone,
    SteppedDown,
)
from pixart_ui.hub import Hub
from pixart_ui.request import Precision, ResolvedRequest
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, never, open_engine, run
from tests.engine.test_beside import Beside
from tests.engine.test_beside import open_engine as open_kind
from tests.engine.test_ladder import CUDA_ERROR
from tests.engine.test_planner import DENOISE_BYTES, ENCODE_BYTES, STREAMED, small_demand, small_limits

Requests = tuple[ResolvedRequest, ...]


# One step is enough for all of a small T5.
SLOTS, TOGETHER = 99, 2**40


def together_of(plan: Plan) -> Plan:
    """Another plan, as one with T5 beside the steps is."""
    changes = {"reason": "together", "predicted_peak_bytes": TOGETHER}
    phases = (replace(entry, **changes) if entry.phase is Phase.DENOISE else entry for entry in plan.phases)
    return replace(plan, phases=tuple(phases))


@pytest.fixture
def engine(hub: Hub, weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """On a processor, which has no idle link: it looks ahead all the same, and waits for what has not arrived."""

    def planned(self: Opening, group: Group, *_: Any) -> tuple[Plan, PhasePlan]:
        return together_of(group.plan), PhasePlan(Phase.ENCODE, Residency.STREAMED, "beside", slots=SLOTS)

    monkeypatch.setattr(Opening, "may_look_ahead", lambda *_: True)
    monkeypatch.setattr(Opening, "look_ahead", planned)
    monkeypatch.setattr(Pager, "is_there", lambda *_: True)
    engine = open_engine(hub, weights_dir)
    yield engine
    engine.close()


@pytest.fixture
def now(toys: dict[str, Path]) -> Requests:
    return make_requests(toys["sigma"], num_images=2)


@pytest.fixture
def later(toys: dict[str, Path]) -> Requests:
    return make_requests(toys["sigma"], prompt="a green tree left of a small yellow house", width=256)


def foreseeing(engine: Engine, requests: Sequence[ResolvedRequest], scopes: Sequence[str] = ()) -> list[int]:
    """Let the engine foresee these; what is returned counts how often it asked."""
    asked: list[int] = []

    def foresee() -> Coming | None:
        asked.append(len(asked))
        return Coming(requests, scopes) if requests else None

    engine.foresee(foresee)
    return asked


def encoded(events: Sequence[Event]) -> list[EncodedAhead]:
    return [event for event in events if isinstance(event, EncodedAhead)]


def is_cached(events: Sequence[Event]) -> bool:
    """Whether T5 had nothing to do for the group."""
    (measurement,) = [
        event.measurement
        for event in events
        if isinstance(event, PhaseFinished) and event.measurement.phase is Phase.ENCODE
    ]
    return measurement.is_cached


def assert_same(events: Sequence[Event], expected: Sequence[Event]) -> None:
    for one, other in zip(latents_of(list(events)), latents_of(list(expected)), strict=True):
        np.testing.assert_array_equal(one, other)
    for before, after in zip(images_of(list(events)), images_of(list(expected)), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


def test_the_next_group_finds_its_texts_and_all_pictures_are_the_same(
    engine: Engine, hub: Hub, weights_dir: Path, now: Requests, later: Requests
) -> None:
    plain = open_engine(hub, weights_dir)
    expected = run(plain, now), run(plain, later)
    plain.close()
    foreseeing(engine, later)
    first = run(engine, now)
    foreseeing(engine, ())
    second = run(engine, later)
    assert [event.num_texts for event in encoded(first)] == [1], "the empty negative prompt is known by then"
    assert encoded(first)[0].bytes_moved > 0
    assert is_cached(second)
    assert not is_cached(expected[1])
    assert_same(first, expected[0])
    assert_same(second, expected[1])


def test_it_is_asked_beside_the_last_picture_alone_until_something_comes(
    engine: Engine, now: Requests, later: Requests
) -> None:
    assert len(foreseeing_in(engine, (), now)) == now[1].steps - 1, "after the last step it would be too late"
    assert len(foreseeing_in(engine, later, now)) == 1


def foreseeing_in(engine: Engine, requests: Requests, now: Requests) -> list[int]:
    asked, last_step = foreseeing(engine, requests), 0
    for event in engine.run(now, never):
        if isinstance(event, StepDone):
            assert not asked or event.index == 1
            last_step = event.step
    assert last_step == now[1].steps
    return asked


def test_texts_that_are_known_do_not_come_again(engine: Engine, now: Requests) -> None:
    foreseeing(engine, [now[0].model_copy(update={"seed": 99})])
    assert not encoded(run(engine, now))


def test_texts_are_kept_for_whoever_asked_for_them(engine: Engine, now: Requests, later: Requests) -> None:
    foreseeing(engine, later, ["ann"])
    assert [event.num_texts for event in encoded(run(engine, now))] == [2], "the empty one is not known to her"
    foreseeing(engine, ())
    assert is_cached(list(engine.run(later, never, scopes=["ann"])))
    assert not is_cached(list(engine.run(later, never, scopes=["bob"])))


def test_what_has_not_arrived_when_the_steps_are_over_is_left(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pager, "is_there", lambda self, unit: unit < 2)
    foreseeing(engine, later)
    first = run(engine, now)
    assert not encoded(first)
    assert len(images_of(first)) == 2
    assert "text_encoder" not in engine.info()["on_device"]
    foreseeing(engine, ())
    assert not is_cached(run(engine, later))


def test_whoever_cancels_the_picture_leaves_the_texts_too(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pager, "is_there", lambda self, unit: unit < 2)
    foreseeing(engine, later)
    cancelled, events = set[int](), []
    for event in engine.run(now, cancelled.__contains__):
        events.append(event)
        if isinstance(event, StepDone) and (event.index, event.step) == (1, 2):
            cancelled.add(1)
    assert [event.index for event in events if isinstance(event, ImageFailed)] == [1]
    assert "text_encoder" not in engine.info()["on_device"]
    foreseeing(engine, ())
    assert len(images_of(run(engine, later))) == 1


def test_a_queue_that_cannot_be_read_is_no_fault_of_the_picture(engine: Engine, now: Requests) -> None:
    def foresee() -> Coming | None:
        raise JournalError("The journal cannot be read.")

    engine.foresee(foresee)
    with pytest.raises(JournalError):
        run(engine, now)


def fail_in(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: Exception) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(place, name, failing)


@pytest.mark.parametrize(
    ("place", "name", "error"),
    [
        (ahead_module, "encode_by_unit", CUDA_ERROR),
        (ahead_module, "encode_by_unit", ValueError("of the texts")),
        (Opening, "following", ValueError("of the texts")),
        (Opening, "keep", OSError("of the disk")),
        (Paged, "attach", CUDA_ERROR),
    ],
)
def test_what_is_wrong_with_the_texts_is_no_matter_of_the_picture(
    engine: Engine,
    now: Requests,
    later: Requests,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: Any,
    name: str,
    error: Exception,
) -> None:
    run(engine, now)  # so that its own texts and weights are there
    asked = foreseeing(engine, later)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        if place is Paged:
            patched.setattr(Paged, "attach", failing_for("text_encoder", Paged.attach, error))
        else:
            fail_in(patched, place, name, error)
        first = run(engine, now)
    assert "the texts of the next group wait for their turn" in caplog.text
    assert len(asked) == 1, "once is enough"
    assert not encoded(first)
    assert [facts["notes"] for facts in facts_of(first)] == [[], []]
    plans = [entry["reason"] for facts in facts_of(first) for entry in facts["plan"]["phases"]]
    assert "together" not in plans, "it was drawn alone"
    if place is not Opening or name != "following":  # then it did not even begin
        assert "text_encoder" not in engine.info()["on_device"]
    foreseeing(engine, ())
    assert len(images_of(run(engine, later))) == 1


def failing_for(component: str, real: Callable[..., None], error: Exception) -> Callable[..., None]:
    def attach(self: Paged, pager: Pager) -> None:
        if self._component == component:
            raise error
        real(self, pager)

    return attach


def test_a_prompt_that_no_parser_takes_fails_in_its_own_group(
    engine: Engine, now: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    poison = now[0].model_copy(update={"full_prompt": "<![x]> cat", "clean_caption": True})
    foreseeing(engine, [poison])
    with caplog.at_level(logging.WARNING):
        assert len(images_of(run(engine, now))) == 2
    assert "wait for their turn" in caplog.text


def test_what_ran_out_of_memory_once_is_not_tried_again(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseeing(engine, later)
    with monkeypatch.context() as patched:
        fail_in(patched, ahead_module, "encode_by_unit", CUDA_ERROR)
        run(engine, now)
    assert not encoded(run(engine, now))
    monkeypatch.setattr(f"{__name__}.TOGETHER", TOGETHER - 1)
    assert encoded(run(engine, now))


def test_no_more_is_done_after_a_step_than_there_are_slots(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SLOTS", 1)
    foreseeing(engine, later)
    assert not encoded(run(engine, now)), "two steps are not enough for all parts of T5, one after each"


def test_beside_steps_that_began_beside_a_decode_it_waits_for_that(
    engine: Engine, hub: Hub, weights_dir: Path, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.engine.test_beside.QUESTIONS", 1)
    beside = open_kind(Beside, hub, weights_dir)
    expected = run(engine, now)
    foreseeing(beside, later)
    events = run(beside, now)
    beside.close()
    assert len(encoded(events)) == 1
    assert_same(events, expected)


def test_nothing_is_learned_from_a_picture_that_was_not_alone(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[Phase] = []
    monkeypatch.setattr(Planning, "learn", lambda self, demand, plan, measured, **_: learned.append(measured.phase))
    foreseeing(engine, ())
    run(engine, now[1:])
    foreseeing(engine, later)
    run(engine, now[1:])
    assert learned == [Phase.ENCODE, Phase.DENOISE, Phase.DECODE, Phase.DECODE]


def test_whoever_stops_reading_leaves_nothing_behind(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pager, "is_there", lambda self, unit: unit < 2)
    foreseeing(engine, later)
    events, others = engine.run(now, never), paused_calls()
    for event in events:
        if isinstance(event, StepDone) and (event.index, event.step) == (1, 2):
            break
    assert isinstance(events, Generator)
    assert "text_encoder" in engine.info()["on_device"], "it is half-way"
    assert paused_calls() - others
    events.close()
    assert "text_encoder" not in engine.info()["on_device"]
    assert paused_calls() <= others
    foreseeing(engine, ())
    assert len(images_of(run(engine, later))) == 1


def paused_calls() -> set[int]:
    """Greenlets that wait to be gone on with; the browser tests' library has some too."""
    found = (found for found in gc.get_objects() if isinstance(found, greenlet.greenlet))
    return {id(call) for call in found if call.parent is not None and call and not call.dead}


def test_it_goes_on_while_the_device_is_busy_with_what_has_arrived(
    hub: Hub, weights_dir: Path, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: nothing is waited for in a step, and the host has time when all are queued."""
    monkeypatch.setattr(Opening, "may_look_ahead", lambda *_: True)
    monkeypatch.setattr(
        Opening,
        "look_ahead",
        lambda self, group, *_: (group.plan, PhasePlan(Phase.ENCODE, Residency.STREAMED, "beside", slots=2)),
    )
    until = time.monotonic() + 60
    plain = open_engine(hub, weights_dir)
    foreseeing(plain, later)
    monkeypatch.setattr(Pace, "is_over", lambda _: len(plain._embeddings) > 2 or time.monotonic() > until)
    assert len(encoded(run(plain, now))) == 1
    plain.close()


def test_memory_that_runs_out_in_the_steps_has_the_picture_begin_again_alone(
    engine: Engine, now: Requests, later: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, foreseen = engine_module.denoise, foreseeing(engine, later)

    def denoise(*arguments: Any) -> Iterator[Any]:
        for step in real(*arguments):
            yield step
            if step.number == 2 and foreseen:
                foreseen.clear()
                raise CUDA_ERROR

    expected = run(engine, now)
    foreseen.clear()
    monkeypatch.setattr(Pager, "is_there", lambda self, unit: unit < 2)
    monkeypatch.setattr(engine_module, "denoise", denoise)
    others = [request.model_copy(update={"full_prompt": "a purple boat"}) for request in later]
    engine.foresee(lambda: (foreseen.append(0), Coming(others))[1])
    events = run(engine, now)
    (step,) = [event for event in events if isinstance(event, SteppedDown)]
    assert step.reason == "denoise ran out of memory beside the next group's texts: it began again alone."
    assert not foreseen, "it did not look again"
    assert_same(events, expected)
    monkeypatch.setattr(engine_module, "denoise", real)
    monkeypatch.setattr(Pager, "is_there", lambda *_: True)
    assert not encoded(run(engine, now)), "what is as large is not tried again"
    monkeypatch.setattr(f"{__name__}.TOGETHER", TOGETHER - 1)
    assert encoded(run(engine, now))


# When it is planned: T5 has ten units of 100 bytes, which take 100 µs each to come, as a step does.

STEPS_LEFT = 8
# For the transformer and the VAE beside a whole picture, not for T5 as well.
ROOM = 1800


def beside(limits: Limits, steps_left: int = STEPS_LEFT, **changes: object) -> tuple[Plan, PhasePlan] | None:
    demand = small_demand(num_texts=0)
    plan = choose_plan(demand, limits)
    return look_ahead(demand, small_demand(**changes), limits, plan, steps_left)


def slots_of(found: tuple[Plan, PhasePlan] | None) -> int | None:
    return found[1].slots if found is not None else None


def test_it_takes_the_fewest_slots_that_get_it_through_and_says_what_both_take() -> None:
    found = beside(small_limits(ROOM, step=1.0))
    assert found is not None
    plan, texts = found
    assert (texts.phase, texts.residency, texts.slots) == (Phase.ENCODE, STREAMED, 2)
    both = 820 + DENOISE_BYTES + 210 + ENCODE_BYTES
    assert plan.phase(Phase.DENOISE).predicted_peak_bytes == both == texts.predicted_peak_bytes
    assert "the next texts are encoded" in plan.phase(Phase.DENOISE).reason
    assert plan.phase(Phase.DECODE) == choose_plan(small_demand(num_texts=0), small_limits(ROOM, step=1.0)).phase(
        Phase.DECODE
    )


@pytest.mark.parametrize(("steps_left", "slots"), [(8, 2), (5, 3), (4, 4), (2, 8), (1, None)])
def test_fewer_steps_take_more_slots(steps_left: int, slots: int | None) -> None:
    assert slots_of(beside(small_limits(ROOM, step=1.0), steps_left)) == slots


def test_it_fits_to_the_byte() -> None:
    demand, generous = small_demand(num_texts=0), small_limits(ROOM, step=1.0)
    plan = choose_plan(demand, generous)
    need = 820 + 50 + DENOISE_BYTES + 210 + ENCODE_BYTES  # the VAE stays as well

    def at(budget: int) -> int | None:
        return slots_of(look_ahead(demand, small_demand(), replace(generous, budget_bytes=budget), plan, STEPS_LEFT))

    assert (at(need), at(need - 1)) == (2, None)


def test_there_must_be_time_for_all_of_it() -> None:
    arriving = 1e-6 * 1010 * 1.05 + UNIT_SECONDS * 10 + 1e-6 * 110
    enough = arriving / STEPS_LEFT / 0.75
    assert slots_of(beside(small_limits(ROOM, step=1.2 * enough))) is not None
    assert slots_of(beside(small_limits(ROOM, step=0.9 * enough))) is None


@pytest.mark.parametrize(
    ("why", "limits", "changes"),
    [
        ("nothing is missing", small_limits(ROOM, step=1.0), {"num_texts": 0}),
        ("more than one pass", small_limits(ROOM, step=1.0), {"num_texts": 400}),
        ("a processor has no link", small_limits(ROOM, step=1.0, is_cpu=True), {}),
        ("never measured", small_limits(GIB, step=1.0), {"num_tokens": 9, "precision": "int8"}),
    ],
)
def test_it_waits_for_its_turn(why: str, limits: Limits, changes: dict[str, Any]) -> None:
    assert beside(limits, **changes) is None, why


def test_a_transformer_that_streams_has_the_link_to_itself() -> None:
    def found(change: Callable[[PhasePlan], PhasePlan]) -> tuple[Plan, PhasePlan] | None:
        demand, limits = small_demand(num_texts=0), small_limits(ROOM, step=1.0)
        plan = choose_plan(demand, limits)
        return look_ahead(demand, small_demand(), limits, replace(plan, phases=tuple(map(change, plan.phases))), 8)

    def streamed(entry: PhasePlan) -> PhasePlan:
        is_streamed = entry.phase is Phase.DENOISE
        return replace(entry, residency=STREAMED, kept_units=0, slots=2) if is_streamed else entry

    assert found(lambda entry: entry) is not None
    assert found(streamed) is None


def test_products_of_an_8_bit_encoder_would_make_the_host_wait() -> None:
    plan = choose_plan(small_demand(num_texts=0), small_limits(ROOM, step=1.0))
    assert [precision for precision in Precision if not may_look_ahead(plan, precision)] == [Precision.INT8]


def test_a_text_encoder_that_stays_needs_no_link() -> None:
    demand, limits = small_demand(num_texts=2), small_limits(9000, step=1.0)
    plan = choose_plan(demand, limits)
    assert plan.residency(Phase.ENCODE) is Residency.RESIDENT
    assert look_ahead(demand, small_demand(), limits, plan, STEPS_LEFT) is None
