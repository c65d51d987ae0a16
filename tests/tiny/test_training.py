"""The training script's parts, at toy size: what must be right before an hour of a GPU is spent on it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixart_ui.tiny import data, export, models, train_autoencoder, train_text, train_transformer
from pixart_ui.tiny.captions import describe
from pixart_ui.tiny.tokens import EOS, MAX_TOKENS, VOCABULARY, Tokens, train_tokenizer
from pixart_ui.tiny.training import Average, Budget, adamw
from pixart_ui.tiny.world import COLOURS, SHAPES, sample_scene


@pytest.fixture(scope="module")
def spiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "spiece.model"
    train_tokenizer(path, num_captions=2_000)
    return path


def test_a_caption_fits_and_words_make_the_same_tokens_alone_and_together(spiece: Path) -> None:
    tokens, rng = Tokens(spiece), random.Random(1)
    for _ in range(500):
        caption = describe(sample_scene(rng), rng)
        row = tokens.row(caption.text)
        tagged, owners = tokens.tagged_row(caption.words, caption.tags)
        assert row == tagged
        assert len(row) == len(owners) == MAX_TOKENS
        assert EOS in row
        assert max(row) < VOCABULARY


def test_the_parsing_task_asks_each_objects_words_for_its_own_properties(spiece: Path) -> None:
    ids, targets = data.parsing_rows(spiece, 40, seed=3)
    pieces = Tokens(spiece)._pieces
    for row, wanted in zip(ids.tolist(), targets, strict=True):
        for token, target in zip(row, wanted, strict=True):
            word = pieces.id_to_piece(token).strip("▁")
            if target[0] >= 0 and word in SHAPES:
                assert SHAPES[target[0]] == word
            if target[1] >= 0 and word in COLOURS:
                assert COLOURS[target[1]] == word
        assert (wanted[np.asarray(row) == 0] == -1).all()


def test_a_shelf_is_filled_with_the_same_pictures_every_time(spiece: Path, tmp_path: Path) -> None:
    filled = []
    for name in ("one", "two"):
        shelf = data.Shelf(tmp_path / name, "square", 3, 64, 64)
        shelf.folder.mkdir()
        shelf.pictures("w+")
        shelf.captions("w+")
        data._fill_chunk(shelf, spiece, 0)
        filled.append((np.array(shelf.pictures()), np.array(shelf.captions())))
    assert np.array_equal(filled[0][0], filled[1][0])
    assert np.array_equal(filled[0][1], filled[1][1])
    assert filled[0][0].std() > 0


def test_the_learning_rate_rises_and_ends_at_nothing() -> None:
    budget = Budget(1e-9)
    assert budget.is_over
    assert budget.share == 1.0
    assert budget.factor() == pytest.approx(0.0)
    first_half = Budget(1e6, start=0.0, end=0.5)
    assert 0 <= first_half.factor() < 1e-3
    assert not first_half.is_over


def test_the_average_follows_the_weights_and_leaves_them_alone() -> None:
    module = torch.nn.Linear(2, 2)
    average = Average(module, 0.5)
    with torch.no_grad():
        module.weight.fill_(4.0)
    for _ in range(60):
        average.update()
    assert torch.allclose(average.module.weight, module.weight, atol=1e-4)
    assert not average.module.weight.requires_grad


def test_a_tenth_of_the_captions_is_dropped_to_the_empty_one() -> None:
    torch.manual_seed(0)
    captions = torch.full((10, 8, MAX_TOKENS), 9, dtype=torch.int16)
    _, rows = train_transformer.Latents(torch.zeros(10, 4, 4, 4), captions).batch(4_000)
    is_empty = rows[:, 1] == 0
    assert 0.08 < float(is_empty.float().mean()) < 0.12
    assert (rows[is_empty][:, 0] == EOS).all()


def test_the_loss_of_a_step_is_of_the_velocity_and_ignores_padding() -> None:
    levels = train_transformer.noise_levels(models.scheduler(), torch.device("cpu"))
    assert torch.allclose(levels[0] ** 2 + levels[1] ** 2, torch.ones(1000))
    torch.manual_seed(0)
    transformer, text_encoder = models.transformer().eval(), models.text_encoder().eval()
    rows = torch.zeros(2, MAX_TOKENS, dtype=torch.long)
    rows[:, :3] = torch.tensor([5, 6, EOS])

    def loss(rows: torch.Tensor) -> Any:
        torch.manual_seed(1)
        clean = torch.randn(2, 4, 32, 32)
        return train_transformer.step_loss(transformer, text_encoder, clean, rows, levels, torch.tensor([900, 100]))

    with torch.no_grad():
        assert torch.allclose(loss(rows), loss(rows[:, :5]), rtol=1e-4)


def test_a_few_steps_lower_the_loss_of_the_vae() -> None:
    torch.manual_seed(0)
    vae = models.autoencoder()
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    optimizer = adamw([(vae.parameters(), 2e-3)])
    losses = []
    for _ in range(6):
        value = train_autoencoder.loss(vae, pixels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < losses[0]


def test_pretraining_changes_the_text_encoder_however_little_time_it_has() -> None:
    text_encoder = models.text_encoder()
    before = text_encoder.shared.weight.detach().clone()
    ids = torch.randint(3, 200, (8, MAX_TOKENS), dtype=torch.int16)
    targets = torch.zeros(8, MAX_TOKENS, 8, dtype=torch.int16)
    assert np.isfinite(train_text.train(text_encoder, ids, targets, seconds=0.2, batch=4))
    assert not torch.equal(before, text_encoder.shared.weight)


def test_an_exported_checkpoint_is_fp16_and_the_trained_module_stays_as_it_was(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    transformer = models.transformer()
    export.save(tmp_path, transformer=transformer)
    assert next(transformer.parameters()).dtype == torch.float32
    shards = sorted((tmp_path / "transformer").glob("*.safetensors"))
    assert len(shards) > 1
    assert all(tensor.dtype == torch.float16 for shard in shards for tensor in load_file(shard).values())
