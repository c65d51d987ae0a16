"""Compiled blocks on the CPU: close to others, compiled once, undone afterwards; else a sentence."""

from __future__ import annotations

import os
import shutil
import sysconfig
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor import cpp_builder

from pixart_ui.engine import compiling
from pixart_ui.engine.components import Components
from pixart_ui.engine.device import Device, open_device
from pixart_ui.engine.engine import Engine
from pixart_ui.engine.forms import WeightSource
from pixart_ui.engine.weights import WeightStore
from pixart_ui.errors import DeviceError
from pixart_ui.events import Event, ImageFailed, Phase, PhasePlan, Residency
from pixart_ui.hub import Hub
from tests.engine.conftest import facts_of, images_of, latents_of, make_requests, never, open_engine, run, use_memory
from tests.engine.test_engine import least_memory

# torch's compiler calls what torch itself will do without some day.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
HAS_COMPILER = shutil.which(os.environ.get("CXX", "g++")) is not None
HAS_HEADERS = Path(sysconfig.get_path("include"), "Python.h").is_file()
needs_compiler = pytest.mark.skipif(
    not (HAS_COMPILER and HAS_HEADERS), reason="needs a C++ compiler and Python's C headers"
)
# Sums in another order, in fp32.
TOLERANCE = 1e-4
CARD = Device(torch.device("cuda", 0), "GPU-1", "Some card")


@pytest.fixture(autouse=True)
def nothing_compiled_yet() -> Iterator[None]:
    """What is compiled stays in the process; on the disk it may."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests, as a data folder has it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(compiling.CACHE_VARIABLE, "")  # so that it is put back
        yield tmp_path_factory.mktemp("compiled")


@pytest.fixture
def compiling_engine(hub: Hub, weights_dir: Path, cache_dir: Path) -> Iterator[Engine]:
    engine = open_engine(hub, weights_dir, compile_cache_dir=cache_dir)
    yield engine
    engine.close()


def num_compiled() -> int:
    """How many graphs torch has compiled in this process."""
    return int(counters["stats"]["unique_graphs"])


def draw(engine: Engine, folder: Path, **values: Any) -> tuple[Any, str]:
    """The latents of a picture, and what its file says of the blocks."""
    events = run(engine, make_requests(folder, **values))
    assert [event.message for event in events if isinstance(event, ImageFailed)] == []
    return latents_of(events)[0], facts_of(events)[0]["kernels"]["blocks"]


def distance(one: Any, other: Any) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.long
@needs_compiler
@pytest.mark.timeout(600)  # a compiler on a busy machine
def test_compiled_pictures_are_close_to_others(
    compiling_engine: Engine, toys: dict[str, Path], cache_dir: Path
) -> None:
    before, name = draw(compiling_engine, toys["sigma"])
    assert name == "fused"
    compiled, name = draw(compiling_engine, toys["sigma"], compile_blocks=True)
    assert name == "compiled"
    assert 0 < distance(compiled, before) < TOLERANCE
    assert any(cache_dir.rglob("*.so"))
    after, name = draw(compiling_engine, toys["sigma"])
    assert name == "fused"
    np.testing.assert_array_equal(after, before)


@pytest.mark.long
@needs_compiler
@pytest.mark.timeout(600)
def test_all_blocks_and_later_pictures_share_what_was_compiled(compiling_engine: Engine, toys: dict[str, Path]) -> None:
    """Another prompt, seed or precision of the text encoder compiles nothing."""
    count = num_compiled()
    first, _ = draw(compiling_engine, toys["sigma"], compile_blocks=True)
    assert num_compiled() == count + 1
    longer = {"prompt": "a green triangle, and many other words beside it", "seed": 8}
    with torch._dynamo.config.patch(error_on_recompile=True):
        again, _ = draw(compiling_engine, toys["sigma"], compile_blocks=True)
        other, _ = draw(compiling_engine, toys["sigma"], compile_blocks=True, precision="nf4", **longer)
    np.testing.assert_array_equal(again, first)
    assert distance(other, draw(compiling_engine, toys["sigma"], precision="nf4", **longer)[0]) < TOLERANCE
    assert num_compiled() == count + 1


@pytest.mark.long
@needs_compiler
@pytest.mark.timeout(600)
def test_the_prompt_that_was_compiled_for_has_no_say_in_another_s_picture(
    compiling_engine: Engine, toys: dict[str, Path]
) -> None:
    found = []
    for earlier in ("a", "a green triangle, and many other words beside it"):
        torch._dynamo.reset()
        draw(compiling_engine, toys["sigma"], compile_blocks=True, prompt=earlier)
        found.append(draw(compiling_engine, toys["sigma"], compile_blocks=True)[0])
    np.testing.assert_array_equal(*found)


@pytest.mark.long
@needs_compiler
@pytest.mark.timeout(600)
def test_every_residency_draws_the_same_compiled_picture(
    hub: Hub, weights_dir: Path, toys: dict[str, Path], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that come to other memory are no reason to compile again, nor to differ."""
    requests = make_requests(toys["sigma"], compile_blocks=True, num_images=2)
    found, count = {}, num_compiled()
    for more in (0, 10**9, 400_000):
        engine = open_engine(hub, weights_dir, compile_cache_dir=cache_dir)
        with monkeypatch.context() as patched:
            use_memory(patched, least_memory(engine, requests) + more)
            events = run(engine, requests)
        found[facts_of(events)[0]["plan"]["phases"][1]["residency"]] = latents_of(events)
        engine.close()
    assert {"streamed", "resident"} <= set(found)
    assert num_compiled() == count + 1
    for latents in found.values():
        np.testing.assert_array_equal(latents, found["resident"])


