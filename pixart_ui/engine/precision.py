"""How each precision is loaded, and what it asks of the device.

T5's `wo` weights stay in fp32 beside fp16 ones, as transformers does at load: cast to fp16 their products overflow and
the picture is noise. bitsandbytes leaves them out for the same reason. So casting is done by `from_pretrained` alone.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import diffusers
import torch
from transformers import BitsAndBytesConfig

from pixart_ui.engine.device import Device
from pixart_ui.errors import DeviceError
from pixart_ui.request import Precision, TransformerPrecision

QUANTIZED = frozenset({Precision.INT8, Precision.NF4, Precision.FP4})
# What bitsandbytes' int8 products need: Turing cards and newer ones.
INT8_CAPABILITY = (7, 5)


def text_encoder_arguments(precision: Precision, device: Device) -> dict[str, Any]:
    """Keyword arguments for `T5EncoderModel.from_pretrained`. Raises DeviceError where bitsandbytes is absent."""
    if precision not in QUANTIZED:
        return {"dtype": device.storage_dtype(precision)}
    require(precision)
    compute_dtype = device.compute_dtype(precision)
    return {"dtype": compute_dtype, "quantization_config": _quantization(precision, compute_dtype)}


def require(precision: Precision) -> None:
    """Raises DeviceError where the precision needs bitsandbytes and it is absent."""
    if precision in QUANTIZED and importlib.util.find_spec("bitsandbytes") is None:
        raise DeviceError(
            f"Precision {precision} needs the package bitsandbytes, which is not installed: "
            "run `pip install bitsandbytes`, or choose fp16."
        )


def require_transformer(precision: TransformerPrecision, device: Device) -> None:
    """Raises DeviceError where the device, or this installation, cannot have a transformer of that precision."""
    what = f"Transformer precision {precision}"
    if precision is TransformerPrecision.FP8 and device.torch_device.type == "mps":
        raise DeviceError(f"{what} needs 8-bit floats, which {device.name} does not have: choose fp16 or bf16.")
    if precision not in (TransformerPrecision.INT8, TransformerPrecision.NF4):
        return
    if not device.is_cuda:
        raise DeviceError(
            f"{what} needs an NVIDIA GPU, where bitsandbytes makes it, and the device is {device.name}: "
            "choose fp16, bf16 or fp8."
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DeviceError(
            f"{what} needs the package bitsandbytes, which is not installed: "
            "run `pip install bitsandbytes`, or choose fp16."
        )
    capability = torch.cuda.get_device_capability(device.torch_device)
    if precision is TransformerPrecision.INT8 and capability < INT8_CAPABILITY:
        raise DeviceError(f"{what} needs a Turing card or a newer one, {device.name} is older: choose fp8 or nf4.")


def transformer_quantization(precision: TransformerPrecision, compute_dtype: torch.dtype) -> Any:
    """The `quantization_config` of `PixArtTransformer2DModel.from_pretrained`."""
    if precision is TransformerPrecision.INT8:
        return diffusers.BitsAndBytesConfig(load_in_8bit=True)
    return diffusers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=precision.value, bnb_4bit_compute_dtype=compute_dtype
    )


def _quantization(precision: Precision, compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    if precision is Precision.INT8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=precision.value, bnb_4bit_compute_dtype=compute_dtype
    )
