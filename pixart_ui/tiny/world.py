"""The small world that PixArt-Tiny knows: its words, its scenes, and the combinations it must never see in training.

A `Scene` says what is in a picture and where, not how it looks (see `scenes.py`) nor how it is told (`captions.py`).
Lengths are in units of the picture's shorter side; the origin is the top left corner; y points down.
What must stay true: `is_held_out` depends on nothing but its arguments, and `sample_scene` never returns a scene in
which any two objects, mentioned together or not, form a held-out combination.
"""

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

SHAPES = (
    "sun", "moon", "tree", "house", "boat", "mountain", "star", "circle", "square", "triangle", "heart", "diamond",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
RELATIONS = ("left of", "right of", "above", "below")
TIMES = ("day", "dawn", "sunset", "night")
WEATHERS = ("clear", "snow", "rain")
STYLES = ("flat", "watercolour", "neon", "pixel art", "sketch")
PLACES = ("meadow", "sea")

RADII = {"small": 0.1, "medium": 0.145, "large": 0.195}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
MARGIN = 0.035
MIN_GAP = 0.035
CLEAR_RATIO = 1.4
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True)
class Item:
    """One object; `x` and `y` are its centre in units of the shorter side."""

    shape: str
    colour: str
    size: str
    x: float
    y: float

    @property
    def radius(self) -> float:
        return RADII[self.size]

    @property
    def kind(self) -> tuple[str, str]:
        return self.colour, self.shape


@dataclass(frozen=True)
class Scene:
    """What one picture shows. `aspect` is width / height; `seed` fixes every detail that has no word."""

    items: tuple[Item, ...]
    time: str = "day"
    weather: str = "clear"
    style: str = "flat"
    place: str = "meadow"
    aspect: float = 1.0
    seed: int = 0

    @property
    def width(self) -> float:
        return max(1.0, self.aspect)

    @property
    def height(self) -> float:
        return max(1.0, 1.0 / self.aspect)


@dataclass(frozen=True)
class Combination:
    """Two coloured objects and how the first lies to the second, in canonical form: `left of` or `above`."""

    first: tuple[str, str]
    relation: str
    second: tuple[str, str]


def combination(first: tuple[str, str], relation: str, second: tuple[str, str]) -> Combination:
    """The canonical form: "A right of B" and "B left of A" are one combination."""
    if relation in ("right of", "below"):
        return Combination(second, OPPOSITE[relation], first)
    return Combination(first, relation, second)


@cache
def is_held_out(combo: Combination) -> bool:
    """True for about one combination in ten, by a hash that is the same on every machine."""
    text = " ".join((*combo.first, combo.relation, *combo.second))
    return int.from_bytes(hashlib.blake2s(text.encode()).digest()[:4], "big") % HELD_OUT_ONE_IN == 0


def relations_between(first: Item, second: Item) -> tuple[str, ...]:
    """Every relation in which `first` may be said to stand to `second`: one if clear, two on a diagonal."""
    dx, dy = first.x - second.x, first.y - second.y
    horizontal = "left of" if dx < 0 else "right of"
    vertical = "above" if dy < 0 else "below"
    if abs(dx) > CLEAR_RATIO * abs(dy):
        return (horizontal,)
    if abs(dy) > CLEAR_RATIO * abs(dx):
        return (vertical,)
    return horizontal, vertical


def clear_relation(first: Item, second: Item) -> str | None:
    """The one relation of `first` to `second`, or None on a diagonal."""
    found = relations_between(first, second)
    return found[0] if len(found) == 1 else None


def combinations_in(scene: Scene) -> Iterator[Combination]:
    """Every combination that the scene shows, also those that no caption mentions."""
    for a, b in itertools.combinations(scene.items, 2):
        for relation in relations_between(a, b):
            yield combination(a.kind, relation, b.kind)


def shows_held_out(scene: Scene) -> bool:
    return any(is_held_out(combo) for combo in combinations_in(scene))


def all_combinations() -> tuple[Combination, ...]:
    """Every canonical combination of two different coloured objects, in a fixed order."""
    kinds = tuple(itertools.product(COLOURS, SHAPES))
    pairs = itertools.product(kinds, ("left of", "above"), kinds)
    return tuple(Combination(a, relation, b) for a, relation, b in pairs if a != b)


def sample_scene(rng: random.Random, aspect: float = 1.0, style: str | None = None) -> Scene:
    """A random scene that holds no held-out combination."""
    while True:
        count = rng.choices((1, 2, 3), (0.22, 0.53, 0.25))[0]
        kinds = sample_kinds(rng, count)
        items = place_items(rng, kinds, aspect)
        if items is None:
            continue
        scene = dress(rng, items, aspect, style)
        if not shows_held_out(scene):
            return scene


