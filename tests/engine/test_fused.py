"""Fused blocks and spread group norms: the library's own numbers up to rounding, and undone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import PixArtTransformer2DModel
from torch.nn.attention import SDPBackend

from pixart_ui.engine import fused
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.forced import Forced
from pixart_ui.engine.joined import Joined
from pixart_ui.events import ImageFailed, Residency
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, run

EPS = 1e-6


@pytest.fixture
def transformer(toys: dict[str, Path]) -> Any:
    """In fp64, so that a difference is an error and no rounding."""
    return PixArtTransformer2DModel.from_pretrained(toys["sigma"] / "transformer", torch_dtype=torch.float64).eval()


@torch.no_grad()
def prediction(transformer: Any) -> torch.Tensor:
    """Of two different pictures, with prompts of different length."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, 7, transformer.config.caption_channels, generator=generator, dtype=torch.float64)
    mask = torch.ones(2, 7)
    mask[0, 3:] = 0
    predicted: torch.Tensor = transformer(
        torch.randn(2, 4, 16, 24, generator=generator, dtype=torch.float64),
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        timestep=torch.tensor([300, 300]),
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        return_dict=False,
    )[0]
    return predicted


@pytest.mark.parametrize("kernel", [None, SDPBackend.MATH])
def test_fused_blocks_compute_what_the_library_computes(transformer: Any, kernel: SDPBackend | None) -> None:
    before = prediction(transformer)
    with fused.fused_blocks(transformer, kernel):
        inside = prediction(transformer)
    torch.testing.assert_close(inside, before, rtol=1e-9, atol=1e-9)
    assert torch.equal(prediction(transformer), before)


def test_every_parameter_of_a_fused_block_has_a_say(transformer: Any) -> None:
    parameters = dict(transformer.transformer_blocks[-1].named_parameters())
    for name in ("attn1.to_k.bias", "attn2.to_k.bias"):
        del parameters[name]  # the same for all keys, which a softmax does not see
    with fused.fused_blocks(transformer):
        before = prediction(transformer)
        for name, parameter in parameters.items():
            parameter.data[0] += 1
            after = prediction(transformer)
            assert not torch.allclose(after, before, rtol=1e-9, atol=1e-9), name
            before = after


@torch.no_grad()
def test_states_in_another_layout_come_out_in_the_usual_one(transformer: Any) -> None:
    """Every operation on a transposed layout takes a GPU twice as long."""
    block, width = transformer.transformer_blocks[0], transformer.inner_dim
    states = torch.randn(2, width, 12, dtype=torch.float64).transpose(1, 2)
    given = {
        "encoder_hidden_states": torch.randn(2, 3, width, dtype=torch.float64),
        "timestep": torch.randn(1, 6 * width, dtype=torch.float64).expand(2, -1),
    }
    before = block(states, **given)
    with fused.fused_blocks(transformer):
        inside = block(states, **given)
    assert inside.is_contiguous()
    torch.testing.assert_close(inside, before, rtol=1e-9, atol=1e-9)


# Joined


def linears(count: int, weights: torch.Tensor, biases: torch.Tensor) -> list[torch.nn.Linear]:
    """Layers of 4 → 3 whose parameters are views, one behind the other."""
    layers = []
    for number in range(count):
        layer = torch.nn.Linear(4, 3, device="meta")
        layer.weight = torch.nn.Parameter(weights[12 * number :][:12].view(3, 4), requires_grad=False)
        layer.bias = torch.nn.Parameter(biases[3 * number :][:3], requires_grad=False)
        layers.append(layer)
    return layers


def test_layers_that_lie_behind_one_another_are_one_product() -> None:
    layers, states = linears(3, torch.randn(50), torch.randn(9)), torch.randn(2, 5, 4)
    joined = Joined.of(*layers)
    assert joined is not None
    assert joined.weight.data_ptr() == layers[0].weight.data_ptr()
    for found, layer in zip(joined(states), layers, strict=True):
        torch.testing.assert_close(found, layer(states))


def test_layers_that_lie_elsewhere_are_not_joined() -> None:
    one, two, three = linears(3, torch.randn(50), torch.randn(9))
    apart = torch.nn.Linear(4, 3)
    assert Joined.of(one, three) is None
    assert Joined.of(two, one) is None
    assert Joined.of(one, apart) is None
    apart.weight = two.weight
    assert Joined.of(one, apart) is None, "its bias is elsewhere"


def test_the_engine_s_attentions_are_joined_wherever_weights_are(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    of = fused._Inputs.of
    monkeypatch.setattr(fused._Inputs, "of", lambda block: found.append(of(block)) or found[-1])
    for residency in (Residency.STREAMED, Residency.STAGED, Residency.RESIDENT):
        events = engine.run(make_requests(toys["sigma"]), lambda _: False, forced=Forced(residency))
        assert [event for event in events if isinstance(event, ImageFailed)] == []
    assert len(found) >= 6
    for inputs in found:
        assert inputs.of_states is not None
        assert inputs.of_texts is not None


def test_a_block_that_fails_leaves_the_library_s_own_behind(transformer: Any) -> None:
    before = prediction(transformer)
    with pytest.raises(RuntimeError, match="on purpose"), fused.fused_blocks(transformer):
        raise RuntimeError("on purpose")
    assert "forward" not in vars(transformer.transformer_blocks[0])
    assert torch.equal(prediction(transformer), before)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_moments_of_pieces_are_those_of_the_whole(offset: float) -> None:
    """Also where the mean is large against the deviation, in the fp32 that a GPU takes them in."""
    rows = torch.randn(3, 4096, generator=torch.Generator().manual_seed(1)) * torch.tensor([[0.01], [1], [20]]) + offset
    pieces = rows.view(3, 64, 64)
    means, inverses = pieces.mean(dim=2), torch.rsqrt(pieces.var(dim=2, correction=0) + EPS)
    mean, inverse = fused.combined_moments(means, inverses, EPS)
    wanted = rows.double()
    torch.testing.assert_close(mean.double(), wanted.mean(dim=1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(inverse.double(), torch.rsqrt(wanted.var(dim=1, correction=0) + EPS), rtol=1e-3, atol=0)


def test_fast_pictures_name_fused_blocks_and_exact_ones_do_not(engine: Engine, toys: dict[str, Path]) -> None:
    fast = run(engine, make_requests(toys["sigma"]))
    exact = run(engine, make_requests(toys["sigma"], numerics="exact"))
    assert facts_of(fast)[0]["kernels"]["blocks"] == "fused"
    assert facts_of(exact)[0]["kernels"]["blocks"] == "eager"
    difference = np.linalg.norm(latents_of(fast)[0] - latents_of(exact)[0]) / np.linalg.norm(latents_of(exact)[0])
    assert 0 < difference < 1e-4
    assert np.abs(np.asarray(images_of(fast)[0], int) - np.asarray(images_of(exact)[0], int)).max() <= 2
