"""How many bytes a component's weights take on the device, from the headers of its files and without loading them."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixart_ui.catalog import Component
from pixart_ui.request import Precision

VARIANTS = ("fp16", "bf16")
# Bytes a weight: the number itself, and for 4 bit one fp32 scale for each block of 64.
QUANTIZED_BYTES = {Precision.INT8: 1.0, Precision.NF4: 0.5 + 4 / 64, Precision.FP4: 0.5 + 4 / 64}


@dataclass(frozen=True)
class Tensor:
    """One weight in a file: its name, how many numbers it has, and its number of dimensions."""

    name: str
    numel: int
    ndim: int


def read_tensors(folder: Path, variant: str | None = None) -> Iterator[Tensor]:
    """All tensors in the folder's safetensors files of that variant, from their headers."""
    for path in sorted(folder.glob("*.safetensors")):
        if _variant(path) != variant:
            continue
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                yield Tensor(name, math.prod(entry["shape"]), len(entry["shape"]))


def _variant(path: Path) -> str | None:
    return next((part for part in path.name.split(".") if part in VARIANTS), None)


def device_bytes(
    component: Component, folder: Path, precision: Precision, *, is_cpu: bool, variant: str | None = None
) -> int:
    """Bytes that the component will take: 16-bit (fp32 on a CPU), T5's linear layers as the precision says."""
    width = 4 if is_cpu else 2
    tensors = list(read_tensors(folder, variant))
    if not tensors:  # pickled weights: fp32 on disk
        return sum(path.stat().st_size for path in folder.glob("*.bin")) * width // 4
    if component == "text_encoder":
        return sum(_text_encoder_bytes(tensor, precision, width) for tensor in tensors)
    return sum(tensor.numel * width for tensor in tensors)


def _text_encoder_bytes(tensor: Tensor, precision: Precision, width: int) -> int:
    is_linear = tensor.ndim == 2 and tensor.name.startswith("encoder.block") and "relative_attention" not in tensor.name
    if ".wo." in tensor.name:  # never quantized, and fp32 beside fp16
        return tensor.numel * (2 if width == 2 and precision is Precision.BF16 else 4)
    if is_linear and precision in QUANTIZED_BYTES:
        return math.ceil(tensor.numel * QUANTIZED_BYTES[precision])
    return tensor.numel * width
