"""A disk that fails, or a file that is cut short, while weights pass through the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from pixart_ui.engine.engine import Engine
from pixart_ui.engine.paged import HostEmbedding
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.errors import CheckpointError
from pixart_ui.events import ImageFailed, ImageReady, Phase, PhaseStarted, StepDone
from pixart_ui.hub import Hub
from pixart_ui.request import ResolvedRequest
from tests.engine.conftest import (
    forget_texts,
    latents_of,
    least_memory,
    make_requests,
    never,
    open_engine,
    run,
    use_memory,
)

WEIGHTS = {Phase.ENCODE: "text_encoder", Phase.DENOISE: "transformer", Phase.DECODE: "vae"}


@pytest.fixture
def engine(hub: Hub, tmp_path: Path) -> Iterator[Engine]:
    """With stored weights of its own, since the tests damage them."""
    engine = open_engine(hub, tmp_path)
    yield engine
    engine.close()


@contextmanager
def unreadable(engine: Engine, component: str) -> Iterator[None]:
    """Let the kernel answer every read of that component's open file with EIO, as a bad disk does.

    The descriptor becomes one of this process's own memory, where low addresses hold nothing.
    """
    (descriptor,) = [
        descriptor for (path, *_), descriptor in engine._components._reader._files.items() if component in path.name
    ]
    kept, broken = os.dup(descriptor), os.open("/proc/self/mem", os.O_RDONLY)
    os.dup2(broken, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(broken)


@pytest.mark.parametrize("phase", Phase)
def test_a_read_error_is_one_sentence_and_the_engine_works_after_it(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    requests = make_requests(toys["sigma"])
    use_memory(monkeypatch, least_memory(engine, requests))
    expected = latents_of(run(engine, requests))
    forget_texts(engine)
    with unreadable(engine, WEIGHTS[phase]):
        message = failure(engine, requests)
    assert f"{WEIGHTS[phase]}-fp16" in message
    assert "cannot be read (Input/output error): check the disk" in message
    np.testing.assert_array_equal(latents_of(run(engine, requests)), expected)


@pytest.mark.parametrize("phase", Phase)
def test_a_file_cut_short_before_it_is_read_is_one_sentence_and_made_again(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, phase: Phase
) -> None:
    requests = make_requests(toys["sigma"])
    use_memory(monkeypatch, least_memory(engine, requests))
    expected = latents_of(run(engine, requests))
    forget_texts(engine)

    def cut(event: object) -> None:
        if isinstance(event, PhaseStarted) and event.phase is phase:
            cut_short(tmp_path, WEIGHTS[phase])

    message = failure(engine, requests, cut)
    assert "it was cut short. Run `python -m pixart_ui models verify`" in message
    np.testing.assert_array_equal(latents_of(run(engine, requests)), expected)


def test_a_file_cut_short_in_mid_stream_fails_its_picture_alone(
    engine: Engine, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A processor holds no blocks from one step to the next, so every step reads them from the file."""
    requests = make_requests(toys["sigma"], num_images=2, steps=8)
    use_memory(monkeypatch, least_memory(engine, requests))
    expected = latents_of(run(engine, requests))
    seen: list[object] = []
    for event in engine.run(requests, never):
        seen.append(event)
        if isinstance(event, StepDone) and (event.index, event.step) == (1, 2):
            cut_short(tmp_path, "transformer")
    (failed,) = [event for event in seen if isinstance(event, ImageFailed)]
    assert failed.index == 1
    assert "it was cut short" in failed.message
    assert [event.index for event in seen if isinstance(event, ImageReady)] == [0]
    np.testing.assert_array_equal(latents_of(run(engine, requests)), expected)


def test_an_embedding_table_that_cannot_be_read_is_one_sentence() -> None:
    """Rows of it come straight from the file; low addresses of this process's memory hold none."""
    entry = TensorEntry("shared.weight", "F16", (16, 8), Path("/proc/self/mem"), offset=64, nbytes=256)
    table = HostEmbedding(entry, torch.device("cpu"), torch.float32)
    with pytest.raises(CheckpointError, match=r"/proc/self/mem cannot be read \(Input/output error\): check the disk"):
        table(torch.tensor([[3, 5]]))


def failure(
    engine: Engine, requests: tuple[ResolvedRequest, ...], watch: Callable[[object], None] = lambda event: None
) -> str:
    """What the person reads: of the group, or of the one picture. Nothing stays on the device."""
    failed = []
    try:
        for event in engine.run(requests, never):
            watch(event)
            failed += [event.message] if isinstance(event, ImageFailed) else []
            assert not isinstance(event, ImageReady)
    except CheckpointError as error:
        failed.append(error.message)
    (message,) = failed
    assert "\n" not in message
    return message


def cut_short(folder: Path, component: str) -> None:
    (path,) = folder.glob(f"{component}-*.safetensors")
    os.truncate(path, path.stat().st_size // 2)
