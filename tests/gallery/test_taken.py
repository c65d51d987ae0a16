"""What other programs wrote into their PNGs, read as far as PixArt has the same, with the rest named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from pixart_ui.catalog import Catalog, hub_checkpoints, tiny
from pixart_ui.errors import InputError
from pixart_ui.gallery import images, taken
from pixart_ui.gallery.adopting import OTHER_MODEL, adopt
from pixart_ui.gallery.taken import A1111, COMFY, OURS
from pixart_ui.presets import Styles
from pixart_ui.request import GenerationRequest, ResolvedRequest, Scheduler, resolve
from pixart_ui.services import presets_dir

CATALOG = Catalog([tiny(Path("weights")), *hub_checkpoints()])
TINY = CATALOG.get("tiny")
STYLES = Styles.load(presets_dir())
A1111_TEXT = (
    "a cat in a hat, (masterpiece:1.2) <lora:add_detail:0.8>\n"
    "on two lines\n"
    "Negative prompt: blurry, (bad hands:1.4)\n"
    "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 12345, Size: 512x768, Model hash: abc123, "
    'Model: sdxl_base, Clip skip: 2, Lora hashes: "add_detail: 7c6bad76eb54, other: 1", Version: v1.9.4'
)


def png(path: Path, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def ours(path: Path, checkpoint: str = "tiny", **asked: object) -> ResolvedRequest:
    found = CATALOG.get(checkpoint)
    style = STYLES.get(str(asked["style"]), checkpoint) if "style" in asked else None
    asked_for = GenerationRequest.parse({"prompt": "a red circle", "checkpoint": checkpoint, **asked})
    (request,) = resolve(asked_for, found, style, random_seed=7)
    images.save(Image.new("RGB", (8, 8)), path, request, {})
    return request


def test_a_picture_of_ours_says_everything(tmp_path: Path) -> None:
    request = ours(tmp_path / "a.png", steps=33, style="Watercolour", precision="nf4")
    found = taken.read(tmp_path / "a.png")
    assert (found.source, found.request, found.dropped) == (OURS, request, ())
    adopted = adopt(found, [TINY], TINY, STYLES)
    assert adopted.request == request
    assert adopted.dropped == ()


def test_a1111_text_is_understood_and_the_rest_is_named(tmp_path: Path) -> None:
    found = taken.read(png(tmp_path / "a.png", parameters=A1111_TEXT))
    assert found.source == A1111
    assert found.settings["prompt"] == "a cat in a hat, masterpiece \non two lines"
    assert found.settings["negative_prompt"] == "blurry, bad hands"
    adopted = adopt(found, [TINY], TINY, STYLES)
    request = adopted.request
    assert (request.steps, request.guidance_scale, request.seed, request.scheduler) == (28, 7.0, 12345, "dpm++")
    assert (str(request.size), request.checkpoint) == ("208×304", "tiny")
    said = "\n".join(adopted.dropped)
    for words in (
        "<lora:add_detail:0.8>",
        "Weights such as (word:1.2)",
        "Sampler DPM++ 2M Karras: the nearest one here is dpm++",
        "Clip skip 2",
        "Checkpoint sdxl_base: it is not on this disk",
        "Size 512×768: PixArt-Tiny · 256 has 208×304 for that shape",
        OTHER_MODEL,
    ):
        assert words in said
    assert "Version" not in said
    assert "hash" not in said.lower()


def test_what_this_app_writes_in_that_form_comes_back_without_loss(tmp_path: Path) -> None:
    request = ours(tmp_path / "ours.png", steps=12, precision="int8", scheduler="sa-solver", negative_prompt="blur")
    found = taken.read(png(tmp_path / "a.png", parameters=images.parameters(request)))
    adopted = adopt(found, [TINY], TINY, STYLES)
    assert adopted.request == request
    assert adopted.dropped == (OTHER_MODEL,), "nothing says that it was this app"


@pytest.mark.parametrize(
    ("name", "scheduler", "is_named"),
    [
        ("Euler", Scheduler.EULER, False),
        ("Euler a", Scheduler.EULER, True),
        ("DPM++ 2M", Scheduler.DPM_SOLVER, False),
        ("DPM++ SDE", Scheduler.DPM_SOLVER, True),
        ("UniPC", Scheduler.UNIPC, False),
        ("DDIM", Scheduler.DDIM, False),
        ("Heun", None, True),
    ],
)
def test_samplers_are_known_by_their_names_there(name: str, scheduler: Scheduler | None, is_named: bool) -> None:
    found = taken.read_parameters(f"a cat\nSteps: 20, Sampler: {name}, CFG scale: 5")
    assert found.settings.get("scheduler") == scheduler
    assert any(name in line for line in found.dropped) == is_named


@pytest.mark.parametrize(
    ("setting", "kept", "sentence"),
    [
        ("Steps: 500", 20, "Steps '500' is not a whole number from 1 to 150"),
        ("Steps: 20, CFG scale: 99", 4.5, "Guidance '99' is not a number from 0 to 30"),
        ("Steps: 20, Seed: -1", 0, "Seed '-1' is not"),
        ("Steps: 20, Size: 0x0", "256×256", "Width 0 is not"),
    ],
)
def test_a_value_beyond_the_rules_is_left_at_its_default_with_the_rule(
    setting: str, kept: object, sentence: str
) -> None:
    adopted = adopt(taken.read_parameters(f"a cat\n{setting}"), [TINY], TINY, STYLES)
    request = adopted.request
    assert kept in (request.steps, request.guidance_scale, request.seed, str(request.size))
    assert any(sentence in line for line in adopted.dropped)


def test_a_comfyui_graph_is_followed_from_its_sampler(tmp_path: Path) -> None:
    graph = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 42, "steps": 24, "cfg": 6.5, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0,
                "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "pixart/sigma.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a boat", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
    }  # fmt: skip
    found = taken.read(png(tmp_path / "a.png", prompt=json.dumps(graph)))
    assert found.source == COMFY
    request = adopt(found, [TINY], TINY, STYLES).request
    assert (request.prompt, request.negative_prompt, request.steps, request.seed) == ("a boat", "fog", 24, 42)
    assert (request.guidance_scale, request.scheduler, str(request.size)) == (6.5, "dpm++", "256×256")
    assert any("karras" in line for line in found.dropped)


def test_a_checkpoint_is_known_by_its_name_or_title_and_keeps_its_rules() -> None:
    lcm = CATALOG.get("alpha-lcm-1024")
    found = taken.read_parameters("a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Model: PixArt-δ · LCM 1024")
    adopted = adopt(found, [TINY, lcm], TINY, STYLES)
    assert (adopted.request.checkpoint, adopted.request.scheduler) == ("alpha-lcm-1024", "lcm")
    assert any("Scheduler euler does not work with alpha-lcm-1024" in line for line in adopted.dropped)


def test_a_style_that_is_not_here_leaves_its_words_in_the_prompt(tmp_path: Path) -> None:
    request = ours(tmp_path / "a.png", style="Watercolour")
    without = Styles({})
    adopted = adopt(taken.read(tmp_path / "a.png"), [TINY], TINY, without)
    assert (adopted.request.style, adopted.request.prompt) == (None, request.full_prompt)
    assert adopted.request.full_prompt == request.full_prompt
    assert any(line.startswith("Style Watercolour") for line in adopted.dropped)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({}, "says nothing of how it was made"),
        ({"parameters": "\n"}, "not in A1111's form"),
        ({"prompt": "{"}, "has no sampler that this app knows"),
        ({"prompt": "[1, 2]"}, "has no sampler that this app knows"),
        ({"prompt": '{"1": {"inputs": {"positive": ["1", 0], "seed": []}}}'}, None),
        ({"pixart_ui": "{}"}, "damaged settings"),
    ],
)
def test_a_png_that_says_nothing_gets_one_sentence(tmp_path: Path, texts: dict[str, str], sentence: str | None) -> None:
    path = png(tmp_path / "a.png", **texts)
    if sentence is None:
        with pytest.raises(InputError, match="The prompt is empty"):
            adopt(taken.read(path), [TINY], TINY, STYLES)
        return
    with pytest.raises(InputError, match=sentence):
        taken.read(path)


def test_a_file_of_another_kind_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="not a readable PNG"):
        taken.read(tmp_path / "a.png")
    with pytest.raises(InputError, match="no longer here"):
        taken.read(tmp_path / "gone.png")


@pytest.mark.parametrize("sign", [" ", "a", "a:", 'a:"', "a :", "(a:", "<lora:", "\\", "Steps: ", "\n"])
def test_a_strangers_long_text_is_read_in_no_time(sign: str) -> None:
    """Were it read in more than one way at each place, this would not end within anybody's life."""
    text = sign * (taken.MAX_TEXT_CHARS // len(sign))
    assert taken.read_parameters(f"a moon\nSteps: 7, {text}").settings["prompt"].startswith("a moon")
    assert taken.read_parameters(f"{text}\nSteps: 7").settings["steps"] == "7"
