"""The ZIP: whole, in pieces, with what is missing named, and read by Python's reader and by the system's own."""

from __future__ import annotations

import io
import shutil
import subprocess
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixart_ui.batches import zip_stream
from pixart_ui.batches.archive import CHUNK_BYTES, MISSING


def pack(files: list[tuple[str, Path]]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zip_stream(files))))
    assert archive.testzip() is None
    return archive


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number:06}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (CHUNK_BYTES + number))
    return paths


def test_every_file_comes_out_as_it_was(pictures: list[Path], tmp_path: Path) -> None:
    files = [(path.name, path) for path in pictures]
    with pack(files) as archive:
        assert archive.namelist() == [path.name for path in pictures]
        assert [archive.read(path.name) for path in pictures] == [path.read_bytes() for path in pictures]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_other_programs_read_it(pictures: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(b"".join(zip_stream([(picture.name, picture) for picture in pictures])))
    done = subprocess.run(["unzip", "-t", str(path)], capture_output=True, text=True, check=True)
    assert "No errors detected" in done.stdout


def test_what_is_missing_is_named_and_the_rest_is_there(pictures: list[Path], tmp_path: Path) -> None:
    pictures[1].unlink()
    (tmp_path / "folder.png").mkdir()
    files = [(path.name, path) for path in (*pictures, tmp_path / "folder.png")]
    with pack(files) as archive:
        assert archive.namelist() == ["000000.png", "000002.png", MISSING]
        assert archive.read(MISSING).decode().splitlines() == [
            "000001.png: No such file or directory",
            "folder.png: Is a directory",
        ]


def test_names_that_are_the_same_are_numbered(pictures: list[Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = [("a.png", pictures[0]), ("A.png", pictures[1]), ("a.png", pictures[2]), (MISSING, pictures[0])]
        with pack(files) as archive:
            assert archive.namelist() == ["a.png", "A-2.png", "a-3.png", "MISSING-2.txt"]


def test_an_archive_of_nothing_is_an_archive() -> None:
    with pack([]) as archive:
        assert archive.namelist() == []


def test_a_hundred_pictures_take_no_more_memory_than_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * (2 * CHUNK_BYTES))

    def peak(number: int) -> int:
        tracemalloc.start()
        try:
            total = sum(len(piece) for piece in zip_stream((f"{index}.png", path) for index in range(number)))
            assert total > number * path.stat().st_size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(100) < peak(1) + CHUNK_BYTES


def test_the_first_bytes_come_before_the_last_file_is_looked_for(pictures: list[Path]) -> None:
    def files() -> Iterator[tuple[str, Path]]:
        yield "a.png", pictures[0]
        pytest.fail("the second file was asked for too soon")

    assert next(zip_stream(files()))[:2] == b"PK"
