"""The checkpoint in the tree: whole, small, loaded by the stock pipeline, and good at what it promises."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.tiny import checkpoint_dir
from pixart_ui.tiny.scenes import OBJECT_COLOURS, draw
from pixart_ui.tiny.world import sample_scene

MIB = 1 << 20
PROMPT = "a red circle above a blue square at sunset"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """Loaded as a user's script would, by the stock class from the folder alone."""
    from diffusers import PixArtSigmaPipeline

    pipe = PixArtSigmaPipeline.from_pretrained(checkpoint_dir(), dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def guided(pipeline: Any) -> np.ndarray:
    return picture(pipeline)


def picture(pipeline: Any, guidance: float = 4.5, seed: int = 7, steps: int = 20) -> np.ndarray:
    image = pipeline(
        PROMPT,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        height=256,
        width=256,
    ).images[0]
    return np.asarray(image).astype(float)


def files() -> list[Path]:
    return [path for path in checkpoint_dir().rglob("*") if path.is_file()]


def test_the_folder_has_the_hubs_layout() -> None:
    index = json.loads((checkpoint_dir() / "model_index.json").read_text())
    assert index["_class_name"] == "PixArtSigmaPipeline"
    for part in ("tokenizer", "text_encoder", "transformer", "vae", "scheduler"):
        assert part in index
        assert any((checkpoint_dir() / part).iterdir()), part
    assert (checkpoint_dir() / "tokenizer" / "spiece.model").is_file()
    assert not [path for path in files() if path.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_it_is_at_most_32_mib_and_no_file_more_than_14() -> None:
    sizes = [path.stat().st_size for path in files()]
    assert sum(sizes) <= 32 * MIB
    assert max(sizes) <= 14 * MIB


def test_every_shard_that_an_index_names_is_there() -> None:
    for index in checkpoint_dir().rglob("*.safetensors.index.json"):
        for name in set(json.loads(index.read_text())["weight_map"].values()):
            assert (index.parent / name).is_file()


def test_every_width_is_a_multiple_of_64(pipeline: Any) -> None:
    for module in (pipeline.text_encoder, pipeline.transformer):
        for name, part in module.named_modules():
            # the noise prediction (2 x 2 x 4) and the four latent channels are what the layout makes them
            if isinstance(part, torch.nn.Linear) and name != "proj_out":
                assert part.in_features % 64 == 0, name
                assert part.out_features % 64 == 0, name


def test_the_weights_are_stored_in_fp16_and_finite() -> None:
    from safetensors.torch import load_file

    for path in checkpoint_dir().rglob("*.safetensors"):
        for name, tensor in load_file(path).items():
            assert tensor.dtype == torch.float16, name
            assert torch.isfinite(tensor).all(), name


def test_any_text_becomes_tokens_within_the_vocabulary(pipeline: Any) -> None:
    vocabulary = pipeline.text_encoder.config.vocab_size
    for text in ("", PROMPT, "Hello wörld 42!", "猫 🌙", "a\tpicture\nof <extra_id_0> {}[]"):
        ids = pipeline.tokenizer(text).input_ids
        assert ids[-1] == 1
        assert max(ids) < vocabulary
    assert len(pipeline.tokenizer(PROMPT).input_ids) <= 12


def test_both_ways_of_naming_the_tokenizer_agree(pipeline: Any) -> None:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(checkpoint_dir() / "tokenizer", local_files_only=True)
    assert found(PROMPT).input_ids == pipeline.tokenizer(PROMPT).input_ids


def test_the_vae_keeps_drawn_scenes_to_32_db(pipeline: Any) -> None:
    rng = random.Random(123_456)
    drawn = np.stack([np.asarray(draw(sample_scene(rng))) for _ in range(6)])
    pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        decoded = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
    errors = ((decoded - pixels) / 2).pow(2).mean(dim=(1, 2, 3))
    assert float((-10 * errors.log10()).mean()) >= 32


def test_the_sentence_of_the_front_page_comes_true(guided: np.ndarray) -> None:
    def centre(colour: str) -> np.ndarray:
        distance = np.abs(guided - np.asarray(OBJECT_COLOURS[colour])).sum(axis=2)
        rows, columns = np.nonzero(distance < 90)
        assert len(rows) > 300, colour
        return np.asarray([rows.mean(), columns.mean()])

    red, blue = centre("red"), centre("blue")
    assert red[0] < blue[0] - 20
    assert abs(red[1] - blue[1]) < blue[0] - red[0]


def test_guidance_makes_a_visible_difference(pipeline: Any, guided: np.ndarray) -> None:
    assert np.abs(guided - picture(pipeline, guidance=1.0)).mean() > 2.0


def test_the_seed_makes_a_difference_and_repeats_itself(pipeline: Any) -> None:
    first = picture(pipeline, steps=4)
    assert np.array_equal(first, picture(pipeline, steps=4))
    assert np.abs(first - picture(pipeline, seed=8, steps=4)).mean() > 2.0
