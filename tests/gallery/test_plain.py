"""Pictures without what is written into them."""

from __future__ import annotations

import io

import pytest
from PIL import Image, PngImagePlugin

from pixart_ui.gallery.plain import plain


def picture(**texts: str) -> bytes:
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    for name, text in texts.items():
        info.add_text(name, text)
        info.add_itxt(f"i{name}", text)
        info.add_text(f"z{name}", text, zip=True)
    Image.effect_noise((40, 30), 50).convert("RGB").save(file, "PNG", pnginfo=info, exif=b"Exif\0\0MM\0*")
    return file.getvalue()


def test_the_pixels_stay_and_the_texts_go() -> None:
    content = picture(parameters="a purple teapot", pixart_ui="{}")
    left = plain(content + b"after the end")
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(left)) as after:
        assert before.tobytes() == after.tobytes()
        assert after.info == {}
    assert b"teapot" not in left
    assert not any(name in left for name in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"after"))
    assert plain(left) == left


@pytest.mark.parametrize("cut", [0, 7, 20, 60, -1, -13])
def test_half_a_picture_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="PNG"):
        plain(picture(x="y")[:cut])
