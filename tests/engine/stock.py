"""Components as the libraries' plain calls load them, widened to fp32 as a CPU computes here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import PixArtTransformer2DModel
from transformers import BitsAndBytesConfig, T5EncoderModel

from pixart_ui.request import Precision

QUANTIZATION = {
    Precision.INT8: BitsAndBytesConfig(load_in_8bit=True),
    Precision.NF4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    Precision.FP4: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
}
DTYPES = {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}


def stock_text_encoder(folder: Path, precision: Precision, *, is_widened: bool = True) -> Any:
    """T5 from a checkpoint's folder at a precision."""
    if precision in QUANTIZATION:
        return T5EncoderModel.from_pretrained(
            folder / "text_encoder", dtype=torch.float32, quantization_config=QUANTIZATION[precision]
        )
    module = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=DTYPES[precision])
    return module.float() if is_widened else module


def stock_transformer(folder: Path, precision: Precision, *, is_widened: bool = True) -> Any:
    """The transformer from a checkpoint's folder, stored in 16 bit."""
    dtype = DTYPES.get(precision, torch.float16)
    module = PixArtTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=dtype)
    return module.float() if is_widened else module
