"""Linear layers over the same input as one product, without a copy: where their weights lie behind one another.

`layout.py` puts query, key and value of an attention so. Modules that were loaded in another way have none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Joined:
    """`count` layers of one shape: `weight` `[count × outputs, inputs]` and `bias` `[count × outputs]` are views."""

    weight: torch.Tensor
    bias: torch.Tensor
    count: int

    @classmethod
    def of(cls, *layers: nn.Linear) -> Joined | None:
        """None where the weights, or the biases, of these layers do not lie behind one another."""
        weight, bias = _as_one([layer.weight for layer in layers]), _as_one([layer.bias for layer in layers])
        return cls(weight, bias, len(layers)) if weight is not None and bias is not None else None

    def __call__(self, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`[…, inputs]` to each layer's `[…, outputs]`."""
        return functional.linear(states, self.weight, self.bias).chunk(self.count, dim=-1)


def _as_one(tensors: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """A view over tensors of one shape that follow each other in one storage, joined along their first axis."""
    first = tensors[0]
    for number, tensor in enumerate(tensors):
        if (
            tensor.shape != first.shape
            or not tensor.is_contiguous()
            or tensor.untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
            or tensor.storage_offset() != first.storage_offset() + number * first.numel()
        ):
            return None
    return first.detach().as_strided((len(tensors) * first.shape[0], *first.shape[1:]), first.stride())
