"""Draws a `Scene` with Pillow: soft pale surroundings, saturated objects, five styles that really differ.

Everything is painted at twice the size and reduced, so that edges are smooth. The same scene and size give the same
picture. Colours of objects do not change with the time of day: the captions' colour words must stay true.
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pixart_ui.tiny.figures import Part, parts_of
from pixart_ui.tiny.world import Item, Scene

Colour = tuple[int, int, int]
OVERSAMPLING = 2
PIXEL_BLOCK = 4

OBJECT_COLOURS: dict[str, Colour] = {
    "red": (222, 38, 42),
    "orange": (247, 134, 20),
    "yellow": (252, 216, 40),
    "green": (34, 162, 66),
    "blue": (40, 92, 222),
    "purple": (134, 52, 190),
    "pink": (250, 128, 190),
}
TINTS: dict[str, Colour] = {"trunk": (104, 74, 54), "window": (255, 246, 208), "cap": (250, 250, 252)}
SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": (((174, 206, 232)), (230, 240, 246)),
    "dawn": ((190, 190, 220), (250, 224, 214)),
    "sunset": ((140, 122, 150), (244, 196, 160)),
    "night": ((26, 30, 52), (62, 68, 98)),
}
HILLS: dict[str, tuple[Colour, Colour]] = {
    "day": ((176, 200, 166), (148, 180, 140)),
    "dawn": ((176, 186, 170), (150, 166, 148)),
    "sunset": ((140, 134, 122), (112, 112, 104)),
    "night": ((50, 60, 72), (36, 46, 56)),
}
WATERS: dict[str, tuple[Colour, Colour]] = {
    "day": ((164, 194, 210), (128, 166, 190)),
    "dawn": ((190, 188, 204), (152, 160, 182)),
    "sunset": ((196, 160, 150), (124, 116, 138)),
    "night": ((50, 60, 88), (28, 36, 60)),
}
PAPER: Colour = (250, 247, 238)
PENCIL: Colour = (70, 66, 68)


@dataclass(frozen=True)
class Canvas:
    """The picture being painted, oversampled; `unit` is the number of its pixels to one scene unit."""

    image: Image.Image
    unit: float
    rng: random.Random

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    @property
    def line(self) -> int:
        """The width of an outline in pixels."""
        return max(2, round(self.unit * 0.009))


def draw(scene: Scene, width: int = 256, height: int = 256) -> Image.Image:
    """The scene as an RGB picture of `width` x `height` pixels."""
    rng = random.Random(scene.seed)
    size = width * OVERSAMPLING, height * OVERSAMPLING
    unit = min(size[0] / scene.width, size[1] / scene.height)
    canvas = Canvas(_surroundings(scene, size, unit, rng), unit, rng)
    painter = {"neon": _neon_objects, "sketch": _sketch_objects, "watercolour": _wet_objects}.get(scene.style)
    canvas = painter(scene, canvas) if painter else _plain_objects(scene, canvas)
    canvas = _weather(scene, canvas)
    if scene.style == "pixel art":
        return _blocks(canvas.image, width, height)
    image = canvas.image.reduce(OVERSAMPLING)
    return _paper(image, rng) if scene.style in ("watercolour", "sketch") else image


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    r, g, b = (round(p + (q - p) * share) for p, q in zip(first, second, strict=True))
    return r, g, b


def _tones(scene: Scene, colour: str) -> dict[str, Colour]:
    base = OBJECT_COLOURS[colour]
    own = {"main": base, "dark": mix(base, (0, 0, 0), 0.26), "light": mix(base, (255, 255, 255), 0.3)}
    return {**TINTS, **own, "edge": mix(base, (20, 10, 30), 0.5)}


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    share = np.linspace(0.0, 1.0, size[1])[:, None, None]
    column = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return Image.fromarray(column.round().astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def _toned(scene: Scene, colour: Colour) -> Colour:
    """The surroundings' colour in the scene's style: dark for neon, paper for watercolour and sketch."""
    if scene.style == "neon":
        return mix(colour, (8, 6, 22), 0.8)
    if scene.style == "watercolour":
        return mix(colour, PAPER, 0.3)
    if scene.style == "sketch":
        return mix(colour, PAPER, 0.62 if scene.time != "night" else 0.4)
    return mix(colour, (236, 240, 246), 0.45) if scene.weather == "snow" and scene.time != "night" else colour


def _surroundings(scene: Scene, size: tuple[int, int], unit: float, rng: random.Random) -> Image.Image:
    top, bottom = (_toned(scene, colour) for colour in SKIES[scene.time])
    image = _gradient(size, top, bottom)
    if scene.time == "night":
        _stars(image, unit, rng, scene)
    else:
        _clouds(image, unit, rng, bottom)
    if scene.place == "sea":
        _water(image, unit, rng, scene)
    else:
        _meadow(image, unit, rng, scene)
    if scene.style == "watercolour":
        image = image.filter(ImageFilter.BoxBlur(unit * 0.01))
    return image


def _stars(image: Image.Image, unit: float, rng: random.Random, scene: Scene) -> None:
    brush = ImageDraw.Draw(image)
    shade = mix(SKIES["night"][1], (255, 250, 225), 0.75)
    for _ in range(14):
        x, y = rng.uniform(0, image.width), rng.uniform(0, image.height * 0.62)
        r = unit * rng.choice((0.005, 0.006, 0.008))
        brush.ellipse((x - r, y - r, x + r, y + r), fill=shade)


def _clouds(image: Image.Image, unit: float, rng: random.Random, tint: Colour) -> None:
    brush = ImageDraw.Draw(image)
    shade = mix(tint, (255, 255, 255), 0.45)
    for _ in range(rng.choice((1, 2, 2))):
        x, y = rng.uniform(0.1, 0.9) * image.width, rng.uniform(0.08, 0.34) * image.height
        for k in (-1, 0, 1):
            rx, ry = unit * rng.uniform(0.06, 0.09), unit * rng.uniform(0.028, 0.045)
            cx, cy = x + k * unit * 0.07, y + abs(k) * unit * 0.012
            brush.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=shade)


def _meadow(image: Image.Image, unit: float, rng: random.Random, scene: Scene) -> None:
    brush = ImageDraw.Draw(image)
    width, height = image.size
    for level, colour in zip((0.72, 0.83), HILLS[scene.time], strict=True):
        if scene.weather == "snow":
            colour = mix(colour, (246, 248, 252), 0.72 if scene.time != "night" else 0.4)
        phase, swing = rng.uniform(0, 6.28), rng.uniform(0.02, 0.035) * unit
        waves = 2 * np.pi * rng.uniform(0.9, 1.5) / unit
        xs = np.linspace(0, width, 40)
        ys = level * height + swing * np.sin(waves * xs + phase)
        edge = list(zip(xs.tolist(), ys.tolist(), strict=True))
        brush.polygon([*edge, (width, height), (0, height)], fill=_toned(scene, colour))
        if scene.style == "sketch":
            brush.line(edge, fill=mix(_toned(scene, colour), PENCIL, 0.45), width=3)


def _water(image: Image.Image, unit: float, rng: random.Random, scene: Scene) -> None:
    width, height = image.size
    horizon = round(0.72 * height)
    near, far = (_toned(scene, colour) for colour in reversed(WATERS[scene.time]))
    image.paste(_gradient((width, height - horizon), far, near), (0, horizon))
    brush = ImageDraw.Draw(image)
    glint = mix(far, (255, 255, 255), 0.35 if scene.style != "neon" else 0.12)
    for row in range(4):
        y = horizon + (row + 0.6) * (height - horizon) / 4
        for _ in range(2):
            x, half = rng.uniform(0, width), unit * rng.uniform(0.04, 0.08)
            brush.line((x - half, y, x + half, y), fill=glint, width=max(2, round(unit * 0.008)))


def _points(part: Part, item: Item, canvas: Canvas, wobble: float = 0.0) -> list[tuple[float, float]]:
    """The part's outline in the canvas' pixels; `wobble` shifts it by that many radii at random."""
    scale = item.radius * canvas.unit
    dx, dy = (canvas.rng.uniform(-wobble, wobble) for _ in "xy")
    x, y = item.x * canvas.unit, item.y * canvas.unit
    return [(x + (px + dx) * scale, y + (py + dy) * scale) for px, py in part.points]


def _mask(points: list[tuple[float, float]], size: tuple[int, int], origin: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(x - origin[0], y - origin[1]) for x, y in points], fill=255)
    return mask


def _box(item: Item, canvas: Canvas) -> tuple[tuple[int, int], tuple[int, int]]:
    """The upper left corner and the size of a square that holds the object, in pixels."""
    reach = 1.3 * item.radius * canvas.unit
    corner = round(item.x * canvas.unit - reach), round(item.y * canvas.unit - reach)
    return corner, (round(2 * reach), round(2 * reach))


def _plain_objects(scene: Scene, canvas: Canvas) -> Canvas:
    """Flat and pixel art: a gentle shade from top to bottom and a thin darker outline."""
    brush = ImageDraw.Draw(canvas.image)
    for item in scene.items:
        tones = _tones(scene, item.colour)
        origin, size = _box(item, canvas)
        for part in parts_of(item.shape):
            points = _points(part, item, canvas)
            tone = tones[part.tone]
            fill = _gradient(size, mix(tone, (255, 255, 255), 0.16), mix(tone, (0, 0, 0), 0.1))
            canvas.image.paste(fill, origin, _mask(points, size, origin))
            if scene.style == "flat":
                brush.line([*points, points[0], points[1]], fill=tones["edge"], width=canvas.line, joint="curve")
    return canvas


def _wet_objects(scene: Scene, canvas: Canvas) -> Canvas:
    """Watercolour: mottled paint without outline, a darker rim where it dried, soft edges."""
    for item in scene.items:
        tones = _tones(scene, item.colour)
        origin, size = _box(item, canvas)
        mottle = _mottle(canvas.rng, size)
        for part in parts_of(item.shape):
            mask = _mask(_points(part, item, canvas), size, origin)
            soft = mask.filter(ImageFilter.BoxBlur(canvas.unit * 0.008))
            inner = soft.point([max(0, 2 * (value - 128)) for value in range(256)])
            rim = ImageChops.subtract(soft, inner)
            tone = tones[part.tone]
            wash = Image.composite(
                Image.new("RGB", size, mix(tone, (255, 255, 255), 0.34)), Image.new("RGB", size, tone), mottle
            )
            wash.paste(Image.new("RGB", size, mix(tone, (30, 20, 50), 0.22)), (0, 0), rim)
            canvas.image.paste(wash, origin, soft)
    return canvas


def _mottle(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Smooth random blotches, 0-255."""
    noise = Image.frombytes("L", (5, 5), bytes(rng.randrange(256) for _ in range(25)))
    return noise.resize(size, Image.Resampling.BICUBIC)


