"""Resolution bins: the working sizes that PixArt was trained at, by aspect ratio.

The tables are those of diffusers' PixArt pipelines, kept here so that the page can show the real working size
without importing torch; a test holds them equal to the installed diffusers. Keys are height / width, values are
(height, width) in pixels, as in the source. The 256 and 512 tables are the 1024 one divided by 4 and by 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

Table = Mapping[str, tuple[int, int]]

ASPECT_RATIO_1024: Table = {
    "0.25": (512, 2048),
    "0.28": (512, 1856),
    "0.32": (576, 1792),
    "0.33": (576, 1728),
    "0.35": (576, 1664),
    "0.4": (640, 1600),
    "0.42": (640, 1536),
    "0.48": (704, 1472),
    "0.5": (704, 1408),
    "0.52": (704, 1344),
    "0.57": (768, 1344),
    "0.6": (768, 1280),
    "0.68": (832, 1216),
    "0.72": (832, 1152),
    "0.78": (896, 1152),
    "0.82": (896, 1088),
    "0.88": (960, 1088),
    "0.94": (960, 1024),
    "1.0": (1024, 1024),
    "1.07": (1024, 960),
    "1.13": (1088, 960),
    "1.21": (1088, 896),
    "1.29": (1152, 896),
    "1.38": (1152, 832),
    "1.46": (1216, 832),
    "1.67": (1280, 768),
    "1.75": (1344, 768),
    "2.0": (1408, 704),
    "2.09": (1472, 704),
    "2.4": (1536, 640),
    "2.5": (1600, 640),
    "3.0": (1728, 576),
    "4.0": (2048, 512),
}

ASPECT_RATIO_2048: Table = {
    "0.25": (1024, 4096),
    "0.26": (1024, 3968),
    "0.27": (1024, 3840),
    "0.28": (1024, 3712),
    "0.32": (1152, 3584),
    "0.33": (1152, 3456),
    "0.35": (1152, 3328),
    "0.4": (1280, 3200),
    "0.42": (1280, 3072),
    "0.48": (1408, 2944),
    "0.5": (1408, 2816),
    "0.52": (1408, 2688),
    "0.57": (1536, 2688),
    "0.6": (1536, 2560),
    "0.68": (1664, 2432),
    "0.72": (1664, 2304),
    "0.78": (1792, 2304),
    "0.82": (1792, 2176),
    "0.88": (1920, 2176),
    "0.94": (1920, 2048),
    "1.0": (2048, 2048),
    "1.07": (2048, 1920),
    "1.13": (2176, 1920),
    "1.21": (2176, 1792),
    "1.29": (2304, 1792),
    "1.38": (2304, 1664),
    "1.46": (2432, 1664),
    "1.67": (2560, 1536),
    "1.75": (2688, 1536),
    "2.0": (2816, 1408),
    "2.09": (2944, 1408),
    "2.4": (3072, 1280),
    "2.5": (3200, 1280),
    "2.89": (3328, 1152),
    "3.0": (3456, 1152),
    "3.11": (3584, 1152),
    "3.62": (3712, 1024),
    "3.75": (3840, 1024),
    "3.88": (3968, 1024),
    "4.0": (4096, 1024),
}


class Size(NamedTuple):
    """A picture's size in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


@cache
def table(sample_size: int) -> Table:
    """The bins of a transformer whose config says `sample_size` (32, 64, 128 or 256 latent pixels a side).

    Raises KeyError for any other sample size, as PixArt has no bins for it.
    """
    if sample_size == 256:
        return ASPECT_RATIO_2048
    divisor = {32: 4, 64: 2, 128: 1}[sample_size]
    return {ratio: (height // divisor, width // divisor) for ratio, (height, width) in ASPECT_RATIO_1024.items()}


@cache
def sizes(sample_size: int) -> tuple[Size, ...]:
    """Every bin, from the widest picture to the tallest."""
    return tuple(Size(width, height) for height, width in table(sample_size).values())


@cache
def longest_side(sample_size: int) -> int:
    """In pixels, of any bin."""
    return max(max(size) for size in sizes(sample_size))


def nearest(size: Size, sample_size: int) -> Size:
    """The bin whose aspect ratio is nearest to that of `size`; the same rule as `classify_height_width_bin`."""
    ratio = size.height / size.width
    return min(_by_ratio(sample_size), key=lambda entry: abs(entry[0] - ratio))[1]


@cache
def _by_ratio(sample_size: int) -> tuple[tuple[float, Size], ...]:
    return tuple((float(ratio), Size(width, height)) for ratio, (height, width) in table(sample_size).items())
