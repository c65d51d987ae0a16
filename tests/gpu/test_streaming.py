"""On a real GPU, at full size with random weights: what is streamed equals what is whole, and could fail to.

python -m pytest -m gpu -s tests/gpu/test_streaming.py
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.engine.engine import EngineFiles
from pixart_ui.engine.pager import MAX_RING_BYTES
from pixart_ui.engine.tensorfile import TensorEntry, read_entries, read_folder
from pixart_ui.events import Phase, Planned, Residency
from pixart_ui.request import Numerics, Precision
from tests.engine.conftest import facts_of, latents_of, make_requests, never, run
from tests.gpu.test_full_size import STEPS, open_engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.timeout(600),
]
PLENTY, LITTLE, LEAST = "60GiB", "1.2GiB", "0.8GiB"
LAST_OF_T5 = "encoder.block.23.layer.1.DenseReluDense.wo.weight"
LAST_OF_TRANSFORMER = "transformer_blocks.27.ff.net.2.weight"
ONE = {"F32": b"\x00\x00\x80\x3f", "F16": b"\x00\x3c"}


def embeddings(
    files: EngineFiles, folder: Path, budget: str, precision: Precision, numerics: Numerics = Numerics.FAST
) -> tuple[Residency, list[Any]]:
    """How T5 was there, and the states of two prompts and the empty one."""
    requests = tuple(
        make_requests(folder, prompt=prompt, precision=precision, numerics=numerics)[0]
        for prompt in ("a red circle above a blue square", "an old lighthouse on a cliff " * 3)
    )
    with open_engine(files, budget) as engine:
        engine.prepare(requests)
        running = engine.run(requests, never)
        plan = next(event.plan for event in running if isinstance(event, Planned))
        running.close()  # type: ignore[attr-defined]
        found = engine.embed(requests)
    states = [embedding.states.float().numpy() for pair in found for embedding in pair if embedding is not None]
    return plan.residency(Phase.ENCODE), states


@pytest.mark.parametrize("numerics", Numerics)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8, Precision.NF4])
def test_streamed_t5_equals_t5_that_is_there_whole(
    files: EngineFiles, folder: Path, precision: Precision, numerics: Numerics
) -> None:
    how, whole = embeddings(files, folder, PLENTY, precision, numerics)
    assert how is not Residency.STREAMED
    for budget in (LITTLE, LEAST):
        how, streamed = embeddings(files, folder, budget, precision, numerics)
        assert how is Residency.STREAMED
        for one, other in zip(whole, streamed, strict=True):
            assert np.isfinite(one).all()
            np.testing.assert_array_equal(one, other)


@contextmanager
def altered(entry: TensorEntry) -> Iterator[None]:
    """One weight of the tensor is 1 meanwhile, and the file's time as it was: nothing but the numbers can tell."""
    times = (entry.path.stat().st_atime_ns, entry.path.stat().st_mtime_ns)
    new = ONE[entry.dtype]
    offset = entry.offset + entry.nbytes // 2 // len(new) * len(new)
    with entry.path.open("r+b") as file:
        file.seek(offset)
        old = file.read(len(new))
        try:
            _put(file, offset, new)
            os.utime(entry.path, ns=times)
            yield
        finally:
            _put(file, offset, old)
            os.utime(entry.path, ns=times)


def _put(file: Any, offset: int, content: bytes) -> None:
    file.seek(offset)
    file.write(content)
    file.flush()


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.NF4])
def test_one_altered_weight_of_the_last_streamed_unit_of_t5_is_noticed(
    files: EngineFiles, folder: Path, precision: Precision
) -> None:
    how, before = embeddings(files, folder, LITTLE, precision)
    assert how is Residency.STREAMED
    (path,) = files.weights_dir.glob(f"text_encoder-{precision}-*.safetensors")
    with altered(read_entries(path)[LAST_OF_T5]):
        how, after = embeddings(files, folder, LITTLE, precision)
    assert how is Residency.STREAMED
    assert any((one != other).any() for one, other in zip(before, after, strict=True))
    _, again = embeddings(files, folder, LITTLE, precision)
    for one, other in zip(before, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_altered_weight_of_the_last_streamed_block_of_the_transformer_is_noticed(
    files: EngineFiles, folder: Path, tmp_path: Path
) -> None:
    """In a copy of the transformer, beside links to the rest."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        if path.name == "transformer":
            shutil.copytree(path, copy / path.name)
        else:
            (copy / path.name).symlink_to(path.resolve(), target_is_directory=path.is_dir())

    def latents() -> Any:
        with open_engine(files, LEAST) as engine:
            events = run(engine, make_requests(copy, steps=STEPS, width=1024, height=1024))
        phases = {phase["phase"]: phase for phase in facts_of(events)[0]["plan"]["phases"]}
        assert phases["denoise"]["residency"] == "streamed"
        return latents_of(events)[0]

    before = latents()
    with altered(read_folder(copy / "transformer")[LAST_OF_TRANSFORMER]):
        after = latents()
    assert (before != after).any()
    np.testing.assert_array_equal(before, latents())


def test_pinned_memory_stays_below_its_limit(files: EngineFiles, folder: Path) -> None:
    """T5 passes first, then the transformer, whose blocks pass at every step and are worth a larger ring."""
    with open_engine(files, LEAST) as engine:
        run(engine, make_requests(folder, steps=STEPS, width=1024, height=1024))
        pinned = torch.cuda.host_memory_stats()["allocated_bytes.current"]
        ring = engine._components._ring.nbytes
    print(f"ROW pinned: {pinned / 2**20:.0f} MiB, the ring {ring / 2**20:.0f}")
    assert ring <= pinned <= MAX_RING_BYTES + 16 * 2**20  # and what previews and small copies take
    assert torch.cuda.host_memory_stats()["allocated_bytes.current"] <= 16 * 2**20
