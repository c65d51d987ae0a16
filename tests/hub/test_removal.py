"""Removing a checkpoint from a cache that others share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.errors import CheckpointError
from pixart_ui.hub import Hub
from tests.hub.parts import SMALL, checkpoint

MAIN = checkpoint()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".locks" not in path.parts]


def test_a_checkpoint_leaves_and_another_that_shares_its_files_still_works(hub: Hub, tmp_path: Path) -> None:
    hub.download(MAIN)
    hub.download(SMALL)
    freed = hub.remove(MAIN, [MAIN, SMALL])
    assert freed > 0
    assert not hub.is_available(MAIN)
    assert not hub.verify(SMALL)


def test_the_last_one_leaves_nothing(hub: Hub, tmp_path: Path) -> None:
    hub.download(MAIN)
    hub.download(SMALL)
    before = sum(path.stat().st_size for path in files(tmp_path / "cache") if not path.is_symlink())
    freed = hub.remove(MAIN, [MAIN, SMALL]) + hub.remove(SMALL, [MAIN, SMALL])
    assert 0.9 * before < freed <= before
    assert [path.name for path in files(tmp_path / "cache")] == ["CACHEDIR.TAG"]


def test_what_was_never_fetched_frees_nothing(hub: Hub) -> None:
    assert hub.remove(MAIN, [MAIN, SMALL]) == 0
    with pytest.raises(CheckpointError, match="not on this disk"):
        hub.locate(MAIN)


def test_it_can_be_fetched_again(hub: Hub) -> None:
    hub.download(MAIN)
    hub.remove(MAIN, [MAIN])
    hub.download(MAIN)
    assert hub.is_available(MAIN)
