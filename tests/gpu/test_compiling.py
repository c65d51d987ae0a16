"""Compiled blocks on a real GPU, at the full width with random weights: close, deterministic, compiled once, faster.

python -m pytest -m gpu tests/gpu/test_compiling.py -s
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import PixArtTransformer2DModel
from torch._dynamo.utils import counters

from pixart_ui.engine import attention, compiling, fused
from pixart_ui.engine.device import open_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.filterwarnings("ignore"),  # of torch's compiler
    pytest.mark.timeout(600),
]
PASSES = 10
# Of fp16 sums in another order, through all blocks.
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(compiling.CACHE_VARIABLE, str(tmp_path_factory.mktemp("compiled")))
        compiling.require(open_device("cuda"))
        torch.manual_seed(0)
        module = PixArtTransformer2DModel(sample_size=128, caption_channels=4096, use_additional_conditions=False)
        yield module.eval().requires_grad_(False).to("cuda", torch.float16)


@torch.no_grad()
def passes(transformer: Any, num_tokens: int, count: int = 1) -> tuple[torch.Tensor, float]:
    """The prediction at 1024 × 1024 with guidance, and the seconds of a pass; the first is not counted."""
    generator = torch.Generator("cuda").manual_seed(num_tokens)
    make = {"device": "cuda", "dtype": torch.float16, "generator": generator}
    latents, states = torch.randn(2, 4, 128, 128, **make), torch.randn(2, num_tokens, 4096, **make)
    for index in range(count + 1):
        predicted = transformer(
            latents,
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(2, num_tokens, device="cuda"),
            timestep=torch.tensor([500, 500], device="cuda"),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        torch.cuda.synchronize()
        if index == 0:
            started = time.perf_counter()
    return predicted.float().cpu(), (time.perf_counter() - started) / count


@pytest.mark.parametrize("kernel", [attention.DEFAULT, *attention.KERNELS])
def test_compiled_blocks_at_full_width(transformer: Any, kernel: str) -> None:
    torch._dynamo.reset()
    found: dict[tuple[int, bool], torch.Tensor] = {}
    count = int(counters["stats"]["unique_graphs"])
    with fused.fused_blocks(transformer, attention.backend_of(kernel)):
        for num_tokens in (13, 8, 120, 300):
            for is_wanted in (False, True):
                started = time.perf_counter()
                with compiling.compiled_blocks(transformer) if is_wanted else nullcontext():
                    found[num_tokens, is_wanted], seconds = passes(transformer, num_tokens, PASSES)
                whole = time.perf_counter() - started
                name = compiling.COMPILED if is_wanted else fused.FUSED
                print(f"{kernel}, {num_tokens} tokens, {name}: {1000 * seconds:.1f} ms a pass, {whole:.1f} s in all")
            difference = found[num_tokens, True] - found[num_tokens, False]
            assert difference.norm() / found[num_tokens, False].norm() < TOLERANCE
        graphs = int(counters["stats"]["unique_graphs"]) - count
        print(f"{kernel}: {graphs} graphs")
        assert graphs <= 2  # lengths that are multiples of eight may have their own
        torch._dynamo.reset()
        with compiling.compiled_blocks(transformer):
            again, _ = passes(transformer, 120)
    torch.testing.assert_close(again, found[120, True], rtol=0, atol=0)


def test_the_cache_is_where_it_was_wanted(transformer: Any) -> None:
    with compiling.compiled_blocks(transformer):
        passes(transformer, 20)
    assert any(Path(os.environ[compiling.CACHE_VARIABLE]).rglob("*.cubin"))
