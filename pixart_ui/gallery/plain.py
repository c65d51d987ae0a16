"""A PNG without what was written into it beside the picture: the pixels stay as they are, byte for byte."""

from __future__ import annotations

import struct

from pixart_ui.gallery.png import SIGNATURE

# What a reader needs to show it, and nothing that somebody wrote.
KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})


def plain(content: bytes) -> bytes:
    """Without text, time and whatever else is beside the picture; what follows its end goes too.

    Raises ValueError for what is no whole PNG.
    """
    if not content.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    kept, place, name = [SIGNATURE], len(SIGNATURE), b""
    while name != b"IEND":
        if place + 12 > len(content):
            raise ValueError("a PNG that was cut short")
        length, name = struct.unpack(">I4s", content[place : place + 8])
        end = place + 12 + length
        if end > len(content):
            raise ValueError("a PNG that was cut short")
        if name in KEPT:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)
