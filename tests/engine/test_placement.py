"""T5 on a second GPU: when it helps, as plain arithmetic, and that the pictures are those of one, with real engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pixart_ui.byte_size import GIB
from pixart_ui.catalog import Component, from_folder, hub_checkpoints
from pixart_ui.engine import placement
from pixart_ui.engine.calibration import Calibration, Rates
from pixart_ui.engine.costs import GPU_GRAIN_BYTES, Demand, Limits
from pixart_ui.engine.device import open_device
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.paired import PairedEngine, open_engine
from pixart_ui.engine.planner import choose_plan
from pixart_ui.engine.shapes import published_shapes
from pixart_ui.errors import DeviceError
from pixart_ui.events import Event, Phase, PhaseFinished, Planned, Residency, WeightsPrepared
from pixart_ui.hub import Hub
from pixart_ui.jobs.lock import DeviceTaken, device_lock
from pixart_ui.jobs.worker import open_worker
from pixart_ui.request import Precision
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.engine.conftest import facts_of, forget_texts, latents_of, make_requests, never, run

SIGMA = next(checkpoint for checkpoint in hub_checkpoints() if checkpoint.name == "sigma-1024")
DEMAND = Demand(published_shapes(SIGMA, Precision.FP16, is_cpu=False), 1024, 1024)
T5: Component = "text_encoder"


def gpu(gibibytes: float) -> Limits:
    return Limits(round(gibibytes * GIB), grain_bytes=GPU_GRAIN_BYTES)


@pytest.mark.parametrize(
    ("here", "there", "is_spread"),
    [
        (8, 12, True),
        (12, 12, True),
        (2, 16, True),
        (12, 8, False),
        (2, 2, False),
        (16, 16, False),
        (24, 24, False),
    ],
)
def test_a_second_gpu_takes_t5_where_the_first_cannot_keep_it_and_the_second_can(
    here: float, there: float, is_spread: bool
) -> None:
    assert (placement.choose(DEMAND, gpu(here), gpu(there)) is not None) is is_spread


def test_each_gpu_has_what_fits_it_and_is_not_charged_with_what_the_other_holds() -> None:
    spread = placement.choose(DEMAND, gpu(6), gpu(12))
    assert spread is not None
    encode, denoise, decode = spread.plan.phases
    assert [entry.residency for entry in (encode, denoise, decode)] == [Residency.RESIDENT] * 3
    assert 10 * GIB < encode.predicted_peak_bytes <= 12 * GIB
    assert max(denoise.predicted_peak_bytes, decode.predicted_peak_bytes) <= 6 * GIB
    assert encode.reason.startswith("on the second GPU, resident")
    assert spread.shapes[T5].total_bytes == 0
    assert [name for name, shape in spread.there_shapes.items() if shape.total_bytes] == [T5]


def test_the_pictures_take_the_same_pieces_as_on_one_gpu() -> None:
    """What is decoded in pieces has other pixels: that must not hang on where the texts were encoded."""
    for here in (4, 6, 8, 12):
        spread = placement.choose(DEMAND, gpu(here), gpu(12))
        assert spread is not None
        assert spread.plan.phase(Phase.DECODE).tile == choose_plan(DEMAND, gpu(here)).phase(Phase.DECODE).tile


# Real engines


@pytest.fixture
def pair(hub: Hub, weights_dir: Path) -> Iterator[PairedEngine]:
    found = open_engine(
        "cpu:0+cpu:1", lambda name: hub.locate(from_folder(Path(name))), hub.hashes, EngineFiles(weights_dir)
    )
    assert isinstance(found, PairedEngine)
    yield found
    found.close()


def make_narrow(pair: PairedEngine, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first device have room for all but T5, and let loading be what takes time."""
    slow = Calibration(rates=Rates(link=1e6, host=1e6))
    for engine in (pair, pair._encoder):
        engine._planning._calibration = slow
    demand = pair._opening.open(make_requests(toy)).demand()
    rest = {name: placement.NOTHING if name == T5 else shape for name, shape in demand.shapes.items()}
    wanted = choose_plan(replace(demand, shapes=rest, num_texts=0), pair.limits()).predicted_peak_bytes
    monkeypatch.setattr(pair._planning, "budget_bytes", lambda kept_bytes: wanted)


def encoding(events: list[Event]) -> PhaseFinished:
    return next(
        event for event in events if isinstance(event, PhaseFinished) and event.measurement.phase is Phase.ENCODE
    )


