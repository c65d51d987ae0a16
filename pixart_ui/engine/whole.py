"""A transformer below 16 bits, as the libraries make it while they load it: fp8, int8 or nf4.

It comes whole and by diffusers' own calls, so that its numbers are those of anybody who makes them. It leaves by being
deleted and never moves: an int8 module that is moved away keeps its memory on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from diffusers import PixArtTransformer2DModel

from pixart_ui.engine import memory
from pixart_ui.engine.device import Device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.paged import ByUnit
from pixart_ui.engine.precision import transformer_quantization
from pixart_ui.request import TransformerPrecision

T = TypeVar("T")


class Whole:
    """The transformer on the device. Belongs to the thread that computes."""

    def __init__(self, source: WeightSource, device: Device) -> None:
        """Load it. Raises what the libraries raise for unreadable files, KeyError where a weight is missing."""
        self.module: Any = _load(source, device)
        self.weight_bytes = sum(tensor.nbytes for tensor in _tensors(self.module))
        memory.release(device)  # what quantizing needed beside the weights

    @property
    def bytes_moved(self) -> int:
        """As they lie on the device; it gets all of them at once."""
        return self.weight_bytes

    @property
    def wait_seconds(self) -> float:
        return 0.0

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """One after the other: the weights are there already."""
        return [call() for call in calls]

    def run_by_unit(self, calls: Sequence[Callable[[], T]]) -> ByUnit[list[T]]:
        """There is nothing to pause for."""
        yield from ()
        return self.run(calls)

    def close(self) -> None:
        """Empty every layer: whoever still holds the module, as its own hooks do, holds no weights."""
        for layer in list(self.module.modules()):
            vars(layer).clear()
        self.module = None


def _load(source: WeightSource, device: Device) -> Any:
    assert source.whole is not None
    arguments: dict[str, Any] = {
        "torch_dtype": device.storage_dtype(source.precision),
        "variant": source.variant(),
        "local_files_only": True,
        "use_safetensors": all(path.suffix == ".safetensors" for path in source.files()),
    }
    compute_dtype = device.compute_dtype(source.precision)
    if source.whole is not TransformerPrecision.FP8:
        arguments["quantization_config"] = transformer_quantization(source.whole, compute_dtype)
        arguments["device_map"] = {"": str(device.torch_device)}
    module = PixArtTransformer2DModel.from_pretrained(source.folder, **arguments)
    _check_complete(module)
    if source.whole is TransformerPrecision.FP8:
        if compute_dtype is torch.float32:
            module = module.float()
        module.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=compute_dtype)
        module = module.to(device.torch_device)
    return module


def _check_complete(module: Any) -> None:
    """The library goes on where weights are missing."""
    missing = [name for name, parameter in module.named_parameters() if parameter.is_meta]
    if missing:
        raise KeyError(f"{len(missing)} weights are missing, the first is {missing[0]}")


def _tensors(module: Any) -> Iterator[torch.Tensor]:
    """All that it holds on the device, the scales of quantized weights included."""
    yield from module.buffers()
    for parameter in module.parameters():
        yield parameter
        scales = getattr(parameter, "SCB", None)
        state = getattr(parameter, "quant_state", None)
        yield from [scales] if scales is not None else []
        yield from [state.absmax, state.code] if state is not None else []
