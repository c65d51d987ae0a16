"""Folders of copies stay small."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pixart_ui.tidying import DAY, Room, tidy


def written(path: Path, *, age_seconds: float, size: int = 100) -> Path:
    then = time.time() - age_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (then, then))
    os.utime(path.parent, (then, then))
    return path


def test_what_is_old_goes_with_its_folder(tmp_path: Path) -> None:
    old, young = written(tmp_path / "a" / "x", age_seconds=2 * DAY), written(tmp_path / "b" / "y", age_seconds=3600)
    assert tidy(Room(tmp_path, DAY, 1_000_000), time.time()) == 100
    assert not old.exists()
    assert young.exists()
    assert tidy(Room(tmp_path, DAY, 1_000_000), time.time() + 900) == 0
    assert not old.parent.exists()


def test_of_too_much_the_oldest_go(tmp_path: Path) -> None:
    files = [written(tmp_path / str(hour) / "x", age_seconds=3600 * hour) for hour in range(1, 6)]
    assert tidy(Room(tmp_path, None, 250), time.time()) == 300
    assert [path.exists() for path in files] == [True, True, False, False, False]


def test_what_was_written_a_moment_ago_stays(tmp_path: Path) -> None:
    fresh = written(tmp_path / "x", age_seconds=10, size=10_000)
    assert tidy(Room(tmp_path, 1.0, 0), time.time()) == 0
    assert fresh.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = written(tmp_path / "outside" / "x", age_seconds=9 * DAY)
    room = tmp_path / "room"
    room.mkdir()
    (room / "link").symlink_to(outside.parent)
    (room / "file").symlink_to(outside)
    tidy(Room(room, DAY, 0), time.time())
    assert outside.exists()


def test_a_folder_that_is_not_there_is_tidy(tmp_path: Path) -> None:
    assert tidy(Room(tmp_path / "none", DAY, 0), time.time()) == 0
