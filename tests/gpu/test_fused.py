"""Fused blocks and spread group norms on a real GPU, at the full width with random weights: close, and faster.

python -m pytest -m gpu tests/gpu/test_fused.py -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from pixart_ui.engine import fused
from tests.gpu.test_compiling import TOLERANCE, passes, transformer  # noqa: F401  # a fixture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.timeout(600),
]
PASSES = 10


def test_fused_blocks_at_full_width(transformer: Any) -> None:  # noqa: F811
    stock, stock_seconds = passes(transformer, 40, PASSES)
    with fused.fused_blocks(transformer):
        ours, seconds = passes(transformer, 40, PASSES)
        again, _ = passes(transformer, 40)
    print(f"ROW a step: stock {1000 * stock_seconds:.1f} ms, fused {1000 * seconds:.1f} ms")
    assert (ours - stock).norm() / stock.norm() < TOLERANCE
    torch.testing.assert_close(again, ours, rtol=0, atol=0)
    assert seconds < stock_seconds


@torch.no_grad()
def test_spread_group_norms_at_full_width() -> None:
    torch.manual_seed(0)
    channels = (128, 256, 512, 512)
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=channels,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    vae.eval().to("cuda", torch.float16)
    latents = torch.randn(1, 4, 128, 128, device="cuda", dtype=torch.float16)
    stock, stock_seconds, stock_bytes = measured(lambda: vae.decode(latents, return_dict=False)[0])
    with fused.spread_group_norms(vae):
        ours, seconds, nbytes = measured(lambda: vae.decode(latents, return_dict=False)[0])
    print(f"ROW decode: stock {1000 * stock_seconds:.1f} ms, spread {1000 * seconds:.1f} ms")
    assert (ours.float() - stock.float()).norm() / stock.float().norm() < TOLERANCE
    assert seconds < stock_seconds
    assert nbytes <= stock_bytes + 16 * 2**20


def measured(call: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float, int]:
    """The result, the seconds of a call after the first, and the bytes that it reserved at most."""
    call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for _ in range(PASSES):
        result = call()
    torch.cuda.synchronize()
    return result, (time.perf_counter() - started) / PASSES, torch.cuda.max_memory_allocated()
