"""Which tensors of a component travel to the device together, and in which order they are needed: names only, no torch.

A *unit* is the smallest thing that is streamed. T5's blocks are three units each (attention; the two input matrices of
the feed-forward; its output matrix), so that two of them fit where two whole blocks would not; a block of the
transformer is one. What belongs to no unit is *root* and stays on the device while the component works. T5's embedding
table stays on the host, where only the rows of a prompt are read; the VAE's encoder is never needed.
"""

from __future__ import annotations

import re
from enum import StrEnum

from pixart_ui.catalog import Component

# Tensors of a unit lie behind one another, each at a multiple of this: what CUDA's own allocations guarantee.
ALIGNMENT_BYTES = 256

_T5_BLOCK = re.compile(r"encoder\.block\.(\d+)\.layer\.([01])\.(.+)")
_TRANSFORMER_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")
_T5_TABLES = ("shared.weight", "encoder.embed_tokens.weight")
_T5_UNITS_A_BLOCK = 3


class Place(StrEnum):
    """Where a tensor that belongs to no unit is."""

    ROOT = "root"
    HOST = "host"
    UNUSED = "unused"


def unit_of(component: Component, tensor: str) -> int | Place:
    """The number of the unit that the tensor belongs to, in the order of use, or the place of one that has none."""
    if component == "vae":
        return Place.UNUSED if tensor.startswith(("encoder.", "quant_conv.")) else Place.ROOT
    if component == "transformer":
        match = _TRANSFORMER_BLOCK.match(tensor)
        return int(match[1]) if match is not None else Place.ROOT
    if tensor in _T5_TABLES:
        return Place.HOST
    match = _T5_BLOCK.match(tensor)
    if match is None:
        return Place.ROOT
    block, layer, rest = int(match[1]), match[2], match[3]
    part = 0 if layer == "0" else 2 if ".wo." in f".{rest}" else 1
    return _T5_UNITS_A_BLOCK * block + part


def first_module(component: Component, unit: int) -> str:
    """The name of the module whose forward pass is the first to use the unit."""
    if component == "transformer":
        return f"transformer_blocks.{unit}"
    block, part = divmod(unit, _T5_UNITS_A_BLOCK)
    return f"encoder.block.{block}.layer." + ("0", "1", "1.DenseReluDense.wo")[part]


def aligned(nbytes: int) -> int:
    """The room that a tensor of so many bytes takes inside its unit."""
    return -(-nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
