"""What PixArt-Tiny draws: what the caption says, at every precision, and the stock pipeline's latents in `exact`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixart_ui import tiny
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.engine.engine import Engine, EngineFiles
from pixart_ui.events import ImageReady, LatentsReady
from pixart_ui.hub import Hub
from pixart_ui.request import Precision, ResolvedRequest
from pixart_ui.tiny.captions import evaluation_captions
from pixart_ui.tiny.checker import check
from tests.engine.conftest import images_of, latents_of, make_requests, run
from tests.engine.test_parity import stock_latents

PROMPT = "a red circle above a blue square at sunset"
PIXELS = {"width": 256, "height": 256}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    hub = Hub(tmp_path_factory.mktemp("records"))
    files = EngineFiles(tmp_path_factory.mktemp("weights"))
    engine = Engine.open("cpu", lambda _: hub.locate(tiny_checkpoint(tiny.checkpoint_dir())), hub.hashes, files)
    yield engine
    engine.close()


def requests(prompt: str = PROMPT, **values: Any) -> tuple[ResolvedRequest, ...]:
    return make_requests(tiny_checkpoint(Path("tiny")), prompt=prompt, **(PIXELS | {"steps": 20, "seed": 7} | values))


def shares(images: Sequence[Image.Image], captions: Sequence[str]) -> dict[str, float]:
    verdicts = [check(image, caption) for image, caption in zip(images, captions, strict=True)]
    return {
        name: sum(getattr(verdict, f"{name}_right") for verdict in verdicts)
        / sum(getattr(verdict, f"{name}_total") for verdict in verdicts)
        for name in ("colours", "shapes", "relations")
    }


def draw_all(engine: Engine, captions: Sequence[str]) -> list[Image.Image]:
    """One picture a caption, the seed being its place in the list."""
    asked = [requests(caption, seed=seed)[0] for seed, caption in enumerate(captions)]
    return images_of(run(engine, tuple(asked)))


def test_a_picture_shows_what_the_prompt_says(engine: Engine) -> None:
    (image,) = images_of(run(engine, requests()))
    assert check(image, PROMPT).is_all_right


@pytest.mark.long
@pytest.mark.timeout(600)
def test_captions_never_seen_in_training_are_followed(engine: Engine) -> None:
    captions = evaluation_captions()[::76]
    found = shares(draw_all(engine, captions), captions)
    assert found["colours"] >= 0.9
    assert found["shapes"] >= 0.8
    assert found["relations"] >= 0.75


@pytest.mark.long
def test_all_300_captions_never_seen_in_training_are_followed(engine: Engine) -> None:
    """The figures of the model card."""
    captions = evaluation_captions(300)
    found = shares(draw_all(engine, captions), captions)
    print("ROW held-out captions:", found)
    assert found["colours"] >= 0.95
    assert found["shapes"] >= 0.90
    assert found["relations"] >= 0.85


@pytest.mark.parametrize("precision", [name for name in Precision if name is not Precision.FP16])
def test_every_other_precision_draws_the_prompt(engine: Engine, precision: Precision) -> None:
    (image,) = images_of(run(engine, requests(precision=precision)))
    assert check(image, PROMPT).is_all_right


def test_quantized_text_encoders_are_close_and_not_equal(engine: Engine) -> None:
    exact = engine.embed(requests())[0][0].states
    for precision, near in ((Precision.INT8, 0.99), (Precision.NF4, 0.95), (Precision.FP4, 0.9)):
        states = engine.embed(requests(precision=precision))[0][0].states
        similarity = torch.cosine_similarity(exact.flatten(), states.flatten(), dim=0)
        assert near < similarity < 1
        assert not torch.equal(exact, states)


def test_guidance_is_visible(engine: Engine) -> None:
    plain, guided = (
        np.asarray(images_of(run(engine, requests(guidance_scale=scale, steps=8)))[0], float) for scale in (1.0, 4.5)
    )
    assert np.abs(plain - guided).mean() > 4


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.NF4])
def test_exact_latents_equal_the_stock_pipeline_bit_for_bit(engine: Engine, precision: Precision) -> None:
    """As every precision's do with random weights; see `tests/engine/test_parity.py`."""
    (request,) = requests(precision=precision, numerics="exact", steps=2)
    (latents,) = latents_of(run(engine, (request,)))
    np.testing.assert_array_equal(latents, stock_latents(tiny.checkpoint_dir(), request))


def test_a_landscape_picture_works(engine: Engine) -> None:
    (request,) = requests("a green tree left of a red house", width=304, height=208, steps=4)
    (image,) = images_of(run(engine, (request,)))
    assert image.size == (304, 208)


def test_the_same_request_gives_the_same_bytes(engine: Engine) -> None:
    first, second = (run(engine, requests(steps=4)) for _ in range(2))
    np.testing.assert_array_equal(latents_of(first)[0], latents_of(second)[0])
    assert images_of(first)[0].tobytes() == images_of(second)[0].tobytes()
    assert sum(isinstance(event, LatentsReady | ImageReady) for event in first) == 2