@pytest.mark.long
@needs_compiler
@pytest.mark.timeout(600)
def test_compiled_code_keeps_no_weights(toys: dict[str, Path], tmp_path: Path, cache_dir: Path) -> None:
    compiling.keep_cache_in(cache_dir)
    components = Components(open_device("cpu"), WeightStore(tmp_path))
    (request,) = make_requests(toys["sigma"])
    source = WeightSource.of("transformer", toys["sigma"] / "transformer", request, "toy")
    components.prepare(source, lambda *_: None)
    with components.on_device(source, PhasePlan(Phase.DENOISE, Residency.STAGED, "")) as loaded:
        block = loaded.module.transformer_blocks[0]
        with compiling.compiled_blocks(loaded.module), torch.no_grad():
            _call(loaded.module)
        assert block.forward == type(block).forward.__get__(block)
        weights = [weakref.ref(weight) for weight in loaded.module.parameters()]
        assert all(weight() is not None for weight in weights)
    assert all(weight() is None for weight in weights)
    components.close()


def _call(transformer: Any) -> None:
    """One forward pass, as a step does it."""
    transformer(
        torch.zeros(2, 4, 32, 32),
        encoder_hidden_states=torch.zeros(2, 5, transformer.config.caption_channels),
        encoder_attention_mask=torch.ones(2, 5),
        timestep=torch.tensor([500, 500]),
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
    )


def test_a_compiler_that_fails_ends_that_picture_with_a_sentence(
    compiling_engine: Engine, toys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "g++"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "broken for a test" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setattr(compiling, "_require_headers", lambda: None)
    monkeypatch.setenv(compiling.CACHE_VARIABLE, str(tmp_path / "empty"))
    with only_compiler(str(broken)):
        events = run(compiling_engine, make_requests(toys["sigma"], compile_blocks=True))
    (failed,) = [event for event in events if isinstance(event, ImageFailed)]
    assert failed.message.startswith("The transformer's blocks cannot be compiled here (")
    assert failed.message.endswith("): leave compiling off.")
    assert "\n" not in failed.message
    assert len(failed.message) < 300
    assert draw(compiling_engine, toys["sigma"])[1] == "fused"


def test_no_compiler_is_one_sentence_before_anything_is_encoded(
    compiling_engine: Engine, toys: dict[str, Path]
) -> None:
    events: list[Event] = []
    sentence = r"need a C\+\+ compiler, and none was found: install one .* off\."
    with only_compiler("/nowhere/g++"), pytest.raises(DeviceError, match=sentence) as told:
        events += compiling_engine.run(make_requests(toys["sigma"], compile_blocks=True), never)
    assert events == []
    assert "\n" not in told.value.message
    assert len(images_of(run(compiling_engine, make_requests(toys["sigma"])))) == 1


@contextmanager
def only_compiler(path: str) -> Iterator[None]:
    """Let torch look for this one alone, and forget what it found before and now."""
    cpp_builder.cpp_compiler_search.cache_clear()
    with torch._inductor.config.patch({"cpp.cxx": (path,)}):
        yield
    cpp_builder.cpp_compiler_search.cache_clear()


def test_what_a_device_lacks_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def told() -> str:
        with pytest.raises(DeviceError) as caught:
            compiling.require(CARD)
        return caught.value.message

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (6, 1))
    assert "compute capability 7.0 or newer, Some card has 6.1: leave compiling off" in told()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "the package triton, which is not installed: run `pip install triton" in told()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "need a C compiler, and none was found" in told()
    for name in ("gcc", "clang"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert "Python.h was not found: run `apt install python3-dev`" in told()
    (tmp_path / "Python.h").touch()
    compiling.require(CARD)
    with pytest.raises(DeviceError, match="need a CPU or an NVIDIA GPU, and the device is Apple GPU"):
        compiling.require(Device(torch.device("mps"), "mps", "Apple GPU"))
