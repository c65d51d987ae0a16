"""PNG files: whole or absent, and with everything needed to make the picture again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pixart_ui.catalog import tiny
from pixart_ui.errors import DiskFullError, InputError
from pixart_ui.gallery import images
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve

PROMPT = "naïve 🌙 <script>alert(1)</script>\nsecond line"


@pytest.fixture
def request_() -> ResolvedRequest:
    asked = GenerationRequest.parse({"prompt": PROMPT, "seed": 2**64 - 1})
    return resolve(asked, tiny(Path("weights")), None, random_seed=0)[0]


def test_the_request_and_the_facts_come_back(tmp_path: Path, request_: ResolvedRequest) -> None:
    path = images.save(Image.new("RGB", (8, 8)), tmp_path / "a.png", request_, {"versions": {"torch": "2"}})
    assert images.read_request(path) == request_
    assert images.read_facts(path)["versions"] == {"torch": "2"}
    with Image.open(path) as image:
        parameters = image.text["parameters"]  # type: ignore[attr-defined]
    assert parameters.startswith(PROMPT)
    assert "Steps: 20, Sampler: dpm++, CFG scale: 4.5, Seed: 18446744073709551615, Size: 256x256" in parameters


def test_nothing_else_is_left_in_the_folder(tmp_path: Path, request_: ResolvedRequest) -> None:
    images.save(Image.new("RGB", (8, 8)), tmp_path / "a.png", request_, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path, request_: ResolvedRequest) -> None:
    path = images.save(Image.new("RGB", (8, 8), "red"), tmp_path / "a.png", request_, {})
    before = path.read_bytes()
    (tmp_path / f".a.png.{os.getpid()}.part").symlink_to("/dev/full")  # where the new one is written aside
    with pytest.raises(DiskFullError, match=r"a\.png does not fit on the disk"):
        images.save(Image.new("RGB", (8, 8), "blue"), path, request_, {})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_are_refused_with_one_sentence(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (4, 4)).save(plain)
    with pytest.raises(InputError, match="carries no settings of PixArt UI"):
        images.read_request(plain)
    with pytest.raises(InputError, match="does not exist"):
        images.read_request(tmp_path / "absent.png")
    (tmp_path / "junk.png").write_bytes(b"\x89PNG junk")
    with pytest.raises(InputError, match="is not a readable PNG"):
        images.read_request(tmp_path / "junk.png")
    (tmp_path / "picture.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="is not a readable PNG"):
        images.read_request(tmp_path / "picture.jpg")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "damaged settings"), ('{"request": 1}', "damaged settings"), ('{"format": 9, "request": {}}', "format 9")],
)
def test_damaged_settings_are_refused_with_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(images.JSON_CHUNK, text)
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path, pnginfo=info)
    with pytest.raises(InputError, match=sentence):
        images.read_request(path)
