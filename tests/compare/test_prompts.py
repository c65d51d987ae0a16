"""The shipped prompt sets, and a file of one's own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sentencepiece

from pixart_ui import tiny
from pixart_ui.catalog import MAX_TOKENS, Checkpoint
from pixart_ui.compare.prompts import PromptSet, PromptSets, read_prompts
from pixart_ui.errors import InputError
from pixart_ui.services import catalog, presets_dir
from pixart_ui.tiny.captions import parse
from pixart_ui.tiny.tokens import MAX_TOKENS as TINY_TOKENS

# English in T5's vocabulary: about 1.3 pieces a word, one for each mark, and the end.
PIECES_A_WORD = 1.3


@pytest.fixture(scope="module")
def sets() -> PromptSets:
    return PromptSets.load(presets_dir() / "compare")


def checkpoint(name: str) -> Checkpoint:
    return catalog().get(name)


@pytest.mark.parametrize("name", ["alpha", "sigma", "tiny"])
def test_a_set_has_24_different_prompts_from_short_to_long(sets: PromptSets, name: str) -> None:
    prompts = sets.get(name).prompts
    assert len(set(prompts)) == 24
    assert [len(prompt) for prompt in prompts] == sorted(len(prompt) for prompt in prompts)
    assert len(prompts[-1]) > 10 * len(prompts[0])
    assert "24 prompts" in sets.get(name).title


@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_no_prompt_is_longer_than_its_family_reads(sets: PromptSets, name: str) -> None:
    for prompt in sets.get(name).prompts:
        words, marks = len(re.findall(r"[\w'-]+", prompt)), len(re.findall(r"[,.;:]", prompt))
        assert words * PIECES_A_WORD + marks + 1 <= MAX_TOKENS[name]  # type: ignore[index]


def test_the_longest_of_sigma_is_longer_than_alpha_reads(sets: PromptSets) -> None:
    assert len(sets.get("sigma").prompts[-1].split()) > MAX_TOKENS["alpha"]


def test_tiny_knows_every_word_of_its_prompts(sets: PromptSets) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tiny.checkpoint_dir() / "tokenizer" / "spiece.model"))
    for prompt in sets.get("tiny").prompts:
        ids = pieces.encode(prompt)
        assert pieces.unk_id() not in ids
        assert len(ids) < TINY_TOKENS
        found = parse(prompt)
        assert 1 <= len(found.mentions) <= 3
        assert len(found.relations) == len(found.mentions) - 1, prompt


@pytest.mark.parametrize(
    ("name", "expected"), [("tiny", "tiny"), ("sigma-1024", "sigma"), ("sigma-2k", "sigma"), ("alpha-dmd-512", "alpha")]
)
def test_a_checkpoint_gets_the_set_made_for_it(sets: PromptSets, name: str, expected: str) -> None:
    assert sets.for_checkpoint(checkpoint(name)).name == expected


def test_a_folder_of_ones_own_gets_the_set_of_its_family(sets: PromptSets, tmp_path: Path) -> None:
    own = replace(checkpoint("alpha-1024"), name=str(tmp_path), folder=tmp_path)
    assert sets.for_checkpoint(own).name == "alpha"


def test_where_no_set_fits_the_sentence_lists_them() -> None:
    only = PromptSets({"tiny": PromptSet(name="tiny", title="", prompts=("a",), checkpoints=("tiny",))})
    with pytest.raises(InputError, match="No prompt set is for PixArt-α · 1024: choose one of tiny"):
        only.for_checkpoint(checkpoint("alpha-1024"))


def test_an_unknown_set_lists_the_choices(sets: PromptSets) -> None:
    with pytest.raises(InputError, match="Unknown prompt set 'sigmaa', did you mean 'sigma'"):
        sets.get("sigmaa")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "mine.json is not a set of prompts"),
        ('{"name": "a", "title": "", "family": "alpha", "prompts": []}', "has prompts, each of them once"),
        ('{"name": "a", "title": "", "family": "beta", "prompts": ["x"]}', "family"),
        ('{"name": "a", "title": "", "prompts": ["x"]}', "names either a family or checkpoints"),
        ('{"name": "a", "title": "", "family": "alpha", "prompt": ["x"]}', "prompt"),
    ],
)
def test_a_damaged_set_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        PromptSets.load(tmp_path)


def test_a_file_of_ones_own_has_one_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffa fox\r\n\r\n  ein Käfer \n".encode())
    assert read_prompts(path) == ("a fox", "ein Käfer")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no prompts, it must have one a line"),
        (b"\n \n", "has no prompts"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
        (b"fine\nnot\x07fine\n", "mine.txt, line 2: Prompt contains the control character"),
        (b"x" * (2**20 + 1), "may have 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_prompts(path)
    assert sentence in error.value.message


def test_a_file_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.txt cannot be read"):
        read_prompts(tmp_path / "absent.txt")
