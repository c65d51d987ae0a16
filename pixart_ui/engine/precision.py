"""How each precision of the text encoder is loaded.

T5's `wo` weights stay in fp32 beside fp16 ones, as transformers does at load: cast to fp16 their products overflow and
the picture is noise. bitsandbytes leaves them out for the same reason. So casting is done by `from_pretrained` alone.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from pixart_ui.engine.device import Device
from pixart_ui.errors import DeviceError
from pixart_ui.request import Precision

QUANTIZED = frozenset({Precision.INT8, Precision.NF4, Precision.FP4})


def text_encoder_arguments(precision: Precision, device: Device) -> dict[str, Any]:
    """Keyword arguments for `T5EncoderModel.from_pretrained`. Raises DeviceError where bitsandbytes is absent."""
    if precision not in QUANTIZED:
        return {"dtype": device.storage_dtype(precision)}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DeviceError(
            f"Precision {precision} needs the package bitsandbytes, which is not installed: "
            "run `pip install bitsandbytes`, or choose fp16."
        )
    compute_dtype = device.compute_dtype(precision)
    return {"dtype": compute_dtype, "quantization_config": _quantization(precision, compute_dtype)}


def _quantization(precision: Precision, compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    if precision is Precision.INT8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=precision.value, bnb_4bit_compute_dtype=compute_dtype
    )
