"""Workers of the same kind of device draw the same pictures: the first to choose an attention kernel chose for all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from pixart_ui.engine.attention import DEFAULT
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.device import open_device
from pixart_ui.engine.planning import Planning

# What the choice is kept by.
TRANSFORMER = SimpleNamespace(
    config=SimpleNamespace(num_attention_heads=16, attention_head_dim=72), dtype=torch.float16
)
SHAPE = "16x72/torch.float16"


def choose_elsewhere(path: Path, key: str, kernel: str) -> None:
    """As another worker does that began before this one had to choose."""
    table = Table.load(path)
    table.having(key, table.of(key).learn_kernel(SHAPE, kernel)).save(path)


def test_a_worker_takes_the_kernel_that_another_chose_after_it_began(tmp_path: Path) -> None:
    planning = Planning(open_device("cpu"), tmp_path / "calibration.json")
    choose_elsewhere(tmp_path / "calibration.json", planning.key, "flash")
    assert planning.kernel(TRANSFORMER, batch=2, tokens=16) == "flash"


def test_what_one_worker_chose_is_there_for_the_next_at_once(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    planning = Planning(open_device("cpu"), path)
    assert planning.kernel(TRANSFORMER, batch=2, tokens=16) == DEFAULT
    assert Table.load(path).of(planning.key).kernels == {SHAPE: DEFAULT}


def test_a_worker_that_writes_what_it_measured_leaves_the_choice_of_another(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    planning = Planning(open_device("cpu"), path)
    choose_elsewhere(path, planning.key, "cudnn")
    planning.save()
    assert Table.load(path).of(planning.key).kernels == {SHAPE: "cudnn"}


def test_without_a_file_the_choice_is_kept_in_memory() -> None:
    assert Planning(open_device("cpu"), None).kernel(TRANSFORMER, batch=2, tokens=16) == DEFAULT
