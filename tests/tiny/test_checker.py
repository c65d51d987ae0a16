"""The checker: right about drawn scenes, not to be talked into a wrong caption, and with no drawing code in it."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from PIL import Image

from pixart_ui.tiny import checker_fit
from pixart_ui.tiny.captions import parse
from pixart_ui.tiny.checker import check, look
from pixart_ui.tiny.scenes import draw
from pixart_ui.tiny.world import COLOURS, SHAPES, Item, Scene

OPPOSITES = {"left of": "right of", "above": "below"}


@pytest.mark.parametrize("soft", [False, True])
def test_it_is_right_about_scenes_it_was_not_measured_on(soft: bool) -> None:
    shares = checker_fit.accuracy(60, seed=31_337, soft=soft)
    assert shares["colours"] >= 0.97
    assert shares["shapes"] >= 0.94
    assert shares["relations"] >= 0.96


def plain_caption(caption: str) -> str:
    """Colours, shapes and one relation, in the simplest words."""
    wanted = parse(caption)
    ((first, relation, second),) = wanted.relations
    names = [f"a {mention.colour} {mention.shape}" for mention in wanted.mentions]
    return f"{names[first]} {relation} {names[second]}"


def test_a_wrong_caption_is_noticed() -> None:
    rng = random.Random(99)
    noticed, total = {"colour": 0, "shape": 0, "relation": 0}, 0
    while total < 40:
        scene, told = checker_fit.told_scene(rng)
        if len(parse(told).relations) != 1 or len(parse(told).mentions) != 2:
            continue
        caption, image = plain_caption(told), draw(scene)
        first = parse(caption).mentions[0]
        used = {item.colour for item in scene.items}, {item.shape for item in scene.items}
        colour = rng.choice([name for name in COLOURS if name not in used[0]])
        shape = rng.choice([name for name in SHAPES if name not in used[1]])
        total += 1
        noticed["colour"] += check(image, caption.replace(first.colour, colour, 1)).colours_right < 2
        noticed["shape"] += check(image, caption.replace(f" {first.shape}", f" {shape}", 1)).shapes_right < 2
        ((_, relation, _),) = parse(caption).relations
        other = OPPOSITES.get(relation) or next(key for key, value in OPPOSITES.items() if value == relation)
        noticed["relation"] += check(image, caption.replace(relation, other)).relations_right == 0
    assert min(noticed.values()) >= 0.95 * total, noticed


def test_swapped_colours_are_wrong_colours_and_strangers_are_in_no_relation() -> None:
    items = (Item("circle", "purple", "medium", 0.25, 0.5), Item("heart", "green", "medium", 0.75, 0.5))
    image = draw(Scene(items))
    assert check(image, "a purple circle left of a green heart").is_all_right
    swapped = check(image, "a green circle left of a purple heart")
    assert (swapped.colours_right, swapped.shapes_right, swapped.relations_right) == (0, 2, 1)
    strangers = check(image, "a red star left of an orange boat")
    assert (strangers.colours_right, strangers.shapes_right, strangers.relations_right) == (0, 0, 0)


def test_an_empty_picture_shows_nothing() -> None:
    assert look(Image.new("RGB", (256, 256), (180, 200, 220))) == ()
    verdict = check(Image.new("RGB", (256, 256)), "a red circle above a blue square")
    assert (verdict.colours_right, verdict.shapes_right, verdict.relations_right) == (0, 0, 0)
    assert (verdict.colours_total, verdict.shapes_total, verdict.relations_total) == (2, 2, 1)


def test_it_shares_no_drawing_code() -> None:
    code = (
        "import sys, pixart_ui.tiny.checker as c; c.look(c.Image.new('RGB', (256, 256)));"
        "assert not {'pixart_ui.tiny.scenes', 'pixart_ui.tiny.figures'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
