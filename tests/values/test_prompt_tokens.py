"""What the page counts is what T5's own tokenizer reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

from pixart_ui import tiny
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.hub import Hub
from pixart_ui.presets import Style
from pixart_ui.prompt_tokens import TokenCounter, read_text

TEXTS = (
    "a red circle above a blue square at sunset",
    "A RED Circle, in CAPITALS",
    "  spaces   everywhere ",
    "é, ☃ and 日本",
    "a red boat " * 60,
)


@pytest.fixture(scope="module")
def processor() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_file=str(tiny.checkpoint_dir() / "tokenizer" / "spiece.model"))


@pytest.mark.parametrize("text", TEXTS)
def test_it_counts_as_the_engine_does(processor: SentencePieceProcessor, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.checkpoint_dir() / "tokenizer")
    assert read_text(processor, "", text, "", 300).used == len(tokenizer(text.lower().strip()).input_ids)


def test_what_is_read_ends_where_the_engine_stops(processor: SentencePieceProcessor) -> None:
    text = "a red boat and " * 20
    tokenizer = AutoTokenizer.from_pretrained(tiny.checkpoint_dir() / "tokenizer")
    read = tokenizer.decode(tokenizer(text, max_length=30, truncation=True).input_ids, skip_special_tokens=True)
    found = read_text(processor, "", text, "", 30)
    assert found.cut_at is not None
    assert text[: found.cut_at].strip() == read.strip()


def test_a_style_takes_its_own_tokens(processor: SentencePieceProcessor) -> None:
    found = read_text(processor, "cinematic still ", "a red boat", " . moody, epic", 8)
    assert found.used > 8
    assert found.is_style_cut
    alone = read_text(processor, "", "a red boat", "", 8)
    assert (alone.cut_at, alone.is_style_cut) == (None, False)


def test_only_the_style_is_cut_where_the_prompt_fits(processor: SentencePieceProcessor) -> None:
    found = read_text(processor, "", "a red boat", ", in the style of a very long sentence that goes on", 8)
    assert (found.cut_at, found.is_style_cut) == (None, True)


def test_a_checkpoint_that_is_not_here_is_not_counted(tmp_path: Path) -> None:
    counter = TokenCounter(Hub(tmp_path))
    assert counter.read("a star", None, tiny_checkpoint(tmp_path / "nowhere")) is None
    found = counter.read("a star", Style(name="S", prompt="{prompt}, neon"), tiny_checkpoint(tiny.checkpoint_dir()))
    assert found is not None
    assert (found.limit, found.cut_at) == (300, None)


def test_what_the_vocabulary_lacks_is_told_sign_by_sign(processor: SentencePieceProcessor) -> None:
    assert read_text(processor, "a photo of ", "a 红色 red 🏠 红", ", grain 雪", 300).unknown == "红色🏠"
    assert read_text(processor, "", "a red house, at dawn", "", 300).unknown == ""
