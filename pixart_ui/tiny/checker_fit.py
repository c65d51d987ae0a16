"""Measures the checker's shape rule on drawn pictures, and the checker's own accuracy.

python -m pixart_ui.tiny.checker_fit            # writes checker.json, prints the accuracy on other scenes
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from pixart_ui.tiny import checker
from pixart_ui.tiny.captions import describe
from pixart_ui.tiny.scenes import draw
from pixart_ui.tiny.world import SHAPES, Scene, sample_scene

RIDGE = 3.0
DECIMALS = 4


def softened(image: Image.Image, rng: random.Random) -> Image.Image:
    """Something like what an autoencoder does: a light blur, JPEG at quality 60."""
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def examples(count: int, seed: int) -> Iterator[tuple[checker.Array, str]]:
    """Features and shape of objects whose place in the drawn scene is known."""
    rng = random.Random(seed)
    for index in range(count):
        scene = sample_scene(rng)
        image = draw(scene)
        pixels = np.asarray(softened(image, rng) if index % 2 else image, dtype=np.float64) / 255
        for mask in checker.segments(pixels):
            rows, columns = np.nonzero(mask)
            middle = np.array([np.mean([columns.min(), columns.max()]), np.mean([rows.min(), rows.max()])]) / 256
            near = min(scene.items, key=lambda item: np.hypot(item.x - middle[0], item.y - middle[1]))
            if np.hypot(near.x - middle[0], near.y - middle[1]) < 0.4 * near.radius:
                yield checker.features(mask), near.shape


def fit(count: int, seed: int) -> checker.Array:
    """Ridge regression of one score for each shape."""
    rows, shapes = zip(*examples(count, seed), strict=True)
    inputs = np.array(rows)
    targets = np.array([[float(shape == name) for name in SHAPES] for shape in shapes])
    weights = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ targets)
    return np.round(weights.T, DECIMALS)


def accuracy(count: int, seed: int, *, soft: bool) -> dict[str, float]:
    """Shares of colours, shapes and relations that the checker finds right in drawn scenes."""
    rng = random.Random(seed)
    right, total = np.zeros(3), np.zeros(3)
    for _ in range(count):
        scene, caption = told_scene(rng)
        image = draw(scene)
        verdict = checker.check(softened(image, rng) if soft else image, caption)
        right += (verdict.colours_right, verdict.shapes_right, verdict.relations_right)
        total += (verdict.colours_total, verdict.shapes_total, verdict.relations_total)
    return dict(zip(("colours", "shapes", "relations"), (right / total).tolist(), strict=True))


def told_scene(rng: random.Random) -> tuple[Scene, str]:
    """A scene of two objects, and a caption of it."""
    while True:
        scene = sample_scene(rng)
        if len(scene.items) == 2:
            return scene, describe(scene, rng).text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--check-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.check_only:
        weights = fit(arguments.scenes, seed=11)
        path = Path(checker.__file__).with_name("checker.json")
        path.write_text(json.dumps({"weights": weights.tolist()}) + "\n", encoding="utf-8")
    for soft in (False, True):
        shares = accuracy(600, seed=977, soft=soft)
        print("softened" if soft else "as drawn", {name: f"{share:.2%}" for name, share in shares.items()})


if __name__ == "__main__":
    main()