def sample_kinds(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """`count` different coloured objects."""
    kinds: list[tuple[str, str]] = []
    while len(kinds) < count:
        kind = rng.choice(COLOURS), rng.choice(SHAPES)
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def dress(rng: random.Random, items: tuple[Item, ...], aspect: float, style: str | None = None) -> Scene:
    """The scene around the items: time, weather, style, place and the seed of the details."""
    has_boat = any(item.shape == "boat" for item in items)
    return Scene(
        items=items,
        time=rng.choices(TIMES, (0.4, 0.2, 0.2, 0.2))[0],
        weather=rng.choices(WEATHERS, (0.72, 0.15, 0.13))[0],
        style=style or rng.choices(STYLES, (0.48, 0.14, 0.12, 0.13, 0.13))[0],
        place="sea" if rng.random() < (0.9 if has_boat else 0.12) else "meadow",
        aspect=aspect,
        seed=rng.getrandbits(32),
    )


def pair_scene(rng: random.Random, combo: Combination, aspect: float = 1.0, style: str | None = None) -> Scene:
    """A scene of exactly this combination: what the evaluation asks for."""
    while True:
        axis = "x" if combo.relation == "left of" else "y"
        items = place_in_line(rng, [combo.first, combo.second], aspect, axis)
        if items is not None:
            return dress(rng, items, aspect, style)


def place_items(rng: random.Random, kinds: list[tuple[str, str]], aspect: float) -> tuple[Item, ...] | None:
    """Positions and sizes for one to three objects, or None if this draw does not fit."""
    if len(kinds) == 1:
        return (place_alone(rng, kinds[0], aspect),)
    if len(kinds) == 3 and rng.random() < 0.55:
        return place_in_corner(rng, kinds, aspect)
    return place_in_line(rng, kinds, aspect, rng.choice("xy"))


def sample_size(rng: random.Random) -> str:
    return rng.choices(SIZES, (0.22, 0.52, 0.26))[0]


def place_alone(rng: random.Random, kind: tuple[str, str], aspect: float) -> Item:
    """One object: in the middle, or clearly at one of the four sides."""
    width, height = max(1.0, aspect), max(1.0, 1.0 / aspect)
    size = sample_size(rng)
    edge = RADII[size] + MARGIN
    x, y = width / 2 + rng.uniform(-0.06, 0.06), height / 2 + rng.uniform(-0.06, 0.06)
    side = rng.choices(("middle", "left", "right", "top", "bottom"), (0.6, 0.1, 0.1, 0.1, 0.1))[0]
    if side in ("left", "right"):
        x = rng.uniform(edge, max(edge, 0.3 * width))
        x = width - x if side == "right" else x
    if side in ("top", "bottom"):
        y = rng.uniform(edge, max(edge, 0.3 * height))
        y = height - y if side == "bottom" else y
    return Item(kind[1], kind[0], size, x, y)


def place_in_line(
    rng: random.Random, kinds: list[tuple[str, str]], aspect: float, axis: str
) -> tuple[Item, ...] | None:
    """Objects side by side (`axis` "x", left to right) or in a column ("y", top to bottom)."""
    width, height = max(1.0, aspect), max(1.0, 1.0 / aspect)
    length, breadth = (width, height) if axis == "x" else (height, width)
    sizes = [sample_size(rng) for _ in kinds]
    radii = [RADII[size] for size in sizes]
    slack = length - 2 * MARGIN - 2 * sum(radii) - MIN_GAP * (len(kinds) - 1)
    if slack < 0:
        return None
    cuts = sorted(rng.uniform(0.0, slack) for _ in kinds)
    centre = breadth / 2 + rng.uniform(-0.16, 0.16)
    items, cursor, used = [], MARGIN, 0.0
    for (colour, shape), size, radius, cut in zip(kinds, sizes, radii, cuts, strict=True):
        cursor += cut - used
        used = cut
        along = cursor + radius
        across = min(max(centre + rng.uniform(-0.05, 0.05), radius + MARGIN), breadth - radius - MARGIN)
        x, y = (along, across) if axis == "x" else (across, along)
        items.append(Item(shape, colour, size, x, y))
        cursor += 2 * radius + MIN_GAP
    if any(clear_relation(a, b) is None for a, b in itertools.pairwise(items)):
        return None
    return tuple(items)


def place_in_corner(rng: random.Random, kinds: list[tuple[str, str]], aspect: float) -> tuple[Item, ...] | None:
    """Three objects in three quarters of the picture; the second is beside the first and over or under the third."""
    width, height = max(1.0, aspect), max(1.0, 1.0 / aspect)
    side, level = rng.choice((0, 1)), rng.choice((0, 1))
    cells = ((1 - side, level), (side, level), (side, 1 - level))
    items = []
    for (colour, shape), (column, row) in zip(kinds, cells, strict=True):
        size = sample_size(rng)
        edge = RADII[size] + MARGIN
        x = min(max(width * (0.27 + 0.46 * column) + rng.uniform(-0.05, 0.05), edge), width - edge)
        y = min(max(height * (0.27 + 0.46 * row) + rng.uniform(-0.05, 0.05), edge), height - edge)
        items.append(Item(shape, colour, size, x, y))
    for a, b in itertools.combinations(items, 2):
        if (a.x - b.x) ** 2 + (a.y - b.y) ** 2 < (a.radius + b.radius + MIN_GAP) ** 2:
            return None
    if any(clear_relation(a, b) is None for a, b in itertools.pairwise(items)):
        return None
    return tuple(items)
