"""The same arithmetic as diffusers' in fewer passes over memory, for `fast` numerics only.

A step at 1024² spends a fifth of its time on products, sums and norms that read and write the whole picture for one
operation each, and decoding half of its time in a group norm that keeps 32 of a GPU's multiprocessors busy. Here:

- scale and shift of a block's norms are the norm's own weight and bias: both halves of a guided batch are at the same
  timestep, so that they share them;
- gate and residual are one operation, and so are the feed-forward's first matrix, its bias and its activation;
- the moments of a group norm are taken piece by piece, by as many multiprocessors as there are, and then combined.

Results differ from the stock ones in the last bits, as sums are rounded less often or in another order. Modules are put
back as they were at the end; what they call, and so hooks and streamed weights, stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

FUSED = "fused"
# A picture's group is so many elements that each of so many pieces still fills a multiprocessor.
PIECES = 64
Forward = Callable[..., torch.Tensor]


@contextmanager
def fused_blocks(transformer: Any, kernel: SDPBackend | None = None) -> Iterator[None]:
    """Let every block of a PixArt transformer run this way; `kernel` is for self-attention, None is torch's choice.

    Every row of a batch must be at the same timestep and under the same conditions.
    """
    forward = _block_forward(kernel)
    blocks = transformer.transformer_blocks
    for block in blocks:
        block.forward = MethodType(forward, block)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # the class's own is behind it


@contextmanager
def spread_group_norms(vae: Any) -> Iterator[None]:
    """Let the group norms of a VAE's decoder use all of a GPU; elsewhere they stay as they are."""
    norms = [module for module in vae.decoder.modules() if isinstance(module, nn.GroupNorm)]
    for norm in norms:
        setattr(norm, "forward", MethodType(_group_norm, norm))  # noqa: B010  # mypy: a method
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _block_forward(kernel: SDPBackend | None) -> Forward:
    def forward(
        block: Any,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        timestep: torch.Tensor | None = None,
        **unused: Any,
    ) -> torch.Tensor:
        """diffusers' `BasicTransformerBlock` with `ada_norm_single`. States `[batch, tokens, width]`."""
        assert timestep is not None
        assert encoder_hidden_states is not None
        # The first block is given a transposed view, whose layout all later ones would take over.
        hidden_states = hidden_states.contiguous()
        table = block.scale_shift_table + timestep[0].reshape(6, -1)
        shift_attention, scale_attention, gate_attention, shift_ff, scale_ff, gate_ff = table.unbind()
        normed = _modulated(block.norm1, hidden_states, scale_attention, shift_attention)
        with sdpa_kernel(kernel) if kernel is not None else nullcontext():
            attended = _attend(block.attn1, normed, normed, None)
        hidden_states = torch.addcmul(hidden_states, gate_attention, attended)
        hidden_states = hidden_states + _attend(
            block.attn2, hidden_states, encoder_hidden_states, encoder_attention_mask
        )
        normed = _modulated(block.norm2, hidden_states, scale_ff, shift_ff)
        return torch.addcmul(hidden_states, gate_ff, _feed_forward(block.ff, normed))

    return forward


def _modulated(norm: nn.LayerNorm, states: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(states, norm.normalized_shape, 1 + scale, shift, norm.eps)


def _attend(attention: Any, states: torch.Tensor, context: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`bias` `[batch, 1, context tokens]` is 0 where a token counts and a large negative number where not."""
    batch, tokens, _ = states.shape
    query = attention.to_q(states).view(batch, tokens, attention.heads, -1).transpose(1, 2)
    key = attention.to_k(context).view(batch, context.shape[1], attention.heads, -1).transpose(1, 2)
    value = attention.to_v(context).view(batch, context.shape[1], attention.heads, -1).transpose(1, 2)
    mask = bias[:, None].expand(-1, attention.heads, -1, -1) if bias is not None else None
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    projected: torch.Tensor = attention.to_out[0](attended.transpose(1, 2).reshape(batch, tokens, -1))
    return projected


def _feed_forward(feed_forward: Any, states: torch.Tensor) -> torch.Tensor:
    first, _, second = feed_forward.net
    if states.is_cuda:
        flat = states.reshape(-1, states.shape[-1])
        # cuBLAS's own epilogue is the tanh approximation, which is PixArt's activation.
        inner = torch._addmm_activation(first.proj.bias, flat, first.proj.weight.t(), use_gelu=True)
        inner = inner.view(*states.shape[:-1], -1)
    else:
        inner = first(states)
    projected: torch.Tensor = second(inner)
    return projected


def _group_norm(norm: nn.GroupNorm, states: torch.Tensor) -> torch.Tensor:
    """`states` `[n, channels, …]`; moments and arithmetic in fp32, as the stock kernel has them."""
    if not states.is_cuda or not states.is_contiguous():
        return functional.group_norm(states, norm.num_groups, norm.weight, norm.bias, norm.eps)
    rows, channels = states.shape[0] * norm.num_groups, states.shape[1]
    pieces = math.gcd(states.numel() // rows, PIECES)
    means, inverses = torch.batch_norm_stats(states.view(1, rows * pieces, -1), norm.eps)
    mean, inverse = combined_moments(means.view(rows, pieces), inverses.view(rows, pieces), norm.eps)
    each = channels // norm.num_groups
    normed = torch.batch_norm_elemt(
        states.view(1, states.shape[0] * channels, -1),
        norm.weight.float().repeat(states.shape[0]),
        norm.bias.float().repeat(states.shape[0]),
        mean.repeat_interleave(each),
        inverse.repeat_interleave(each),
        norm.eps,
    )
    return normed.view(states.shape)


def combined_moments(means: torch.Tensor, inverses: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and `1 / sqrt(variance + eps)` of rows whose pieces, all of one length, have these: `[rows, pieces]`."""
    mean = means.mean(dim=1)
    variance = (inverses**-2 - eps).mean(dim=1) + means.var(dim=1, correction=0)
    return mean, torch.rsqrt(variance + eps)
