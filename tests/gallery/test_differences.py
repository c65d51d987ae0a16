"""Pictures become the axes of a comparison by what they differ in."""

from __future__ import annotations

from pathlib import Path

from pixart_ui.catalog import tiny
from pixart_ui.gallery.differences import Differences, differences
from pixart_ui.request import GenerationRequest, ResolvedRequest, resolve


def made(**asked: object) -> ResolvedRequest:
    values = {"prompt": "a house", "seed": 1, **asked}
    return resolve(GenerationRequest.parse(values), tiny(Path("weights")), None, random_seed=0)[0]


def shown(found: Differences) -> tuple[list[str], list[str], list[str]]:
    return [str(axis) for axis in found.axes], list(found.prompts), list(found.left)


def test_one_setting_is_one_axis_in_the_order_of_the_pictures() -> None:
    found = differences([made(precision="nf4"), made(precision="fp16"), made(precision="nf4", seed=1)])
    assert shown(found) == (["precision=nf4,fp16"], [], [])


def test_seeds_are_an_axis_only_where_nothing_else_differs() -> None:
    assert shown(differences([made(seed=5), made(seed=3)])) == (["seed=5,3"], [], [])
    assert shown(differences([made(seed=5), made(seed=3, steps=10)])) == (["steps=20,10"], [], ["seed"])


def test_prompts_are_rows_and_two_settings_two_axes() -> None:
    found = differences([made(prompt="a boat", steps=10), made(guidance_scale=2)])
    assert shown(found) == (["steps=10,20", "guidance=4.5,2"], ["a boat", "a house"], [])


def test_what_is_beyond_two_axes_is_named() -> None:
    found = differences([made(), made(steps=10, guidance_scale=2, scheduler="euler", negative_prompt="fog")])
    assert shown(found) == (["scheduler=dpm++,euler", "steps=20,10"], [], ["guidance", "negative prompt"])


def test_a_transformer_that_follows_the_text_encoder_is_no_axis_of_its_own() -> None:
    found = differences([made(precision="fp16"), made(precision="bf16")])
    assert shown(found) == (["precision=fp16,bf16"], [], [])


def test_the_same_request_twice_differs_in_nothing() -> None:
    assert shown(differences([made(), made()])) == ([], [], [])
