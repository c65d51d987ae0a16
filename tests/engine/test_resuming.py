"""A picture whose latents are given back is not drawn again, and is the same picture to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from pixart_ui import tiny
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.engine.decode import decode
from pixart_ui.engine.denoise import as_array
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import Event, LatentsReady, Phase, PhaseFinished, StepDone
from pixart_ui.hub import Hub
from pixart_ui.request import Numerics, Precision, ResolvedRequest
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, never, run

CHECKPOINT = tiny_checkpoint(tiny.checkpoint_dir())


@pytest.fixture
def tiny_engine(hub: Hub, weights_dir: Path) -> Iterator[Engine]:
    engine = open_tiny(hub, weights_dir)
    yield engine
    engine.close()


def open_tiny(hub: Hub, weights_dir: Path) -> Engine:
    return Engine.open("cpu", lambda _: hub.locate(CHECKPOINT), hub.hashes, EngineFiles(weights_dir))


def wanted(num_images: int = 1, **values: object) -> tuple[ResolvedRequest, ...]:
    return make_requests(CHECKPOINT, num_images=num_images, steps=2, **values)


def resumed(engine: Engine, requests: tuple[ResolvedRequest, ...], latents: dict[int, np.ndarray]) -> list[Event]:
    return list(engine.run(requests, never, latents))


def components_now(engine: Engine) -> set[str]:
    return set(engine.info()["on_device"])


@pytest.mark.parametrize("numerics", Numerics)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])  # of what comes after the text encoder
def test_a_resumed_picture_has_the_pixels_of_an_undisturbed_one(
    tiny_engine: Engine, precision: Precision, numerics: Numerics
) -> None:
    requests = wanted(3, precision=precision, numerics=numerics)
    undisturbed = run(tiny_engine, requests)
    kept = latents_of(undisturbed)
    events = resumed(tiny_engine, requests, {0: kept[0], 2: kept[2]})
    for before, after in zip(images_of(undisturbed), images_of(events), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    assert {event.index for event in events if isinstance(event, StepDone)} == {1}, "only the other one is drawn"
    assert [event.index for event in events if isinstance(event, LatentsReady)] == [1]


def test_its_facts_are_the_same_but_for_the_measurements(tiny_engine: Engine) -> None:
    requests = wanted(2)
    undisturbed = run(tiny_engine, requests)
    events = resumed(tiny_engine, requests, {1: latents_of(undisturbed)[1]})
    denoising = [event.measurement for event in events if isinstance(event, PhaseFinished) and event.index is not None]
    assert [entry.is_cached for entry in denoising if entry.phase is Phase.DENOISE] == [False, True]
    before, after = facts_of(undisturbed)[1], facts_of(events)[1]
    assert after["measurements"]["denoise"]["is_cached"]
    assert {name for name in before if before[name] != after[name]} <= {"measurements", "plan"}


def test_neither_t5_nor_the_transformer_is_loaded_where_all_latents_are_there(hub: Hub, weights_dir: Path) -> None:
    requests = wanted(2)
    first = open_tiny(hub, weights_dir)
    undisturbed = run(first, requests)
    assert components_now(first) == {"text_encoder", "transformer", "vae"}
    first.close()
    second = open_tiny(hub, weights_dir)
    events = resumed(second, requests, dict(enumerate(latents_of(undisturbed))))
    assert components_now(second) == {"vae"}
    assert not second._components.is_prepared(second._opening.open(requests).sources["transformer"]), "not even read"
    second.close()
    assert len(images_of(events)) == 2
    said = next(event for event in undisturbed if isinstance(event, LatentsReady)).kernels
    assert said == facts_of(undisturbed)[0]["kernels"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_way_through_an_array_changes_no_bit_in_any_dtype(dtype: torch.dtype) -> None:
    (request,) = wanted()
    vae = AutoencoderKL.from_pretrained(tiny.checkpoint_dir() / "vae").to(dtype)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn((1, 4, 2, 2), generator=generator).to(dtype)  # processors are slow at fp16
    back = torch.tensor(as_array(latents))
    assert torch.equal(back.to(dtype), latents)
    np.testing.assert_array_equal(
        np.asarray(decode(vae, latents, request)),
        np.asarray(decode(vae, back, request)),
    )


def test_the_key_of_latents_tells_apart_what_decides_them(tiny_engine: Engine) -> None:
    (request,) = wanted(precision=Precision.FP16)
    others = [
        request.model_copy(update=change)
        for change in ({"seed": 8}, {"steps": 3}, {"numerics": Numerics.EXACT}, {"precision": Precision.NF4})
    ]
    keys = tiny_engine.latents_keys([request, *others])
    assert len(set(keys)) == len(keys)
    assert tiny_engine.latents_keys([request.model_copy()]) == keys[:1]
    tiny_engine._device = dataclasses.replace(tiny_engine._device, name="another")
    assert tiny_engine.latents_keys([request])[0] not in keys
