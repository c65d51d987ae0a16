"""Memory runs out in a phase: it goes on with less, says so, keeps what is finished, and learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.byte_size import MIB
from pixart_ui.engine import components as components_module
from pixart_ui.engine import encode as encode_module
from pixart_ui.engine import engine as engine_module
from pixart_ui.engine.clock import is_out_of_memory
from pixart_ui.engine.costs import Costs
from pixart_ui.engine.device import Device
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.ladder import SLACK_BYTES
from pixart_ui.engine.planning import TOO_SMALL
from pixart_ui.errors import OutOfMemory
from pixart_ui.events import ImageFailed, Phase, PhaseFinished, PhaseStarted, StepDone, SteppedDown
from pixart_ui.hub import Hub
from tests.engine.conftest import facts_of, forget_texts, images_of, latents_of, make_requests, open_engine, run

CUDA_ERROR = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
STEPS = 2
# As the libraries say it that keep memory beside torch's allocator, and as a processor does.
OTHER_ERRORS = (
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(&handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    MemoryError(),
)


def make_full(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, times: int, error: Exception = CUDA_ERROR, *, after: int = 0
) -> None:
    """So many attempts at that phase run out of memory, once `after` others did not."""
    real = getattr(engine_module, phase)
    attempts = iter([False] * after + [True] * times)

    def full(*args: Any, **kwargs: Any) -> Any:
        if next(attempts, False):
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(engine_module, phase, full)


def steps_of(events: list[Any]) -> list[SteppedDown]:
    return [event for event in events if isinstance(event, SteppedDown)]


def count(events: list[Any], phase: Phase) -> int:
    return sum(isinstance(event, PhaseStarted) and event.phase is phase for event in events)


@pytest.mark.parametrize("phase", Phase)
def test_out_of_memory_steps_down_says_so_and_gives_the_same_picture(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    size = {"width": 512, "height": 512} if phase is Phase.DECODE else {}
    requests = make_requests(toys["sigma-512" if size else "sigma"], num_images=2, steps=STEPS, **size)
    expected = latents_of(run(open_engine(hub, weights_dir), requests))
    engine = open_engine(hub, weights_dir)
    with monkeypatch.context() as patched:
        make_full(patched, phase, times=2)
        events = run(engine, requests)
    steps = steps_of(events)
    assert [step.phase for step in steps] == [phase, phase]
    assert steps[0].plan.phase(phase).tile != steps[1].plan.phase(phase).tile or phase is not Phase.DECODE
    assert steps[1].plan.phase(phase) != steps[0].plan.phase(phase)
    assert facts_of(events)[-1]["notes"] == [step.reason for step in steps]
    np.testing.assert_array_equal(latents_of(events), expected)
    assert (count(events, Phase.ENCODE), count(events, Phase.DENOISE)) == (1, 2)
    assert sum(isinstance(event, StepDone) for event in events) == 2 * STEPS


@pytest.mark.parametrize("error", [OTHER_ERRORS[0], OTHER_ERRORS[3], OTHER_ERRORS[-1]], ids=str)
@pytest.mark.parametrize("phase", Phase)
def test_other_ways_to_say_that_memory_ran_out_step_down_too(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase, error: Exception
) -> None:
    make_full(monkeypatch, phase, times=1, error=error)
    events = run(engine, make_requests(toys["sigma"], steps=STEPS))
    assert [step.phase for step in steps_of(events)] == [phase]
    assert len(images_of(events)) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CUDA_ERROR, True),
        *((error, True) for error in OTHER_ERRORS),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_means_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("phase", [Phase.DENOISE, Phase.DECODE])
def test_no_step_left_is_one_sentence_and_the_next_picture_works(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    (request,) = make_requests(toys["sigma"])
    with monkeypatch.context() as patched:
        make_full(patched, phase, times=100)
        (failed,) = [event for event in run(engine, (request,)) if isinstance(event, ImageFailed)]
    assert f"ran out of memory in the phase {phase}" in failed.message
    assert "choose a smaller size" in failed.message
    assert len(images_of(run(engine, (request,)))) == 1


def test_no_step_left_in_encode_ends_the_group_with_one_sentence(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"])
    with monkeypatch.context() as patched:
        make_full(patched, Phase.ENCODE, times=100)
        with pytest.raises(OutOfMemory, match="ran out of memory in the phase encode"):
            run(engine, requests)
    assert engine.info()["weight_bytes"] == 0
    assert len(images_of(run(engine, requests))) == 1


def test_memory_that_runs_out_while_weights_are_quantized_is_one_sentence(
    hub: Hub, tmp_path: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, requests = open_engine(hub, tmp_path), make_requests(toys["sigma"], precision="nf4")

    def full(*_: Any) -> Any:
        raise CUDA_ERROR

    with monkeypatch.context() as patched:
        patched.setattr(components_module, "ensure_component", full)
        with pytest.raises(OutOfMemory, match="ran out of memory in the phase encode"):
            run(engine, requests)
    assert len(images_of(run(engine, requests))) == 1
    engine.close()


def test_texts_that_were_encoded_before_memory_ran_out_are_kept(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine prompts and the empty one pass T5 in two rounds in `exact`; the second runs out of memory."""
    requests = tuple(
        make_requests(toys["sigma"], prompt=f"a red circle {number}", numerics="exact", steps=1)[0]
        for number in range(9)
    )
    expected = latents_of(run(engine, requests))
    forget_texts(engine)
    asked: list[int] = []
    real: Callable[..., Iterator[Any]] = encode_module.encode

    def full(texts: Any, *rest: Any) -> Iterator[Any]:
        asked.append(len(texts))
        for number, embedding in enumerate(real(texts, *rest)):
            if len(asked) == 1 and number == 8:
                raise CUDA_ERROR
            yield embedding

    monkeypatch.setattr(engine_module, "encode", full)
    events = run(engine, requests)
    assert asked == [10, 2]
    np.testing.assert_array_equal(latents_of(events), expected)


