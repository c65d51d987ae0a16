"""Requests: every wrong value is one clear sentence, every default is filled in once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.bins import Size
from pixart_ui.catalog import Catalog, Checkpoint, hub_checkpoints, tiny
from pixart_ui.errors import InputError
from pixart_ui.presets import Style
from pixart_ui.request import (
    MAX_SEED,
    GenerationRequest,
    Numerics,
    Precision,
    ResolvedRequest,
    Scheduler,
    TransformerPrecision,
    confirm,
    parse_size,
    resolve,
)

CATALOG = Catalog([tiny(Path("weights")), *hub_checkpoints()])


def resolved(checkpoint: str = "tiny", style: Style | None = None, **values: Any) -> tuple[ResolvedRequest, ...]:
    request = GenerationRequest.parse({"prompt": "a red circle"} | values)
    return resolve(request, CATALOG.get(checkpoint), style, random_seed=41)


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"prompt": ""}, "prompt", "The prompt is empty"),
        ({"prompt": " \n\t "}, "prompt", "The prompt is empty"),
        ({}, "prompt", "Prompt is missing"),
        ({"prompt": "x" * 1_000_000}, "prompt", "1,000,000 characters, at most 10,000"),
        ({"prompt": "a\x00b"}, "prompt", "control character U\\+0000 at position 2"),
        ({"prompt": "a\x1b[31m"}, "prompt", "control character U\\+001B"),
        ({"prompt": "a\ud800"}, "prompt", "control character U\\+D800"),
        ({"prompt": "x", "negative_prompt": "\x07"}, "negative_prompt", "Negative prompt contains the control"),
        ({"prompt": "x", "precision": "fp17"}, "precision", "Precision 'fp17' is not one of fp16, bf16"),
        (
            {"prompt": "x", "transformer_precision": "fp4"},
            "transformer_precision",
            "Transformer precision 'fp4' is not one of fp16, bf16, fp8, int8, nf4: leave it out for the usual one",
        ),
        ({"prompt": "x", "scheduler": "karras"}, "scheduler", "Scheduler 'karras' is not one of dpm"),
        (
            {"prompt": "x", "compile_blocks": "perhaps"},
            "compile_blocks",
            "Compile 'perhaps' is not true or false: try false",
        ),
        ({"prompt": "x", "numerics": "sloppy"}, "numerics", "Numerics 'sloppy' is not one of exact, fast"),
        ({"prompt": "x", "width": 5, "height": 5}, "width", "Width 5 is not a whole number of pixels from 64"),
        ({"prompt": "x", "width": 512}, None, "must be given together"),
        ({"prompt": "x", "steps": 0}, "steps", "Steps 0 is not a whole number from 1 to 150: try 20"),
        ({"prompt": "x", "steps": 1000}, "steps", "Steps 1000 is not"),
        ({"prompt": "x", "steps": True}, "steps", "Steps True is not a whole number from 1 to 150: try 20"),
        ({"prompt": "x", "guidance_scale": False}, "guidance_scale", "Guidance False is not a number from 0"),
        ({"prompt": "x", "steps": 5.5}, "steps", "Steps 5.5 is not a whole number"),
        ({"prompt": "x", "guidance_scale": float("nan")}, "guidance_scale", "Guidance nan is not a number from 0"),
        ({"prompt": "x", "guidance_scale": float("inf")}, "guidance_scale", "Guidance inf is not"),
        ({"prompt": "x", "guidance_scale": -1}, "guidance_scale", "Guidance -1 is not"),
        ({"prompt": "x", "seed": -1}, "seed", "Seed -1 is not a whole number from 0"),
        ({"prompt": "x", "seed": 2**64}, "seed", f"Seed {2**64} is not"),
        ({"prompt": "x", "seed": MAX_SEED, "num_images": 2}, None, "runs past the largest seed"),
        ({"prompt": "x", "num_images": 0}, "num_images", "Number of images 0 is not"),
        ({"prompt": "x", "promt": "y"}, None, "Unknown setting 'promt', did you mean 'prompt'"),
        ({"promt": "y"}, None, "Unknown setting 'promt', did you mean 'prompt'"),
    ],
)
def test_a_wrong_value_is_one_sentence(values: dict[str, Any], field: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        GenerationRequest.parse(values)
    assert caught.value.field == field
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("checkpoint", "values", "sentence"),
    [
        ("tiny", {"width": 1024, "height": 1024}, "Size 1024×1024 is too large for tiny, whose longest side is 512"),
        ("tiny", {"width": 512, "height": 64}, "too narrow"),
        ("alpha-lcm-1024", {"scheduler": "dpm++"}, "does not work with alpha-lcm-1024: choose lcm"),
        ("alpha-lcm-1024", {"guidance_scale": 4.5}, "distilled to run without: set guidance to 0"),
        ("alpha-512", {"steps": 1}, r"Steps 1 do not work with dpm\+\+, .* set steps to 2, or choose ddim"),
        ("alpha-dmd-512", {"steps": 20}, "distilled to 1 step: set steps to 1"),
    ],
)
def test_what_a_checkpoint_cannot_do_is_one_sentence(checkpoint: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolved(checkpoint, **values)


def test_zero_is_a_value_and_not_a_missing_one() -> None:
    (request,) = resolved(seed=0, guidance_scale=0)
    assert request.seed == 0
    assert request.guidance_scale == 0
    assert not request.is_guided


def test_defaults_come_from_the_checkpoint() -> None:
    (tiny_request,) = resolved()
    assert (tiny_request.width, tiny_request.height, tiny_request.max_tokens) == (256, 256, 300)
    assert (tiny_request.seed, tiny_request.steps, tiny_request.guidance_scale) == (41, 20, 4.5)
    assert (tiny_request.precision, tiny_request.numerics) == (Precision.FP16, Numerics.FAST)
    (lcm,) = resolved("alpha-lcm-1024")
    assert (lcm.steps, lcm.guidance_scale, lcm.scheduler, lcm.max_tokens) == (4, 0.0, Scheduler.LCM, 120)
    (dmd,) = resolved("alpha-dmd-512")
    assert (dmd.timesteps, dmd.steps, dmd.scheduler) == ((400,), 1, Scheduler.DDPM)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, TransformerPrecision.FP16),
        ({"precision": "nf4"}, TransformerPrecision.FP16),
        ({"precision": "bf16"}, TransformerPrecision.BF16),
        ({"precision": "bf16", "transformer_precision": "fp16"}, TransformerPrecision.FP16),
        ({"transformer_precision": "fp8"}, TransformerPrecision.FP8),
    ],
)
def test_the_transformer_follows_the_text_encoder_unless_it_is_asked_for(
    values: dict[str, Any], expected: TransformerPrecision
) -> None:
    (request,) = resolved(**values)
    assert request.transformer_precision is expected
    assert request.is_transformer_usual == ("transformer_precision" not in values)


@pytest.mark.parametrize("precision", Precision)
def test_a_stored_request_from_before_the_transformer_had_a_precision_is_read(precision: Precision) -> None:
    (request,) = resolved(precision=precision)
    older = json.loads(request.model_dump_json())
    del older["transformer_precision"]
    assert ResolvedRequest.parse(older) == request
    assert ResolvedRequest.model_validate_json(json.dumps(older)) == request


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"numerics": "exact"}, "do not work with exact numerics, .*: choose fast numerics, or leave compiling off"),
        ({"transformer_precision": "fp8"}, "transformer precision fp8, they need 16 bits: choose fp16 or bf16"),
    ],
)
def test_blocks_are_compiled_only_where_that_works(values: dict[str, Any], sentence: str) -> None:
    assert [resolved(compile_blocks=asked)[0].compile_blocks for asked in (None, False, True)] == [False, False, True]
    assert resolved(**values)[0].compile_blocks is False
    with pytest.raises(InputError, match=sentence) as caught:
        resolved(compile_blocks=True, **values)
    assert caught.value.field == "compile_blocks"
    assert "\n" not in caught.value.message


def test_a_stored_request_from_before_blocks_could_be_compiled_is_read() -> None:
    (request,) = resolved()
    older = json.loads(request.model_dump_json())
    del older["compile_blocks"]
    assert ResolvedRequest.parse(older) == request


def test_several_images_have_consecutive_seeds() -> None:
    assert [request.seed for request in resolved(seed=7, num_images=3)] == [7, 8, 9]


def test_the_working_size_is_the_nearest_bin() -> None:
    (request,) = resolved("sigma-1024", width=1920, height=1080)
    assert request.size == Size(1920, 1080)
    assert request.bin == Size(1344, 768)


def test_a_style_wraps_the_prompt_and_adds_its_negatives() -> None:
    style = Style(name="Ink", prompt="ink drawing of {prompt}, fine lines", negative_prompt="photo")
    (request,) = resolved(style=style, negative_prompt="blurry")
    assert request.full_prompt == "ink drawing of a red circle, fine lines"
    assert request.full_negative_prompt == "photo, blurry"
    assert (request.prompt, request.negative_prompt, request.style) == ("a red circle", "blurry", "Ink")


def test_a_prompt_with_braces_is_text() -> None:
    style = Style(name="Ink", prompt="ink {prompt}")
    (request,) = resolved(style=style, prompt="{0.__class__} {prompt}")
    assert request.full_prompt == "ink {0.__class__} {prompt}"


def test_a_resolved_request_survives_json() -> None:
    (request,) = resolved(seed=MAX_SEED, prompt="naïve 🌙 <b>")
    assert ResolvedRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"steps": 0}, "Steps 0 is not"),
        ({"transformer_precision": None}, "Transformer precision None is not one of"),
        ({"bin_width": 0}, "bin_width: 0 is not allowed"),
        ({"compile_blocks": "perhaps"}, "Compile 'perhaps' is not true or false"),
        ({"compile_blocks": True, "numerics": "exact"}, "Compiled blocks do not work with exact numerics"),
        ({"width": 0}, "Width 0 is not"),
        ({"seed": -1}, "Seed -1 is not"),
        ({"full_prompt": "a\x00"}, "control character"),
        ({"max_tokens": 0}, "The settings say max_tokens 0, tiny has 300"),
        ({"family": "zz"}, "The settings say family 'zz', tiny has sigma"),
        ({"timesteps": (5, 900)}, "The settings say timesteps"),
        ({"bin_width": 512}, "The settings say working size 512×256, tiny has 256×256"),
        ({"scheduler": "lcm"}, "Scheduler lcm does not work with tiny"),
    ],
)
def test_an_edited_picture_cannot_get_round_the_validator(edit: dict[str, Any], sentence: str) -> None:
    (request,) = resolved()
    confirm(request, CATALOG.get("tiny"))
    values = request.model_dump() | edit
    with pytest.raises(InputError, match=sentence):
        confirm(ResolvedRequest.parse(values), CATALOG.get("tiny"))


def test_an_unknown_key_in_a_stored_request_is_named() -> None:
    (request,) = resolved()
    with pytest.raises(InputError, match="Unknown setting 'colour'"):
        ResolvedRequest.parse(request.model_dump() | {"colour": 1})


@pytest.mark.parametrize(("text", "size"), [("256x128", (256, 128)), ("256×128", (256, 128)), (" 64 * 64 ", (64, 64))])
def test_sizes_are_read(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "256", "axb", "1x2x3", "-1x5", "²x²", "1e3x5", "9" * 5000 + "x1"])
def test_a_size_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match="is not a width and a height: write it like 1024x768"):
        parse_size(text)


def test_checkpoints_share_one_text_encoder() -> None:
    sources = {entry.repos["text_encoder"] for entry in hub_checkpoints()}
    assert len(sources) == 1


def test_an_unknown_checkpoint_lists_the_choices() -> None:
    with pytest.raises(InputError, match="did you mean 'sigma-1024'") as caught:
        CATALOG.get("sigma1024")
    assert all(name in caught.value.message for name in CATALOG.names)
    assert isinstance(CATALOG.get("alpha-512"), Checkpoint)
