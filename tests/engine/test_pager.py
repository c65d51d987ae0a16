"""What comes through the pager equals the whole module, bit for bit: every precision, any number of kept units.

The whole module is loaded by the libraries' own calls, from the same files.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import PixArtTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel

from pixart_ui.catalog import Component
from pixart_ui.engine.layout import lay_out
from pixart_ui.engine.paged import Paged
from pixart_ui.engine.pager import Pager, Ring
from pixart_ui.engine.reading import Reader
from pixart_ui.engine.shapes import shape_of, tensors_of
from pixart_ui.engine.tensorfile import read_folder
from pixart_ui.errors import CheckpointError
from pixart_ui.request import Precision
from tests.engine.stock import stock_text_encoder, stock_transformer

CPU = torch.device("cpu")
SIXTEEN_BIT = (Precision.FP16, Precision.BF16)


@contextmanager
def paged(component: Component, folder: Path, *, kept: int, slots: int = 2) -> Iterator[tuple[Paged, Pager]]:
    reader, ring = Reader(2), Ring(CPU, 2**16)
    module = Paged(component, folder, read_folder(folder), CPU)
    pager = Pager(
        module.layout, CPU, ring, reader, kept_units=kept, slots=slots, is_repeated=component == "transformer"
    )
    try:
        pager.start()
        module.attach(pager)
        yield module, pager
    finally:
        module.detach()
        pager.close()
        reader.close()


@pytest.fixture(scope="module")
def stored(toys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Component, Precision], Path]:
    """A component's folder with its weights as the precision stores them, written by the libraries."""
    root = tmp_path_factory.mktemp("stored")

    def make(component: Component, precision: Precision) -> Path:
        folder = root / f"{component}-{precision}"
        if not folder.exists():
            whole = stock_text_encoder if component == "text_encoder" else stock_transformer
            module = whole(toys["sigma"], precision, is_widened=False)
            module.config.save_pretrained(folder) if component == "text_encoder" else module.save_config(folder)
            state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
            state.pop("encoder.embed_tokens.weight", None)  # the same memory as `shared`
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def inputs(text: int = 0) -> dict[str, torch.Tensor]:
    """A prompt of 5 tokens and more, some of them masked."""
    count = 5 + text
    mask = torch.ones(1, count, dtype=torch.long)
    mask[0, -1 - text :] = 0
    return {"input_ids": torch.arange(3 + text, 3 + text + count)[None], "attention_mask": mask}


@pytest.mark.parametrize("kept", [0, 1, 3, 6])
@pytest.mark.parametrize("precision", Precision)
def test_every_text_equals_the_whole_text_encoder(
    toys: dict[str, Path], stored: Callable[..., Path], precision: Precision, kept: int
) -> None:
    texts = [inputs(text) for text in range(3)]
    whole = stock_text_encoder(toys["sigma"], precision)
    with torch.no_grad():
        expected = [whole(**text)[0] for text in texts]
        with paged("text_encoder", stored("text_encoder", precision), kept=kept) as (module, _):
            for _ in range(2):
                found = module.run([lambda text=text: module.module(**text)[0] for text in texts])
                assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
            assert torch.equal(module.module(**texts[1])[0], expected[1])


def transformer_inputs(size: int = 8, batch: int = 2) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(batch, 4, size, size + 4, generator=generator),
        "encoder_hidden_states": torch.randn(batch, 7, 64, generator=generator),
        "timestep": torch.tensor([400] * batch),
        "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
        "return_dict": False,
    }


@pytest.mark.parametrize("kept", [0, 1, 2, 4])
@pytest.mark.parametrize("precision", SIXTEEN_BIT)
def test_every_step_equals_the_whole_transformer(
    toys: dict[str, Path], stored: Callable[..., Path], precision: Precision, kept: int
) -> None:
    whole: PixArtTransformer2DModel = stock_transformer(toys["sigma"], precision)
    with torch.no_grad(), paged("transformer", stored("transformer", precision), kept=kept) as (module, _):
        for size in (8, 8, 6, 16):
            values = transformer_inputs(size)
            assert torch.equal(module.module(**values)[0], whole(**values)[0])


def test_one_flipped_weight_of_the_last_unit_is_noticed(
    toys: dict[str, Path], stored: Callable[..., Path], tmp_path: Path
) -> None:
    """The comparison above would be worthless if it could not fail."""
    folder = stored("text_encoder", Precision.FP16)
    weights = load_file(folder / "model.safetensors")
    weights["encoder.block.1.layer.1.DenseReluDense.wo.weight"][3, 5] *= -1
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    whole: T5EncoderModel = stock_text_encoder(toys["sigma"], Precision.FP16)
    with torch.no_grad(), paged("text_encoder", tmp_path, kept=0) as (module, _):
        assert not torch.equal(module.module(**inputs())[0], whole(**inputs())[0])


def test_the_ring_grows_to_hold_what_passes_again_and_never_above_its_limit() -> None:
    ring = Ring(CPU, 1000, 4000)
    assert [slot.numel() for slot in ring.slots(300, 9, is_worth_more=False)] == [300] * 3
    assert [slot.numel() for slot in ring.slots(300, 9, is_worth_more=True)] == [300] * 9
    assert [slot.numel() for slot in ring.slots(300, 40, is_worth_more=True)] == [300] * 13
    assert [slot.numel() for slot in ring.slots(3000, 9, is_worth_more=True)] == [3000] * 2  # no fewer than two
    slots = ring.slots(500, 4, is_worth_more=True)
    assert slots[1].data_ptr() - slots[0].data_ptr() == 500


