"""A run of stock diffusers, and what its process is told: memory that is short is a result, not a fault."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from pixart_ui.compare import strategies
from pixart_ui.errors import DeviceError, InputError, OutOfMemory, PixArtError
from pixart_ui.jobs import peer_run
from pixart_ui.jobs.peer_run import PeerRun, refusal
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.compare.parts import GIB, sweep

GPU = {"device": "cuda:0", "name": "NVIDIA Imaginary", "memory_total_bytes": 8 * GIB}


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> ResolvedRequest:
    services = Services.open(Settings(data_dir=tmp_path_factory.mktemp("data"), device="cpu"))
    (found,) = services.resolve(sweep(width=64, height=64).request)
    services.journal.close()
    return found


@pytest.mark.parametrize("error", ["OutOfMemoryError: CUDA out of memory.", "RuntimeError: CUDA error: out of memory"])
def test_a_strategy_without_enough_memory_says_what_was_not_enough(error: str) -> None:
    found = refusal(error, 6 * GIB)
    assert isinstance(found, OutOfMemory)
    assert found.message == f"needs more than 6.0 GiB ({error})"


def test_what_a_strategy_raises_is_its_reason() -> None:
    found = refusal("TypeError: no such argument", 6 * GIB)
    assert isinstance(found, DeviceError)
    assert found.message == "TypeError: no such argument"


def test_a_budget_is_given_to_the_process_of_a_gpu(request_: ResolvedRequest, tmp_path: Path) -> None:
    folders = {"vae": tmp_path / "vae"}
    (tmp_path / "model_index.json").write_text("{}")
    peer = PeerRun(
        strategies.parse("diffusers:staged"), request_, folders, GPU, budget_bytes=6 * GIB, device_used_bytes=lambda: 0
    )
    command = peer._command(tmp_path, tmp_path / "row.json")
    assert command[command.index("--cap") + 1] == f"{6 * GIB}B"
    assert command[command.index("--device") + 1] == "cuda"


def test_what_stock_code_is_not_asked_here_gets_one_sentence(request_: ResolvedRequest) -> None:
    wide = request_.model_copy(update={"width": 128})
    with pytest.raises(InputError, match="is run without a size that is not a square"):
        PeerRun(strategies.parse("diffusers:staged"), wide, {}, GPU, budget_bytes=None, device_used_bytes=lambda: 0)


def test_a_process_that_does_not_end_is_ended_and_says_so(
    request_: ResolvedRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = PeerRun(strategies.parse("diffusers:staged"), request_, {}, GPU, budget_bytes=None, device_used_bytes=int)
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
    monkeypatch.setattr(peer, "_command", lambda *_: command)
    monkeypatch.setattr(peer_run, "MOST_SECONDS", 3.0)
    with pytest.raises(PixArtError, match=r"did not end within 0\.05 minutes"):
        peer.run(tmp_path, lambda: False)
    assert not psutil.pid_exists(int((tmp_path / "log").read_text()))


def test_a_device_that_settles_a_moment_later_is_back_to_its_baseline() -> None:
    used = iter([900, 900, 100, 900])
    assert peer_run.settled(lambda: next(used), 100) == 100


def test_a_device_that_never_settles_is_said_to_hold_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_run, "PATIENCE_SECONDS", 0.05)
    assert peer_run.settled(lambda: 900, 100) == 900
