"""The small world: scenes, captions, and the combinations that training never shows."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest

from pixart_ui.tiny.captions import describe, evaluation_captions, parse
from pixart_ui.tiny.scenes import OBJECT_COLOURS, draw
from pixart_ui.tiny.world import (
    COLOURS,
    PLACES,
    SHAPES,
    STYLES,
    TIMES,
    WEATHERS,
    Item,
    Scene,
    all_combinations,
    clear_relation,
    combination,
    is_held_out,
    pair_scene,
    sample_scene,
)


def lone(shape: str = "circle", colour: str = "red", style: str = "flat", time: str = "day") -> Scene:
    return Scene((Item(shape, colour, "large", 0.5, 0.5),), time=time, style=style, seed=4)


def test_no_sampled_scene_shows_a_held_out_combination_mentioned_or_not() -> None:
    rng = random.Random(0)
    for scene in (sample_scene(rng, rng.choice((1.0, 1.46, 0.68))) for _ in range(2_000)):
        for a, b in itertools.permutations(scene.items, 2):
            relation = clear_relation(a, b)
            if relation is not None:
                assert not is_held_out(combination(a.kind, relation, b.kind))


def test_a_tenth_of_the_combinations_is_held_out_and_every_object_keeps_some() -> None:
    combos = all_combinations()
    held_out = [combo for combo in combos if is_held_out(combo)]
    assert 0.085 < len(held_out) / len(combos) < 0.115
    trained = {combo.first for combo in combos if not is_held_out(combo)}
    assert trained == set(itertools.product(COLOURS, SHAPES))


def test_left_of_and_right_of_are_one_combination() -> None:
    a, b = ("red", "sun"), ("blue", "tree")
    assert combination(a, "left of", b) == combination(b, "right of", a)
    assert combination(a, "above", b) == combination(b, "below", a)
    assert combination(a, "above", b) != combination(b, "above", a)


def test_held_out_is_the_same_in_every_process() -> None:
    code = (
        "from pixart_ui.tiny.world import *; print(sum(k for k, c in enumerate(all_combinations()) if is_held_out(c)))"
    )
    here = sum(k for k, combo in enumerate(all_combinations()) if is_held_out(combo))
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == here


def test_the_evaluation_asks_300_times_for_what_training_never_shows() -> None:
    captions = evaluation_captions()
    assert len(set(captions)) == 300
    assert captions == evaluation_captions()
    for caption in captions:
        parsed = parse(caption)
        ((i, relation, j),) = parsed.relations
        first, second = ((parsed.mentions[k].colour, parsed.mentions[k].shape) for k in (i, j))
        assert is_held_out(combination(first, relation, second))


def test_the_same_seed_gives_the_same_scenes_captions_and_pictures() -> None:
    def once() -> tuple[Scene, str, bytes]:
        rng = random.Random(11)
        scene = sample_scene(rng)
        return scene, describe(scene, rng).text, draw(scene).tobytes()

    assert once() == once()


@pytest.mark.parametrize("aspect", [1.0, 304 / 208, 208 / 304])
def test_objects_stay_inside_the_picture_and_apart_from_each_other(aspect: float) -> None:
    rng = random.Random(1)
    for scene in (sample_scene(rng, aspect) for _ in range(500)):
        for item in scene.items:
            assert item.radius <= item.x <= scene.width - item.radius
            assert item.radius <= item.y <= scene.height - item.radius
        for a, b in itertools.combinations(scene.items, 2):
            assert np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius


def test_a_caption_reads_back_as_the_scene_that_it_tells() -> None:
    rng = random.Random(2)
    for scene in (sample_scene(rng) for _ in range(3_000)):
        text = describe(scene, rng).text
        parsed = parse(text)
        assert {(mention.colour, mention.shape) for mention in parsed.mentions} == {i.kind for i in scene.items}, text
        assert (parsed.time, parsed.weather, parsed.style) == (scene.time, scene.weather, scene.style), text
        items = {item.kind: item for item in scene.items}
        for i, relation, j in parsed.relations:
            a, b = (items[parsed.mentions[k].colour, parsed.mentions[k].shape] for k in (i, j))
            assert clear_relation(a, b) == relation, text


@pytest.mark.parametrize(
    ("caption", "relation"),
    [
        ("a red circle above a blue square at sunset", (0, "above", 1)),
        ("A picture of a small red circle, over a blue square.", None),
        ("a blue square with a red circle under it, neon", (1, "below", 0)),
        ("a red circle on the right and a blue square on the left", (0, "right of", 1)),
        ("a red circle and a blue square", None),
    ],
)
def test_relations_are_read_in_every_wording(caption: str, relation: tuple[int, str, int] | None) -> None:
    parsed = parse(caption)
    assert len(parsed.mentions) == 2
    if relation is not None:
        assert parsed.relations == (relation,)


def test_captions_are_varied_and_tag_each_object_word() -> None:
    rng = random.Random(3)
    scene = pair_scene(rng, next(combo for combo in all_combinations() if not is_held_out(combo)))
    captions = [describe(scene, rng) for _ in range(50)]
    assert len({caption.text for caption in captions}) > 25
    for caption in captions:
        for index, item in enumerate(scene.items):
            own = [word.strip(",.") for word, tag in zip(caption.words, caption.tags, strict=True) if tag == index]
            assert item.colour in own
            assert item.shape in own


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("style", STYLES)
def test_every_object_is_drawn_in_its_colour_in_every_style(shape: str, style: str) -> None:
    for colour, wanted in OBJECT_COLOURS.items():
        picture = np.asarray(draw(lone(shape, colour, style), 128, 128)).astype(int)
        empty = np.asarray(draw(Scene((), style=style, seed=4), 128, 128)).astype(int)
        changed = np.abs(picture - empty).sum(axis=2) > 60
        assert changed.sum() > 0.02 * changed.size
        strongest = picture[changed].mean(axis=0) - empty[changed].mean(axis=0)
        toward = np.asarray(wanted) - empty[changed].mean(axis=0)
        cosine = strongest @ toward / (np.linalg.norm(strongest) * np.linalg.norm(toward))
        assert cosine > 0.8, (shape, colour, style)


def test_styles_times_weathers_and_places_all_look_different() -> None:
    for field, values in (("style", STYLES), ("time", TIMES), ("weather", WEATHERS), ("place", PLACES)):
        pictures = [
            np.asarray(draw(Scene(lone().items, seed=4, **{field: value}), 128, 128)).astype(float)  # type: ignore[arg-type]
            for value in values
        ]
        for a, b in itertools.combinations(pictures, 2):
            share_changed = (np.abs(a - b).max(axis=2) > 16).mean()
            assert share_changed > 0.01, field


@pytest.mark.parametrize(("width", "height"), [(256, 256), (304, 208), (208, 304), (64, 64), (512, 512)])
def test_a_scene_is_drawn_at_the_size_that_was_asked_for(width: int, height: int) -> None:
    picture = draw(sample_scene(random.Random(5), width / height), width, height)
    assert (picture.size, picture.mode) == ((width, height), "RGB")


def test_the_world_needs_no_torch() -> None:
    code = (
        "import sys, pixart_ui.tiny, pixart_ui.tiny.captions, pixart_ui.tiny.scenes; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