def test_a_processor_has_two_slots_and_gives_them_back(stored: Callable[..., Path]) -> None:
    ring = Ring.of(CPU)
    assert [slot.numel() for slot in ring.slots(300, 72, is_worth_more=True)] == [300] * 2
    assert [slot.numel() for slot in ring.slots(200, 72, is_worth_more=False)] == [200] * 2
    ring.release()
    assert ring._memory is None


@pytest.mark.parametrize("precision", SIXTEEN_BIT)
@pytest.mark.parametrize("component", ["text_encoder", "transformer"])
def test_the_planner_knows_the_slots_of_a_processor(
    stored: Callable[..., Path], component: Component, precision: Precision
) -> None:
    entries = read_folder(stored(component, precision))
    planned = shape_of(component, tensors_of(entries), precision, is_cpu=True).largest_segment
    assert planned == lay_out(component, entries, is_widened=True).largest_host_bytes


def test_what_is_kept_moves_once_and_what_is_streamed_at_every_pass(stored: Callable[..., Path]) -> None:
    folder = stored("transformer", Precision.FP16)
    moved = {}
    for kept in (0, 4):
        with torch.no_grad(), paged("transformer", folder, kept=kept) as (module, pager):
            for _ in range(4):
                module.module(**transformer_inputs())
            pager.close()
            moved[kept] = pager.bytes_moved
    layout = lay_out("transformer", read_folder(folder), is_widened=True)
    assert moved[4] == layout.root.host_bytes + sum(unit.host_bytes for unit in layout.units)
    assert moved[0] >= moved[4] + 3 * sum(unit.host_bytes for unit in layout.units)


def test_a_file_cut_short_while_it_is_paged_is_one_sentence(stored: Callable[..., Path], tmp_path: Path) -> None:
    folder = stored("text_encoder", Precision.FP16)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with torch.no_grad(), paged("text_encoder", tmp_path, kept=0) as (module, _):
        module.module(**inputs())
        with (tmp_path / "model.safetensors").open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(CheckpointError, match="cut short"):
            module.run([lambda: [module.module(**inputs()) for _ in range(3)]])


def test_an_error_in_one_text_ends_the_pass_and_leaves_nothing_running(stored: Callable[..., Path]) -> None:
    folder = stored("text_encoder", Precision.FP16)
    with torch.no_grad(), paged("text_encoder", folder, kept=0) as (module, _):
        blocks = module.module.encoder.block

        def fail(*_: Any) -> None:
            raise MemoryError("injected")

        handle = blocks[1].register_forward_pre_hook(fail)
        with pytest.raises(MemoryError, match="injected"):
            module.run([lambda text=text: module.module(**inputs(text)) for text in range(3)])
        handle.remove()
    with torch.no_grad(), paged("text_encoder", folder, kept=0) as (module, _):
        assert module.run([lambda: module.module(**inputs())[0]])[0].shape == (1, 5, 64)


@pytest.mark.parametrize("entered", range(3))
def test_closing_in_mid_stream_ends_the_reading(stored: Callable[..., Path], entered: int) -> None:
    """A cancelled picture leaves between steps; an error anywhere."""
    folder = stored("transformer", Precision.FP16)
    with torch.no_grad(), paged("transformer", folder, kept=0) as (module, pager):
        for _ in range(entered):
            module.module(**transformer_inputs())
        module.detach()
        pager.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pager")]


def test_what_passes_once_is_not_read_ahead_for_a_pass_that_nobody_wants(stored: Callable[..., Path]) -> None:
    folder = stored("text_encoder", Precision.FP16)
    with torch.no_grad(), paged("text_encoder", folder, kept=0) as (module, pager):
        once = module.layout.root.host_bytes + sum(unit.host_bytes for unit in module.layout.units)
        for passes in (1, 2, 3):
            module.module(**inputs())
            time.sleep(0.05)  # time enough to read a toy's whole file
            assert pager.bytes_moved == module.layout.root.host_bytes + passes * (once - module.layout.root.host_bytes)


def test_pass_after_pass_never_waits_for_ever(stored: Callable[..., Path]) -> None:
    """The threads change places as often as they can, so that a wake-up that can be lost is lost."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        folder = stored("text_encoder", Precision.FP16)
        with torch.no_grad(), paged("text_encoder", folder, kept=0) as (module, pager):
            for _ in range(300):
                for unit in range(len(module.layout.units)):
                    pager.enter(unit)
                pager.end_pass()
    finally:
        sys.setswitchinterval(before)


def test_a_pass_begun_just_before_the_reader_looks_is_noticed(
    stored: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Pager._wait_until_wanted

    def late(self: Pager, item: Any) -> None:
        time.sleep(0.05)
        real(self, item)

    monkeypatch.setattr(Pager, "_wait_until_wanted", late)
    with torch.no_grad(), paged("text_encoder", stored("text_encoder", Precision.FP16), kept=0) as (module, _):
        for _ in range(4):
            module.module(**inputs())
