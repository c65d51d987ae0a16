"""Writes a picture as PNG with all processors at once: a queue's last one is on the disk a tenth of a second sooner.

A picture is cut into strips of rows, each filtered and deflated by itself; strips that end on a byte join to one stream
that every reader knows (the way of `pigz`). Strips are of a fixed height, so the file depends on the picture alone.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
STRIP_ROWS = 64
MAX_THREADS = 16
CHANNELS, BIT_DEPTH, TRUECOLOUR = 3, 8, 2
# The filters of the PNG specification: each byte less the one a pixel to its left, or the one above.
SUB, UP = 1, 2
# Level 1 takes a fifth of the time of level 6 and gives files about 5 % larger.
COMPRESS_LEVEL = 1
ZLIB_HEADER = b"\x78\x01"
Rows = npt.NDArray[np.uint8]


def write(file: IO[bytes], image: Image.Image, info: PngImagePlugin.PngInfo) -> None:
    """Write an RGB picture with the text chunks of `info`. Raises what the file raises."""
    rows = np.asarray(image.convert("RGB")).reshape(image.height, image.width * CHANNELS)
    header = struct.pack(">IIBBBBB", image.width, image.height, BIT_DEPTH, TRUECOLOUR, 0, 0, 0)
    file.write(SIGNATURE)
    PngImagePlugin.putchunk(file, b"IHDR", header)
    for chunk in info.chunks:
        PngImagePlugin.putchunk(file, *chunk[:2])
    PngImagePlugin.putchunk(file, b"IDAT", _deflated(rows))
    PngImagePlugin.putchunk(file, b"IEND", b"")


def _deflated(rows: Rows) -> bytes:
    """All rows, filtered, as one zlib stream."""
    starts = range(0, len(rows), STRIP_ROWS)
    with ThreadPoolExecutor(min(len(starts), MAX_THREADS, os.cpu_count() or 1)) as threads:
        strips = list(threads.map(lambda start: _strip(rows, start), starts))
    return ZLIB_HEADER + b"".join(deflated for deflated, _ in strips) + struct.pack(">I", _checksum(strips))


def _checksum(strips: Sequence[tuple[bytes, bytes]]) -> int:
    checksum = 1
    for _, filtered in strips:
        checksum = zlib.adler32(filtered, checksum)
    return checksum


def _strip(rows: Rows, start: int) -> tuple[bytes, bytes]:
    """The rows from `start` on, deflated up to a whole byte, and as they were before."""
    filtered = _filtered(rows, start).tobytes()
    compressor = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    is_last = start + STRIP_ROWS >= len(rows)
    deflated = compressor.compress(filtered) + compressor.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
    return deflated, filtered


def _filtered(rows: Rows, start: int) -> Rows:
    """A strip with its filter's number before each row: the filter that leaves the smaller numbers."""
    strip = rows[start : start + STRIP_ROWS]
    above = rows[start - 1 : start - 1 + len(strip)] if start > 0 else np.vstack([np.zeros_like(strip[:1]), strip[:-1]])
    up, sub = strip - above, strip.copy()
    sub[:, CHANNELS:] -= strip[:, :-CHANNELS]
    number, differences = (SUB, sub) if _size(sub) < _size(up) else (UP, up)
    return np.insert(differences, 0, number, axis=1)


def _size(differences: Rows) -> int:
    """The sum of their amounts, taken as signed."""
    return int(np.minimum(differences, 0 - differences).sum(dtype=np.int64))
