"""The same arithmetic as diffusers' in fewer passes over memory, for `fast` numerics only.

A step at 1024² spends a fifth of its time on products, sums and norms that read and write the whole picture for one
operation each, and decoding half of its time in a group norm that keeps 32 of a GPU's multiprocessors busy. Here:

- scale and shift of a block's norms are the norm's own weight and bias: both halves of a guided batch are at the same
  timestep, so that they share them;
- gate and residual are one operation, and so are the feed-forward's first matrix, its bias and its activation;
- query, key and value are one product where their weights lie behind one another (`layout.py`): three narrow ones leave
  a quarter of a large GPU without work;
- the moments of a group norm are taken piece by piece, by as many multiprocessors as there are, and then combined.

Results differ from the stock ones in the last bits, as sums are rounded less often or in another order. Modules are put
back as they were at the end; what they call, and so hooks and streamed weights, stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pixart_ui.engine.joined import Joined

FUSED = "fused"
# A picture's group is so many elements that each of so many pieces still fills a multiprocessor.
PIECES = 64
Forward = Callable[..., torch.Tensor]


@contextmanager
def fused_blocks(transformer: Any, kernel: SDPBackend | None = None, *, is_joined: bool = True) -> Iterator[None]:
    """Let every block of a PixArt transformer run this way; `kernel` is for self-attention, None is torch's choice.

    Every row of a batch must be at the same timestep and under the same conditions. Without `is_joined` all blocks
    share one function that holds no weights, as a compiler wants it.
    """
    blocks, shared = transformer.transformer_blocks, _block_forward(kernel, _Inputs())
    for block in blocks:
        forward = _block_forward(kernel, _Inputs.of(block)) if is_joined else shared
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


@dataclass(frozen=True)
class _Inputs:
    """A block's layers that take the same states, where they can be one: of its self-attention all three, of its
    cross-attention those that take the texts."""

    of_states: Joined | None = None
    of_texts: Joined | None = None

    @classmethod
    def of(cls, block: Any) -> _Inputs:
        one, other = block.attn1, block.attn2
        return cls(Joined.of(one.to_q, one.to_k, one.to_v), Joined.of(other.to_k, other.to_v))


def _block_forward(kernel: SDPBackend | None, inputs: _Inputs) -> Forward:
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
        shift_attention, _, gate_attention, shift_ff, _, gate_ff = table.unbind()
        scale_attention, scale_ff = (1 + table[1::3]).unbind()
        normed = _modulated(block.norm1, hidden_states, scale_attention, shift_attention)
        with sdpa_kernel(kernel) if kernel is not None else nullcontext():
            query, key, value = _self_inputs(block.attn1, normed, inputs.of_states)
            attended = _attend(block.attn1, query, key, value, None)
        hidden_states = torch.addcmul(hidden_states, gate_attention, attended)
        query = block.attn2.to_q(hidden_states)
        key, value = _text_inputs(block.attn2, encoder_hidden_states, inputs.of_texts)
        hidden_states = hidden_states + _attend(block.attn2, query, key, value, encoder_attention_mask)
        normed = _modulated(block.norm2, hidden_states, scale_ff, shift_ff)
        return torch.addcmul(hidden_states, gate_ff, _feed_forward(block.ff, normed))

    return forward


def _modulated(norm: nn.LayerNorm, states: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """`scale` has its one already."""
    return functional.layer_norm(states, norm.normalized_shape, scale, shift, norm.eps)


def _self_inputs(attention: Any, states: torch.Tensor, joined: Joined | None) -> Sequence[torch.Tensor]:
    """Query, key and value, `[batch, tokens, width]` each."""
    if joined is not None:
        return joined(states)
    return attention.to_q(states), attention.to_k(states), attention.to_v(states)


def _text_inputs(attention: Any, texts: torch.Tensor, joined: Joined | None) -> Sequence[torch.Tensor]:
    """Key and value, `[batch, text tokens, width]` each."""
    return joined(texts) if joined is not None else (attention.to_k(texts), attention.to_v(texts))


def _attend(
    attention: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """`bias` `[batch, 1, key tokens]` is 0 where a token counts and a large negative number where not."""
    query, key, value = (
        states.view(*states.shape[:2], attention.heads, -1).transpose(1, 2) for states in (query, key, value)
    )
    mask = bias[:, None].expand(-1, attention.heads, -1, -1) if bias is not None else None
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    projected: torch.Tensor = attention.to_out[0](attended.transpose(1, 2).flatten(2))
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