def test_pictures_before_the_one_that_ran_out_of_memory_stay(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_full(monkeypatch, Phase.DENOISE, times=100, after=1)
    events = run(engine, make_requests(toys["sigma"], num_images=2, steps=1))
    assert len(images_of(events)) == 1
    assert [event.index for event in events if isinstance(event, ImageFailed)] == [1]


@pytest.mark.parametrize("phase", Phase)
def test_the_device_has_no_weights_of_the_attempt_that_failed(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    """Between two attempts nothing but what the smaller plan keeps is there."""
    kept: list[int] = []
    real = engine._planning.step_down

    def look(*args: Any) -> Any:
        kept.append(engine._components.kept_bytes())
        return real(*args)

    monkeypatch.setattr(engine._planning, "step_down", look)
    requests = make_requests(toys["sigma"], steps=1)
    whole = {
        event.measurement.phase: event.measurement.weight_bytes
        for event in run(engine, requests)
        if isinstance(event, PhaseFinished)
    }
    forget_texts(engine)
    make_full(monkeypatch, phase, times=1)
    run(engine, requests)
    assert kept == [sum(whole.values()) - whole[phase]]


def test_a_phase_that_took_more_than_was_predicted_has_all_of_the_budget_the_next_time(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torch holds to a cap: once everything was measured, that is what was predicted."""
    requests = make_requests(toys["sigma"], steps=3)
    first = run(engine, requests)
    assert facts_of(first)[0]["plan"]["is_estimate"]
    monkeypatch.setattr(Device, "holds_caps", True)
    make_full(monkeypatch, Phase.DENOISE, times=1)
    events = run(engine, requests)
    (step,) = steps_of(events)
    assert step.reason == "denoise took more memory than was predicted: it began again with all of the budget."
    (facts,) = facts_of(events)
    assert facts["notes"] == [step.reason]
    assert not facts["plan"]["is_estimate"]
    assert facts["plan"] == step.plan.as_json()
    np.testing.assert_array_equal(latents_of(events), latents_of(first))


def test_a_phase_has_room_to_spare_but_never_more_than_the_budget(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is shorter than those that were measured takes a little more than in proportion."""
    requests = make_requests(toys["sigma"], steps=3)
    run(engine, requests)
    group = engine._opening.open(requests)
    predicted = group.plan.phase(Phase.DENOISE).predicted_peak_bytes
    assert engine._ladder.cap(group, Phase.DENOISE) == predicted + SLACK_BYTES
    group.plan = replace(group.plan, budget_bytes=predicted + MIB)
    assert engine._ladder.cap(group, Phase.DENOISE) == predicted + MIB


def test_a_cap_that_was_lifted_in_vain_is_followed_by_a_smaller_plan(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = make_requests(toys["sigma"], steps=3)
    run(engine, requests)
    monkeypatch.setattr(Device, "holds_caps", True)
    make_full(monkeypatch, Phase.DENOISE, times=2)
    first, second = steps_of(run(engine, requests))
    assert "began again with all of the budget" in first.reason
    assert "since memory ran out" in second.reason


def points_of(engine: Engine, phase: Phase) -> dict[tuple[str, int], Any]:
    """What was learned of a phase, by kind and x."""
    known = engine._planning._calibration.points
    return {
        (kind, point.x): point for kind, points in known.items() if kind.startswith(phase.value) for point in points
    }


def mixed(toys: dict[str, Path]) -> tuple[Any, ...]:
    """A large picture, a smaller one, and one without guidance."""
    (large,) = make_requests(toys["sigma-512"], steps=3, width=512, height=512)
    (small,) = make_requests(toys["sigma-512"], steps=3, width=320, height=768, seed=8)
    (unguided,) = make_requests(toys["sigma-512"], steps=3, width=320, height=768, seed=9, guidance_scale=0)
    assert small.bin_width * small.bin_height < large.bin_width * large.bin_height
    return large, small, unguided


def test_pictures_of_several_sizes_are_each_learned_as_what_they_are(engine: Engine, toys: dict[str, Path]) -> None:
    large, small, unguided = mixed(toys)
    run(engine, (large, small, unguided))
    pixels = [request.bin_width * request.bin_height for request in (large, small)]
    steps = points_of(engine, Phase.DENOISE)
    assert {(kind.rpartition("/")[2], x) for kind, x in steps} == {
        ("batch2", pixels[0]),
        ("batch2", pixels[1]),
        ("batch1", pixels[1]),
    }
    assert {x for _, x in points_of(engine, Phase.DECODE)} == set(pixels)
    assert all(point.seconds > 0 for point in steps.values())


def test_only_the_picture_that_ran_out_of_memory_is_learned_to_take_more(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small, _ = mixed(toys)
    make_full(monkeypatch, Phase.DENOISE, times=1, after=1)
    group = engine._opening.open((large, small))
    predicted = engine._planning.limits(frozenset(), 0)
    events = run(engine, (large, small))
    assert len(steps_of(events)) == 1
    assert len(images_of(events)) == 2
    learned = {x: point.activation_bytes for (_, x), point in points_of(engine, Phase.DENOISE).items()}
    expected = Costs(group.demand(1), predicted).activation_bytes(Phase.DENOISE).value
    assert learned[large.bin_width * large.bin_height] is None
    assert learned[small.bin_width * small.bin_height] == round(TOO_SMALL * expected)