def _neon_objects(scene: Scene, canvas: Canvas) -> Canvas:
    """Neon: bright tubes around a dim glass of the same colour, with their light around them."""
    tubes = Image.new("RGB", canvas.size)
    brush = ImageDraw.Draw(tubes)
    for item in scene.items:
        tones = _tones(scene, item.colour)
        for part in parts_of(item.shape):
            points = _points(part, item, canvas)
            tone = mix(tones["main"], (255, 255, 255), 0.08)
            brush.polygon(points, fill=mix(tone, (0, 0, 0), 0.42))
            brush.line([*points, points[0], points[1]], fill=tone, width=canvas.line * 2, joint="curve")
    small = tubes.reduce(8)
    blurred = small.filter(ImageFilter.GaussianBlur(canvas.unit * 0.035 / 8))
    glow = blurred.resize(canvas.size, Image.Resampling.BILINEAR)
    lit = ImageChops.add(canvas.image, glow.point([round(value * 0.55) for value in range(256)] * 3))
    return Canvas(ImageChops.lighter(lit, tubes), canvas.unit, canvas.rng)


def _sketch_objects(scene: Scene, canvas: Canvas) -> Canvas:
    """Sketch: a pale wash, coloured hatching across it, and two wobbly pencil lines around it."""
    brush = ImageDraw.Draw(canvas.image)
    for item in scene.items:
        tones = _tones(scene, item.colour)
        origin, size = _box(item, canvas)
        hatching = _hatching(size, canvas.unit)
        for part in parts_of(item.shape):
            points = _points(part, item, canvas)
            tone = tones[part.tone]
            fill = Image.new("RGB", size, mix(tone, PAPER, 0.36))
            fill.paste(Image.new("RGB", size, tone), (0, 0), hatching)
            canvas.image.paste(fill, origin, _mask(points, size, origin))
            for _ in range(2):
                loose = _points(part, item, canvas, wobble=0.035)
                brush.line([*loose, loose[0]], fill=PENCIL, width=max(2, canvas.line * 2 // 3))
    return canvas


def _hatching(size: tuple[int, int], unit: float) -> Image.Image:
    """Slanting strokes, white on black."""
    mask = Image.new("L", size)
    brush = ImageDraw.Draw(mask)
    step = unit * 0.032
    for k in range(int(2 * size[0] / step) + 1):
        brush.line((k * step, 0, k * step - size[1], size[1]), fill=255, width=max(2, round(unit * 0.013)))
    return mask


def _weather(scene: Scene, canvas: Canvas) -> Canvas:
    brush = ImageDraw.Draw(canvas.image)
    width, height = canvas.size
    unit, rng = canvas.unit, canvas.rng
    area = width * height / unit**2
    if scene.weather == "snow":
        for _ in range(round(26 * area)):
            x, y, r = rng.uniform(0, width), rng.uniform(0, height), unit * rng.choice((0.007, 0.009, 0.012))
            brush.ellipse((x - r, y - r, x + r, y + r), fill=(250, 251, 255))
    if scene.weather == "rain":
        drop = (150, 175, 215) if scene.time == "night" else (90, 110, 150)
        shade = mix(_toned(scene, SKIES[scene.time][1]), drop, 0.6)
        for _ in range(round(22 * area)):
            x, y, length = rng.uniform(0, width), rng.uniform(0, height), unit * rng.uniform(0.04, 0.06)
            brush.line((x, y, x - 0.3 * length, y + length), fill=shade, width=max(2, round(unit * 0.007)))
    return canvas


def _blocks(image: Image.Image, width: int, height: int) -> Image.Image:
    """Pixel art: square blocks and few levels of each colour."""
    small = image.resize((width // PIXEL_BLOCK, height // PIXEL_BLOCK), Image.Resampling.BOX)
    levels = [min(255, (value + 8) // 17 * 17) for value in range(256)] * 3
    return small.point(levels).resize((width, height), Image.Resampling.NEAREST)


def _paper(image: Image.Image, rng: random.Random) -> Image.Image:
    """A slight, slow unevenness, as of paper."""
    noise = np.frombuffer(rng.randbytes(16 * 16), dtype=np.uint8).reshape(16, 16)
    grain = Image.fromarray(noise).resize(image.size, Image.Resampling.BICUBIC)
    dark = grain.point([round(value * 0.045) for value in range(256)])
    return ImageChops.subtract(image, Image.merge("RGB", (dark, dark, dark)))
