"""The kernel of the transformer's self-attention, chosen by measuring it on the device; only for `fast` numerics.

Which kernel is the fastest at PixArt's head size of 72 differs from one GPU to the next, and from one version of torch
to the next. The others' results differ in the last bits, so the choice is kept with the device's measurements and named
in the picture. Cross-attention has a mask, which not every kernel takes: it stays with torch's own choice.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

DEFAULT = "torch's own choice"
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
# Another kernel must save this part of the time, so that a near tie is not decided by chance.
WORTH = 0.05
WARM_UP, REPEATS = 2, 5


def backend_of(kernel: str) -> SDPBackend | None:
    """torch's name of a kernel; None leaves the choice to torch."""
    return KERNELS.get(kernel)


@torch.no_grad()
def measure(transformer: Any, device: torch.device, *, batch: int, tokens: int) -> str:
    """The fastest kernel for that many tokens; on a processor there is nothing to choose."""
    if device.type != "cuda":
        return DEFAULT
    attention = transformer.transformer_blocks[0].attn1
    shape = (batch, attention.heads, tokens, attention.inner_dim // attention.heads)
    query, key, value = torch.randn(3, *shape, device=device, dtype=transformer.dtype).unbind()
    usual = _milliseconds(query, key, value, nullcontext())
    if usual is None:
        return DEFAULT
    measured = {name: _milliseconds(query, key, value, sdpa_kernel(backend)) for name, backend in KERNELS.items()}
    times = {name: time for name, time in measured.items() if time is not None}
    best = min(times, key=lambda name: times[name], default=DEFAULT)
    return best if best in times and times[best] < (1 - WORTH) * usual else DEFAULT


def _milliseconds(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, chosen: AbstractContextManager[Any]
) -> float | None:
    """The median time of one call; None where no such kernel takes these shapes here."""
    times: list[float] = []
    with warnings.catch_warnings(), chosen:
        warnings.simplefilter("ignore")  # each kernel that is ruled out says why
        try:
            for _ in range(WARM_UP + REPEATS):
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
                start.record()
                torch.nn.functional.scaled_dot_product_attention(query, key, value)
                end.record()
                end.synchronize()
                times.append(start.elapsed_time(end))
        except torch.cuda.OutOfMemoryError:
            raise  # says nothing of the kernel
        except RuntimeError:
            return None
    return sorted(times[WARM_UP:])[REPEATS // 2]
