"""The outlines of the twelve objects as polygons in a square of about [-1, 1] x [-1, 1], y down. No colour is here.

Every object is a list of parts; each has a tone ("main", "dark", "light": shades of the object's own colour;
"trunk", "window", "cap": fixed neutral tints) and the closed outline that is filled with it, painted in order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One filled outline."""

    tone: str
    points: tuple[Point, ...]


def parts_of(shape: str) -> tuple[Part, ...]:
    return FIGURES[shape]()


def arc(cx: float, cy: float, radius: float, start: float = 0.0, stop: float = 360.0, count: int = 48) -> list[Point]:
    """Points of a circle's arc, angles in degrees from the right, turning down."""
    angles = (math.radians(start + (stop - start) * k / count) for k in range(count + 1))
    return [(cx + radius * math.cos(a), cy + radius * math.sin(a)) for a in angles]


def main(points: list[Point]) -> Part:
    return Part("main", tuple(points))


def circle() -> tuple[Part, ...]:
    return (main(arc(0, 0, 0.95)),)


def square() -> tuple[Part, ...]:
    return (main([(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)]),)


def triangle() -> tuple[Part, ...]:
    return (main([(0, -0.98), (1.0, 0.78), (-1.0, 0.78)]),)


def diamond() -> tuple[Part, ...]:
    return (main([(0, -1.08), (0.74, 0), (0, 1.08), (-0.74, 0)]),)


def star() -> tuple[Part, ...]:
    points = []
    for k in range(10):
        radius, angle = (1.06, 0.45)[k % 2], math.radians(36 * k - 90)
        points.append((radius * math.cos(angle), 0.05 + radius * math.sin(angle)))
    return (main(points),)


def heart() -> tuple[Part, ...]:
    points = []
    for k in range(56):
        t = 2 * math.pi * k / 56
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((math.sin(t) ** 3 * 1.0, -(y + 2.5) / 15.5))
    return (main(points),)


def sun() -> tuple[Part, ...]:
    rays = []
    for k in range(10):
        a = math.radians(36 * k)
        tip = (1.1 * math.cos(a), 1.1 * math.sin(a))
        sides = [(0.7 * math.cos(a + d), 0.7 * math.sin(a + d)) for d in (-0.17, 0.17)]
        rays.append(main([sides[0], tip, sides[1]]))
    return (*rays, main(arc(0, 0, 0.58)))


def moon() -> tuple[Part, ...]:
    outer = arc(-0.1, 0, 0.98, 42, 318)
    inner = arc(0.36, 0, 0.72, 294, 66)
    return (main(outer + inner),)


def tree() -> tuple[Part, ...]:
    trunk = Part("trunk", ((-0.13, 0.3), (0.13, 0.3), (0.19, 1.05), (-0.19, 1.05)))
    crown = []
    for k in range(72):
        a = 2 * math.pi * k / 72
        radius = 0.7 + 0.085 * abs(math.sin(3.5 * a + 0.6)) * 1.6
        crown.append((radius * math.cos(a), -0.3 + 0.95 * radius * math.sin(a)))
    return trunk, main(crown)


def house() -> tuple[Part, ...]:
    return (
        main([(-0.72, -0.12), (0.72, -0.12), (0.72, 0.95), (-0.72, 0.95)]),
        Part("dark", ((-0.98, -0.08), (0, -1.0), (0.98, -0.08))),
        Part("dark", ((-0.17, 0.95), (-0.17, 0.42), (0.17, 0.42), (0.17, 0.95))),
        Part("window", ((-0.54, 0.12), (-0.3, 0.12), (-0.3, 0.4), (-0.54, 0.4))),
        Part("window", ((0.3, 0.12), (0.54, 0.12), (0.54, 0.4), (0.3, 0.4))),
    )


def boat() -> tuple[Part, ...]:
    return (
        Part("trunk", ((-0.06, -1.0), (0.04, -1.0), (0.04, 0.4), (-0.06, 0.4))),
        Part("light", ((0.08, -0.95), (0.08, 0.26), (0.86, 0.26))),
        Part("light", ((-0.12, -0.72), (-0.12, 0.26), (-0.66, 0.26))),
        main([(-1.05, 0.36), (1.05, 0.36), (0.68, 0.9), (-0.66, 0.9)]),
    )


def mountain() -> tuple[Part, ...]:
    return (
        main([(-1.18, 0.8), (-0.34, -0.85), (0.1, -0.02), (0.36, -0.38), (1.18, 0.8)]),
        Part("cap", ((-0.56, -0.42), (-0.34, -0.85), (-0.12, -0.43), (-0.24, -0.52), (-0.34, -0.36), (-0.44, -0.52))),
    )


FIGURES: dict[str, Callable[[], tuple[Part, ...]]] = {
    figure.__name__: figure
    for figure in (sun, moon, tree, house, boat, mountain, star, circle, square, triangle, heart, diamond)
}
