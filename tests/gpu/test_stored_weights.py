"""What bitsandbytes makes of T5 on a real GPU is stored as a stock-loaded model has it there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixart_ui.engine.conversion import ensure_component
from pixart_ui.engine.device import open_device
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.request import Precision
from tests.engine.test_weights import assert_same, ignore, stock_t5, tensors_of
from tests.toy import make_toy_checkpoint

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")]
DEVICE = "cuda"


@pytest.mark.parametrize("precision", Precision)
def test_every_tensor_of_t5_is_the_one_of_a_stock_loaded_model(tmp_path: Path, precision: Precision) -> None:
    folder = make_toy_checkpoint(tmp_path / "toy") / "text_encoder"
    source = WeightSource("text_encoder", folder, precision, "0" * 64)
    entries = ensure_component(WeightStore(tmp_path / "store"), source, open_device(DEVICE), ignore)
    assert_same(tensors_of(entries), stock_t5(folder, precision, DEVICE))
