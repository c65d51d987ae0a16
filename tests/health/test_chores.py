"""Chores in real processes against a small Hub on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.catalog import SIGMA_1024
from pixart_ui.errors import InputError
from pixart_ui.health.chores import STORE, Chore, ChoreKind, Chores, ChoreState
from pixart_ui.hub import Hub
from pixart_ui.services import catalog, make_folders
from pixart_ui.settings import Settings
from tests.hub.parts import repository, safetensors
from tests.hub.server import FakeHub, serve
from tests.jobs.waiting import wait_until

SIGMA_512 = "PixArt-alpha/PixArt-Sigma-XL-2-512-MS"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.push(SIGMA_1024, repository())
    hub.push(SIGMA_512, repository(seed=5))
    with serve(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        yield hub


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(data_dir=tmp_path / "data", device="cpu")
    make_folders(found)
    return found


@pytest.fixture
def chores(settings: Settings, server: FakeHub) -> Iterator[Chores]:
    opened = Chores(settings)
    yield opened
    opened.close()


def ended(chores: Chores) -> Chore:
    wait_until(lambda: all(chore.state is not ChoreState.RUNNING for chore in chores.all()), "it has ended", 90)
    (chore,) = chores.all()
    return chore


def held(server: FakeHub) -> threading.Event:
    """Let a file longer than the client's chunks stand still, until `hold` is None; the event says that it does."""
    files = server.commits[SIGMA_1024][server.main[SIGMA_1024]]
    path = next(path for path in files if path.startswith("vae/") and path.endswith(".safetensors"))
    server.push(SIGMA_1024, {**files, path: safetensors({"a": 24_000_000})})
    arrived = threading.Event()
    server.hold = (path, 20_000_000, arrived)
    return arrived


def test_a_checkpoint_is_fetched_and_told(settings: Settings, chores: Chores, tmp_path: Path) -> None:
    chores.start(ChoreKind.DOWNLOAD, "sigma-512")
    chore = ended(chores)
    assert chore.state is ChoreState.DONE, chore.message
    assert "PixArt-Σ · 512 is on this disk" in chore.message
    assert chore.done_bytes == chore.total_bytes > 0
    hub = Hub(settings.checkpoints_dir, cache_dir=tmp_path / "hub" / "hub")
    assert hub.is_available(catalog().get("sigma-512"))
    chores.dismiss(chore.key)
    assert chores.all() == ()


def test_what_is_wrong_is_said_in_a_sentence(chores: Chores, server: FakeHub) -> None:
    server.gated.add(SIGMA_512)
    chores.start(ChoreKind.DOWNLOAD, "sigma-512")
    chore = ended(chores)
    assert chore.state is ChoreState.FAILED
    assert "is gated" in chore.message


def test_another_page_sees_it_and_a_second_start_is_refused(
    settings: Settings, chores: Chores, server: FakeHub
) -> None:
    arrived = held(server)
    chores.start(ChoreKind.DOWNLOAD, "sigma-1024")
    try:
        assert arrived.wait(60)
        assert [chore.state for chore in Chores(settings).all()] == [ChoreState.RUNNING]
        with pytest.raises(InputError, match="busy"):
            chores.start(ChoreKind.VERIFY, "sigma-1024")
        assert chores.is_busy("sigma-1024")
    finally:
        server.hold = None
    assert ended(chores).state is ChoreState.DONE


def test_a_cancelled_download_goes_on_where_it_was(chores: Chores, server: FakeHub, tmp_path: Path) -> None:
    arrived = held(server)
    chore = chores.start(ChoreKind.DOWNLOAD, "sigma-1024")
    assert arrived.wait(60)
    wait_until(
        lambda: any(path.stat().st_size for path in (tmp_path / "hub").rglob("*.part")), "its first part is kept"
    )
    chores.cancel(chore.key)
    assert ended(chores).state is ChoreState.CANCELLED
    server.hold = None
    chores.start(ChoreKind.DOWNLOAD, "sigma-1024")
    assert ended(chores).state is ChoreState.DONE
    assert any(asked.first_byte > 0 for asked in server.requests), "what had arrived was not fetched again"


def test_one_whose_page_dies_ends_too_and_says_that_it_stopped(settings: Settings, server: FakeHub) -> None:
    arrived = held(server)
    first = Chores(settings)
    first.start(ChoreKind.DOWNLOAD, "sigma-1024")
    assert arrived.wait(60)
    (process,) = first._processes.values()
    assert process.stdin is not None
    process.stdin.close()  # as the system does when the page's process ends
    process.wait(30)
    server.hold = None
    assert [chore.state for chore in Chores(settings).all()] == [ChoreState.STOPPED]


def test_a_damaged_file_is_found_by_reading_it(settings: Settings, chores: Chores, tmp_path: Path) -> None:
    chores.start(ChoreKind.DOWNLOAD, "sigma-512")
    assert ended(chores).state is ChoreState.DONE
    blob = max((tmp_path / "hub").rglob("blobs/*"), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[-7] ^= 1
    blob.write_bytes(data)
    chores.start(ChoreKind.VERIFY, "sigma-512")
    chore = ended(chores)
    assert (chore.kind, chore.state) == (ChoreKind.VERIFY, ChoreState.FAILED), "it takes the place of the download"
    assert "SHA-256 is another" in chore.message
    chores.forget("sigma-512")
    assert chores.all() == ()


def test_weights_that_nobody_uses_are_removed(settings: Settings, chores: Chores) -> None:
    stale = settings.weights_dir / ("text_encoder-nf4-" + "0" * 16 + ".safetensors")
    stale.write_bytes(safetensors({"a": 100}))
    chores.start(ChoreKind.PRUNE, STORE)
    chore = ended(chores)
    assert chore.state is ChoreState.DONE, chore.message
    assert not stale.exists()


def test_a_file_of_another_program_is_no_chore(settings: Settings) -> None:
    folder = settings.data_dir / "chores"
    folder.mkdir()
    (folder / "odd.json").write_text("[1, 2]", encoding="utf-8")
    (folder / "cut.json").write_text('{"kind": "down', encoding="utf-8")
    assert Chores(settings).all() == ()
