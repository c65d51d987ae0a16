"""Does a picture show what its caption says? Image analysis that shares no drawing and no palette with the generator.

A picture is split into objects by how far a pixel's colour lies from the background of its row (estimated at the two
edges, which the world keeps free), each object gets a colour by its hue and a shape by a linear rule on its outline,
and the objects are matched with the caption's. The rule's numbers (`checker.json`) were measured on pictures by
`checker_fit.py`; hue limits were set by hand.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hsv, rgb2lab

from pixart_ui.tiny.captions import Mention, parse
from pixart_ui.tiny.world import SHAPES

Array = npt.NDArray[Any]
SIDE = 256
EDGE = 5  # columns at each side that show background
MIN_DISTANCE = 17.0  # in Lab's colour plane, from the background
MIN_AREA = 90  # pixels of a 256² picture
GRID = 12
PALE = 0.4  # of an object's strong chroma
# Upper limits of hue in degrees; what lies above the last is red again.
HUES = ((10.5, "red"), (37.0, "orange"), (70.0, "yellow"), (180.0, "green"), (244.0, "blue"), (302.0, "purple"))
PINK_UP_TO = 351.0
NOBODY = "nothing"


@dataclass(frozen=True)
class Found:
    """An object in the picture; `x`, `y` are the middle of its box and `radius` half its longer side, in pixels."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Verdict:
    """How much of the caption is right. A relation counts only where both of its objects were found."""

    colours_right: int
    colours_total: int
    shapes_right: int
    shapes_total: int
    relations_right: int
    relations_total: int
    found: tuple[Found, ...]

    @property
    def is_all_right(self) -> bool:
        return (self.colours_right, self.shapes_right, self.relations_right) == (
            self.colours_total,
            self.shapes_total,
            self.relations_total,
        )


def check(image: Image.Image, caption: str) -> Verdict:
    """Compare a picture with a caption of the world's grammar."""
    wanted = parse(caption)
    found = look(image)
    matched = _match(wanted.mentions, found)
    pairs = [(mention, matched[index]) for index, mention in enumerate(wanted.mentions)]
    relations = [_lies(matched[first], relation, matched[second]) for first, relation, second in wanted.relations]
    return Verdict(
        colours_right=sum(seen is not None and seen.colour == mention.colour for mention, seen in pairs),
        colours_total=len(pairs),
        shapes_right=sum(seen is not None and seen.shape == mention.shape for mention, seen in pairs),
        shapes_total=len(pairs),
        relations_right=sum(relations),
        relations_total=len(relations),
        found=found,
    )


def look(image: Image.Image) -> tuple[Found, ...]:
    """Every coloured object, the largest first."""
    pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float64) / 255
    seen = [_describe(pixels, mask) for mask in segments(pixels)]
    return tuple(sorted(seen, key=lambda item: -item.radius))


def segments(pixels: Array) -> list[Array]:
    """Boolean masks [256, 256] of the objects in RGB pixels of 0 … 1."""
    colour_plane = ndimage.gaussian_filter(rgb2lab(pixels)[..., 1:], (0.7, 0.7, 0))
    left, right = colour_plane[:, :EDGE].mean(axis=1), colour_plane[:, -EDGE:].mean(axis=1)
    share = np.linspace(0, 1, SIDE)[None, :, None]
    background = left[:, None] * (1 - share) + right[:, None] * share
    is_object = np.linalg.norm(colour_plane - background, axis=2) > MIN_DISTANCE
    is_object = ndimage.binary_closing(np.pad(is_object, 4), np.ones((3, 3)), iterations=2)[4:-4, 4:-4]
    is_object &= ~_is_thin(is_object)
    labels, count = ndimage.label(ndimage.binary_dilation(is_object, iterations=2))
    masks = [_without_clouds(pixels, is_object & (labels == index)) for index in range(1, count + 1)]
    return [part for mask in masks for part in _split_by_hue(pixels, mask) if part.sum() >= MIN_AREA]


def features(mask: Array) -> Array:
    """What the shape rule sees: the mask and its filled form, each as a GRID × GRID picture of the squared box."""
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    height, width = rows.max() - top + 1, columns.max() - left + 1
    side = max(height, width)
    square = np.zeros((side, side))
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = mask[top : top + height, left : left + width]
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(square, 3) > 0, iterations=3))[3:-3, 3:-3]
    small = [
        np.asarray(Image.fromarray(layer.astype(np.float32)).resize((GRID, GRID), Image.Resampling.BOX)).ravel()
        for layer in (square, filled)
    ]
    ratios = [width / side, height / side, float(filled.mean()), float(square.mean())]
    return np.concatenate([*small, ratios, [1.0]])


