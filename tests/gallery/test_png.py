"""PNG files of our own writing, read by Pillow and by Chromium's rules (chunk order, checksums, one zlib stream)."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pixart_ui.gallery import png


def written(image: Image.Image, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    file = io.BytesIO()
    png.write(file, image, info)
    return file.getvalue()


def picture(width: int, height: int, kind: str) -> Image.Image:
    generator = np.random.default_rng(width * height)
    if kind == "noise":
        pixels = generator.integers(0, 256, (height, width, 3))
    else:
        slope = np.arange(width)[None, :, None] * (1, 2, 3) if kind == "across" else np.arange(height)[:, None, None]
        pixels = np.broadcast_to(slope, (height, width, 3)) + generator.integers(0, 3, (height, width, 3))
    return Image.fromarray((pixels % 256).astype(np.uint8))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents; fails where a checksum is wrong."""
    assert data[:8] == png.SIGNATURE
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(name + content)
        found.append((name, content))
        at += 12 + length
    return found


@pytest.mark.parametrize("kind", ["noise", "across", "down"])
@pytest.mark.parametrize("size", [(1, 1), (5, 64), (64, 65), (333, 129), (256, 256)])
def test_every_pixel_comes_back(size: tuple[int, int], kind: str) -> None:
    image = picture(*size, kind)
    with Image.open(io.BytesIO(written(image))) as read:
        read.load()
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


def test_a_strip_takes_the_filter_that_suits_it() -> None:
    for kind, number in (("down", png.SUB), ("across", png.UP)):
        (data,) = [content for name, content in chunks(written(picture(1000, 200, kind))) if name == b"IDAT"]
        assert zlib.decompress(data)[:: 1 + 3000] == bytes([number]) * 200


def test_texts_stand_before_the_pixels_and_come_back() -> None:
    data = written(picture(40, 30, "noise"), pixart_ui='{"prompt": "ein Fuchs, 狐"}')
    assert [name for name, _ in chunks(data)] == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]
    with Image.open(io.BytesIO(data)) as read:
        assert isinstance(read, PngImagePlugin.PngImageFile)
        assert read.text == {"pixart_ui": '{"prompt": "ein Fuchs, 狐"}'}


def test_the_same_picture_is_the_same_file_and_about_as_small_as_pillow_s() -> None:
    image = picture(512, 512, "across")
    assert written(image) == written(image)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    assert len(written(image)) < 1.1 * len(file.getvalue())
