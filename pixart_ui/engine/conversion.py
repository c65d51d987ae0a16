"""Turning a checkpoint's weights into the form that is wanted, one tensor at a time.

Every number comes out as the libraries' own loading gives it: cast by torch, quantized by bitsandbytes' own classes on
the device that will compute with it, and before any forward pass (the first one on a CPU may repack the weights in
place). Memory holds a few tensors, never the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from filelock import Timeout

from pixart_ui.engine import weightfile
from pixart_ui.engine.device import Device
from pixart_ui.engine.forms import QUANTIZED, WeightSource, is_quantized, wanted_dtype
from pixart_ui.engine.precision import text_encoder_arguments
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.engine.tensorsource import DTYPES, WORDS, Reader, bytes_of, readers
from pixart_ui.engine.units import Place, unit_of
from pixart_ui.engine.weightfile import PlannedFile, PlannedTensor, Progress
from pixart_ui.engine.weights import WeightStore, metadata_of, size_of
from pixart_ui.errors import CheckpointError
from pixart_ui.request import Precision

# What weights may be stored as before they are converted.
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
SECONDS_BETWEEN_LOOKS = 0.5


def ensure_component(
    store: WeightStore, source: WeightSource, device: Device, progress: Progress
) -> dict[str, TensorEntry]:
    """Where each tensor of the component lies in the form that is wanted: converts it first where nobody has.

    The checkpoint's own files where they are in that form already. `progress` gets bytes done and in all while a
    conversion runs, here or in another process; what it raises stops it, and the next call goes on from there.
    Raises CheckpointError, DiskFullError, DeviceError where bitsandbytes is needed and absent.
    """
    device_type = device.torch_device.type
    own = source.entries()
    if source.is_ready(own, device_type):
        return own
    key = source.key(device_type)
    entries = store.find(key)
    if entries is None:
        _convert(store, source, device, progress)
        entries = store.find(key)
    if entries is None:
        raise CheckpointError(f"{store.path(key)} was written and is not as it was written: check the disk it is on.")
    return entries


def _convert(store: WeightStore, source: WeightSource, device: Device, progress: Progress) -> None:
    """Make the file, or wait until another process has."""
    conversion = _Conversion.plan(source, device)
    key = source.key(device.torch_device.type)
    path = store.path(key)
    planned = PlannedFile.of(path, metadata_of(key), [part.tensors for part in conversion.parts])
    while True:
        try:
            with store.locked(path, SECONDS_BETWEEN_LOOKS):
                if store.find(key) is None:
                    weightfile.write(planned, conversion.make_part, _versions(source.precision), progress)
                return
        except Timeout:
            progress(size_of(planned.part_path) or 0, planned.size)


@dataclass(frozen=True)
class _Part:
    """One tensor of the checkpoint and what becomes of it."""

    name: str
    reader: Reader
    tensors: tuple[PlannedTensor, ...]
    is_quantized: bool


@dataclass(frozen=True)
class _Conversion:
    """All parts, in the order of their use."""

    parts: Sequence[_Part]
    quantizer: _Quantizer | None

    @classmethod
    def plan(cls, source: WeightSource, device: Device) -> _Conversion:
        """Read headers and decide. Raises CheckpointError, DeviceError."""
        needs_quantizer = source.component == "text_encoder" and source.precision in QUANTIZED
        quantizer = _Quantizer.of(source.precision, device) if needs_quantizer else None
        found = readers(source)
        names = sorted(found, key=partial(_order, source))
        device_type = device.torch_device.type
        return cls([_plan_part(source, name, found[name], device_type, quantizer) for name in names], quantizer)

    def make_part(self, index: int) -> Iterator[memoryview]:
        """The bytes of one part, tensor after tensor."""
        part = self.parts[index]
        tensor = part.reader.read()
        if part.is_quantized and self.quantizer is not None:
            made = self.quantizer.quantize(tensor)
        else:
            made = [tensor.to(DTYPES[part.tensors[0].dtype])]
        for result in made:
            yield bytes_of(result.cpu())


@dataclass(frozen=True)
class _Quantizer:
    """bitsandbytes, as `from_pretrained` uses it with this project's arguments."""

    precision: Precision
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, precision: Precision, device: Device) -> _Quantizer:
        """Raises DeviceError where bitsandbytes is absent."""
        return cls(precision, device.torch_device, text_encoder_arguments(precision, device)["dtype"])

    def plan(self, name: str, shape: tuple[int, ...]) -> tuple[PlannedTensor, ...]:
        """What a weight becomes, in bitsandbytes' portable layout: a description of it can be loaded anywhere."""
        rows, columns = shape
        if self.precision is Precision.INT8:
            scales = f"{name.removesuffix('weight')}SCB"
            return PlannedTensor(name, "I8", shape), PlannedTensor(scales, "F32", (rows,))
        state = self._empty_state(shape).as_dict(packed=True)
        packed = PlannedTensor(name, "U8", (-(-rows * columns // 2), 1))
        return packed, *(_planned(f"{name}.{word}", value) for word, value in state.items())

    def quantize(self, weight: torch.Tensor) -> list[torch.Tensor]:
        """The tensors that `plan` promises, in its order."""
        import bitsandbytes as bnb

        cast = weight.to(self.dtype)
        if self.precision is Precision.INT8:
            rounded = bnb.nn.Int8Params(cast, requires_grad=False, has_fp16_weights=False).to(self.device)
            return [rounded.data, rounded.SCB]
        packed = bnb.nn.Params4bit(
            cast, requires_grad=False, compress_statistics=False, quant_type=self.precision.value
        ).to(self.device)
        return [packed.data, *packed.quant_state.as_dict(packed=True).values()]

    def _empty_state(self, shape: tuple[int, ...]) -> Any:
        """A description of the right size, before there is anything to describe."""
        import bitsandbytes as bnb

        block = bnb.nn.Params4bit(torch.empty(0)).blocksize
        return bnb.functional.QuantState(
            absmax=torch.empty(-(-shape[0] * shape[1] // block)),
            shape=torch.Size(shape),
            code=bnb.functional.get_4bit_type(self.precision.value, device="cpu"),
            blocksize=block,
            quant_type=self.precision.value,
            dtype=self.dtype,
        )


def _plan_part(
    source: WeightSource, name: str, reader: Reader, device_type: str, quantizer: _Quantizer | None
) -> _Part:
    if reader.dtype not in FLOATS:
        raise CheckpointError(
            f"{name} in {source.folder} is stored as {reader.dtype}, weights are converted from fp32, fp16 or bf16: "
            "get the checkpoint that is not quantized."
        )
    if quantizer is not None and is_quantized(source.component, name, reader.shape, source.precision):
        return _Part(name, reader, quantizer.plan(name, reader.shape), is_quantized=True)
    dtype = wanted_dtype(source.component, name, source.precision, device_type)
    return _Part(name, reader, (PlannedTensor(name, dtype, reader.shape),), is_quantized=False)


def _order(source: WeightSource, name: str) -> tuple[int, int, str]:
    """What stays on the device first, then the units as they are used, then the tables that stay on the host."""
    place = unit_of(source.component, name)
    if isinstance(place, int):
        return 1, place, name
    return (2 if place is Place.HOST else 0), 0, name


def _planned(name: str, tensor: torch.Tensor) -> PlannedTensor:
    return PlannedTensor(name, WORDS[tensor.dtype], tuple(tensor.shape))


def _versions(precision: Precision) -> dict[str, str]:
    packages = ("torch", "bitsandbytes") if precision in QUANTIZED else ("torch",)
    return {package: version(package) for package in packages}