def _is_thin(mask: Array) -> Array:
    """Specks and streaks: what an opening by two pixels removes, unless it belongs to something larger."""
    labels, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
    sizes = ndimage.sum_labels(mask, labels, index=np.arange(count + 1))
    return np.asarray(sizes[labels] < MIN_AREA)


def _without_clouds(pixels: Array, mask: Array) -> Array:
    """A cloud that touches an object has far less chroma than the object's own strong pixels."""
    chroma = np.where(mask, np.ptp(pixels, axis=2), 0.0)
    limit = PALE * np.quantile(chroma[mask], 0.85) if mask.any() else 0.0
    return np.asarray(ndimage.binary_opening(mask & (chroma > limit), iterations=1))


def _split_by_hue(pixels: Array, mask: Array) -> list[Array]:
    """Two touching objects of different colour come apart where their colours do."""
    if not mask.any():
        return []
    names = _hue_names(rgb2hsv(pixels[mask][None])[0, :, 0] * 360)
    parts: list[Array] = []
    total = mask.sum()
    for name in np.unique(names):
        part = np.zeros_like(mask)
        part[mask] = names == name
        part = ndimage.binary_opening(part, iterations=2)
        if part.sum() > max(250, 0.22 * total):
            parts.append(part)
    if len(parts) < 2:
        return [mask]
    centres = [np.array(ndimage.center_of_mass(part)) for part in parts]
    spread = max(np.linalg.norm(a - b) for a, b in itertools.combinations(centres, 2))
    extent = max(np.ptp(np.nonzero(mask)[0]), np.ptp(np.nonzero(mask)[1]))
    return parts if spread > 0.38 * extent else [mask]


def _describe(pixels: Array, mask: Array) -> Found:
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return Found(
        colour=_colour(pixels[mask]),
        shape=_shape(mask),
        x=float(columns.min() + width / 2),
        y=float(rows.min() + height / 2),
        radius=float(max(width, height) / 2),
    )


def _colour(pixels: Array) -> str:
    """The hue in which most of the colour lies: pixels vote with their chroma, squared."""
    hue = rgb2hsv(pixels[None])[0, :, 0] * 360
    chroma = pixels.max(axis=1) - pixels.min(axis=1)
    strong = chroma >= np.quantile(chroma, 0.5)
    names, weights = _hue_names(hue[strong]), chroma[strong] ** 2
    return str(max(np.unique(names), key=lambda name: weights[names == name].sum()))


def _hue_names(hue: Array) -> Array:
    """The colour word for each hue in degrees."""
    limits = [limit for limit, _ in HUES] + [PINK_UP_TO]
    words = np.array([name for _, name in HUES] + ["pink", "red"])
    return np.asarray(words[np.searchsorted(limits, hue)])


def _shape(mask: Array) -> str:
    scores = _rule() @ features(mask)
    return SHAPES[int(np.argmax(scores))]


@lru_cache(maxsize=1)
def _rule() -> Array:
    """[shapes, features]: one row of weights for each shape."""
    return np.array(json.loads(Path(__file__).with_name("checker.json").read_text(encoding="utf-8"))["weights"])


def _match(mentions: tuple[Mention, ...], found: tuple[Found, ...]) -> list[Found | None]:
    """The assignment of found objects to mentions in which most is right."""
    choices: list[Found | None] = [*found[:6], *([None] * len(mentions))]
    best = max(
        itertools.permutations(choices, len(mentions)),
        key=lambda seen: sum(_likeness(mention, item) for mention, item in zip(mentions, seen, strict=True)),
        default=(),
    )
    return list(best)


def _likeness(mention: Mention, item: Found | None) -> float:
    """The shape says which object is meant; one with neither shape nor colour right is not meant at all."""
    if item is None:
        return 0.0
    return (mention.shape == item.shape) * 1.1 + (mention.colour == item.colour) * 1.0 - 0.1


def _lies(first: Found | None, relation: str, second: Found | None) -> bool:
    """Whether the first lies so to the second, by more than along the other direction."""
    if first is None or second is None:
        return False
    across, down = first.x - second.x, first.y - second.y
    if relation in ("left of", "right of"):
        return abs(across) > abs(down) and (across < 0) == (relation == "left of")
    return abs(down) > abs(across) and (down < 0) == (relation == "above")
