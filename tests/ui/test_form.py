from __future__ import annotations

from typing import Any

import pytest

from pixart_ui.errors import InputError
from pixart_ui.request import MAX_SEED, Precision, TransformerPrecision
from pixart_ui.services import Services
from pixart_ui.ui.form import Form, including
from pixart_ui.ui.offer import offer, precision_effect

Values = dict[Any, Any]


def test_an_untouched_form_asks_for_what_it_shows(form: Form, values: Values) -> None:
    request = form.read(values)
    assert request.prompt == "a red circle"
    assert (request.width, request.height) == (256, 256)
    assert request.precision is Precision.FP16
    assert request.transformer_precision is None
    assert request.seed is None
    assert request.style is None
    assert request.negative_prompt is None


def test_the_largest_seed_comes_through_exactly(form: Form, values: Values) -> None:
    assert form.read(values | {form.seed: str(MAX_SEED)}).seed == MAX_SEED


def test_a_seed_that_the_page_drew_is_drawn_anew(form: Form, values: Values) -> None:
    assert form.read(values | {form.seed: "7", form.drawn_seed: "7"}).seed is None


def test_a_drawn_seed_that_is_kept_is_used_again(form: Form, values: Values) -> None:
    assert form.read(values | {form.seed: "7", form.drawn_seed: "7", form.is_seed_kept: True}).seed == 7


def test_a_typed_seed_needs_no_lock(form: Form, values: Values) -> None:
    assert form.read(values | {form.seed: "8", form.drawn_seed: "7"}).seed == 8


def test_seed_zero_and_guidance_zero_are_values(form: Form, values: Values) -> None:
    request = form.read(values | {form.seed: "0", form.guidance_scale: 0})
    assert request.seed == 0
    assert request.guidance_scale == 0.0


WRONG = [
    ("prompt", "", "prompt"),
    ("prompt", None, "prompt"),
    ("prompt", "a\x00b", "prompt"),
    ("prompt", "x" * 1_000_000, "prompt"),
    ("prompt", {"text": "a"}, "prompt"),
    ("negative_prompt", "\x07", "negative_prompt"),
    ("seed", "-1", "seed"),
    ("seed", str(MAX_SEED + 1), "seed"),
    ("seed", "seven", "seed"),
    ("seed", ["7"], "seed"),
    ("steps", 0, "steps"),
    ("steps", 1000, "steps"),
    ("steps", 5.5, "steps"),
    ("guidance_scale", "NaN", "guidance_scale"),
    ("guidance_scale", -1, "guidance_scale"),
    ("precision", "fp64", "precision"),
    ("transformer_precision", "fp4", "transformer_precision"),
    ("scheduler", "magic", "scheduler"),
    ("numerics", "loose", "numerics"),
    ("compile_blocks", "perhaps", "compile_blocks"),
    ("num_images", 0, "num_images"),
    ("size", "huge", "width"),
    ("size", "9999x9999", "width"),
]


@pytest.mark.parametrize(("name", "value", "field"), WRONG)
def test_a_wrong_value_names_its_field(form: Form, values: Values, name: str, value: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        form.read(values | {getattr(form, name): value})
    assert caught.value.field == field
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["sigma-1024", "alpha-lcm-1024", "alpha-dmd-512", "sigma-2k", "tiny"])
def test_what_is_offered_can_be_asked_for(services: Services, name: str) -> None:
    checkpoint = services.catalog.get(name)
    offered = offer(services, checkpoint)
    sizes = [value for _, value in offered.sizes]
    assert offered.size in sizes
    assert {value for _, value in offered.shapes} <= set(sizes)
    assert offered.scheduler in [value for _, value in offered.schedulers]
    assert 1 <= offered.steps <= offered.max_steps
    assert len(offered.shapes) == 5


def test_every_checkpoint_is_offered_its_own_styles(services: Services) -> None:
    tiny = offer(services, services.catalog.get("tiny"))
    large = offer(services, services.catalog.get("sigma-1024"))
    assert "Watercolour" in dict(tiny.styles)
    assert "Cinematic" not in dict(tiny.styles)
    assert "Cinematic" in dict(large.styles)
    assert "Watercolour" not in dict(large.styles)


def test_every_precision_says_what_it_costs() -> None:
    for precision in Precision:
        assert precision_effect(str(precision), is_small=False)
    assert precision_effect("fp64", is_small=False) == ""
    assert precision_effect(None, is_small=False) == ""


@pytest.mark.parametrize("name", ["sigma-1024", "tiny"])
def test_every_precision_of_the_transformer_is_offered_with_its_line(services: Services, name: str) -> None:
    checkpoint = services.catalog.get(name)
    choices = offer(services, checkpoint).transformer_precisions
    assert [value for _, value in choices] == ["", *TransformerPrecision]
    assert all(text.startswith(f"{value}: ") for text, value in choices[1:])
    assert ("1.2 GB" in choices[1][0]) == (name != "tiny")


def test_a_value_that_is_not_offered_is_shown_all_the_same() -> None:
    assert including((("A", "a"),), "b") == [("A", "a"), ("b", "b")]
    assert including((("A", "a"),), "a") == [("A", "a")]