def test_the_pictures_of_a_pair_are_those_of_one_bit_for_bit(
    pair: PairedEngine, engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow(pair, toys["sigma"], monkeypatch)
    requests = make_requests(toys["sigma"], num_images=2)
    events = run(pair, requests)
    expected = run(engine, requests)
    assert [found.tobytes() for found in latents_of(events)] == [found.tobytes() for found in latents_of(expected)]
    assert "transformer" in pair._components.bytes_now()
    assert T5 not in pair._components.bytes_now()
    assert set(pair._encoder.weigh()["components"]) == {T5}
    assert set(pair.weigh()["components"]) == set(pair._components.bytes_now())
    assert set(pair.weigh()["beside"]["components"]) == {T5}, "both are told, each by itself"
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert planned.plan.phase(Phase.ENCODE).reason.startswith("on the second GPU")
    recorded = facts_of(events)[0]["plan"]["phases"][0]
    assert recorded["reason"].startswith("on the second GPU")


def test_t5_stays_on_the_second_device_for_the_next_prompt(
    pair: PairedEngine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow(pair, toys["sigma"], monkeypatch)
    first = encoding(run(pair, make_requests(toys["sigma"]))).measurement
    second = encoding(run(pair, make_requests(toys["sigma"], prompt="a green tree"))).measurement
    assert first.bytes_moved > 0
    assert (second.bytes_moved, second.is_cached) == (0, False)
    third = encoding(run(pair, make_requests(toys["sigma"], prompt="a green tree"))).measurement
    assert third.is_cached, "what was encoded there is known"
    assert any(kind.startswith("encode/") for kind in pair._planning._calibration.points), "and was learned from"


def test_a_run_of_a_comparison_is_planned_over_both_unless_it_asks_for_one_way(
    pair: PairedEngine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow(pair, toys["sigma"], monkeypatch)
    requests = make_requests(toys["sigma"])
    for forced, wanted in ((Forced(), True), (Forced(Residency.STAGED), False)):
        pair.prepare(requests, forced=forced)
        events = list(pair.run(requests, never, forced=forced))
        (planned,) = [event for event in events if isinstance(event, Planned)]
        assert planned.plan.phase(Phase.ENCODE).reason.startswith("on the second GPU") is wanted
        assert len(latents_of(events)) == 1


def test_a_precision_that_has_to_be_made_first_says_how_far_it_is(
    pair: PairedEngine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh = open_engine("cpu:0+cpu:1", pair._opening.locate, pair._opening.hashes, EngineFiles(tmp_path))
    assert isinstance(fresh, PairedEngine)
    make_narrow(fresh, toys["sigma"], monkeypatch)
    events = run(fresh, make_requests(toys["sigma"]))
    prepared = {event.component for event in events if isinstance(event, WeightsPrepared)}
    assert T5 in prepared
    assert len(latents_of(events)) == 1
    fresh.close()


def test_where_one_device_holds_all_the_other_is_left_alone(pair: PairedEngine, toys: dict[str, Path]) -> None:
    events = run(pair, make_requests(toys["sigma"]))
    assert len(latents_of(events)) == 1
    assert pair._encoder.weigh()["components"] == {}
    forget_texts(pair)


def test_a_cancelled_group_ends_with_the_second_device_as_with_one(
    pair: PairedEngine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_narrow(pair, toys["sigma"], monkeypatch)
    assert latents_of(run(pair, make_requests(toys["sigma"]), lambda _: True)) == []
    assert len(latents_of(run(pair, make_requests(toys["sigma"]), never))) == 1


def test_two_devices_of_different_kinds_are_no_pair(hub: Hub, weights_dir: Path) -> None:
    device = open_device("cpu")
    engine = PairedEngine(device, hub.locate, hub.hashes, EngineFiles(weights_dir))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="must be of one kind"):
        engine.take(replace(device, name="Another"), "cpu:0+cpu:1")


def test_a_worker_on_a_pair_owns_both(tmp_path: Path) -> None:
    services = Services.open(Settings.read({}, data_dir=str(tmp_path), device="cpu:0+cpu:1"))
    with open_worker(services, name="one"):
        for name in ("cpu:0", "cpu:1"):
            with pytest.raises(DeviceTaken), device_lock(name, tmp_path):
                pass
    services.journal.close()
