"""The prompt matrix and the wildcards: all combinations, plain characters, and what is refused before it is written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pixart_ui.batches import Wildcards
from pixart_ui.batches.matrix import escape
from pixart_ui.batches.wildcards import MAX_FILE_BYTES
from pixart_ui.errors import InputError
from pixart_ui.services import presets_dir
from pixart_ui.tiny import captions, world


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", ["a cat"]),
        ("{red|blue}", ["red", "blue"]),
        ("{red|blue} {house|boat}", ["red house", "red boat", "blue house", "blue boat"]),
        ("a {red|{dark|light} blue} cat", ["a red cat", "a dark blue cat", "a light blue cat"]),
        ("a {|red }cat", ["a cat", "a red cat"]),
        ("{only}", ["only"]),
        ("this | that", ["this | that"]),
        (r"\{a\|b\} \# \\ \_", [r"{a|b} # \ _"]),
        (r"C:\cats", [r"C:\cats"]),
        ("a __colour__ cat", ["a red cat", "a blue cat"]),
        ("__colour____colour__", ["redred", "redblue", "bluered", "blueblue"]),
        ("__thing__", ["a red house", "a red boat", "a blue house", "a blue boat", "a moon"]),
        (r"\_\_colour\_\_ ____ _x_", ["__colour__ ____ _x_"]),
    ],
)
def test_a_prompt_stands_for_all_combinations(wildcards: Wildcards, prompt: str, expected: list[str]) -> None:
    assert wildcards.expand(prompt) == expected


def test_whatever_is_escaped_stands_for_itself(wildcards: Wildcards) -> None:
    rng = random.Random(1)
    for _ in range(3000):
        prompt = "".join(rng.choices(["\\", "{", "}", "|", "_", "__colour__", "#", "a", " "], k=rng.randrange(9)))
        assert wildcards.expand(escape(prompt)) == [prompt]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a {red", ["{ at position 3", "}", r"\{"]),
        ("a {b} red}", ["} at position 10", "{"]),
        ("__color__", ["'color'", "did you mean 'colour'", "thing", r"\_\_color\_\_"]),
        ("def __init__(self)", ["'init'", "choose one of colour, thing"]),
        ("{a|b}" * 10, ["1,024 prompts", "at most 1,000"]),
        ("{a|b}" * 1000, ["more than 1,000,000,000 prompts"]),
        ("__thing__" * 4000, ["more than 1,000,000,000"]),
        ("{" * 11 + "}" * 11, ["10 levels"]),
        ("{" * 30_000, ["10 levels"]),
    ],
)
def test_what_cannot_be_expanded_is_refused_in_a_sentence(wildcards: Wildcards, prompt: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        wildcards.expand(prompt)
    assert [word for word in words if word not in caught.value.message] == [], caught.value.message
    assert caught.value.field == "prompt"
    assert len(caught.value.message) < 400


def test_a_wildcard_that_names_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("__b__")
    (tmp_path / "b.txt").write_text("x\n__a__")
    with pytest.raises(InputError, match=r"a\.txt names itself"):
        Wildcards(tmp_path).expand("__a__")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xe9t\xe9", r"broken\.txt is not UTF-8"),
        (b"# nothing\n", r"broken\.txt has no lines"),
        (b"{", r"broken\.txt has a \{ at position 1"),
        (b"x\n" * MAX_FILE_BYTES, r"broken\.txt is larger than 1 MiB"),
    ],
)
def test_a_wrong_wildcard_file_spoils_only_the_prompts_that_name_it(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "broken.txt").write_bytes(content)
    (tmp_path / "colour.txt").write_text("red")
    wildcards = Wildcards(tmp_path)
    assert wildcards.expand("a __colour__ cat") == ["a red cat"]
    with pytest.raises(InputError, match=words):
        wildcards.expand("__broken__")


def test_only_files_whose_names_can_be_written_are_wildcards(tmp_path: Path) -> None:
    for name in ("good-name", "Größe_2", "not this", "_nor", "nor__this"):
        (tmp_path / f"{name}.txt").write_text("x")
    (tmp_path / "other.md").write_text("x")
    assert Wildcards(tmp_path).names == ("Größe_2", "good-name")
    with pytest.raises(InputError, match="Unknown wildcard"):
        Wildcards(tmp_path / "good-name").expand("__good-name__")


# What is shipped


def test_every_shipped_wildcard_can_be_read() -> None:
    wildcards = Wildcards(presets_dir() / "wildcards")
    assert len(wildcards.names) > 10
    for name in wildcards.names:
        assert len(set(wildcards.expand(f"__{name}__"))) > 1


def test_the_wildcards_for_the_small_world_are_its_words() -> None:
    wildcards = Wildcards(presets_dir() / "wildcards")
    assert wildcards.expand("__tiny-colour__") == [*world.COLOURS]
    assert wildcards.expand("__tiny-shape__") == [*world.SHAPES]
    assert wildcards.expand("__tiny-size__") == [*world.SIZES]
    assert wildcards.expand("__tiny-relation__") == [*world.RELATIONS]
    assert wildcards.expand("__tiny-style__") == [*world.STYLES]
    for text, time in zip(wildcards.expand("__tiny-time__"), world.TIMES, strict=True):
        assert text in captions.TIME_PHRASES[time]
    for text, weather in zip(wildcards.expand("__tiny-weather__"), ("snow", "rain"), strict=True):
        assert text in captions.WEATHER_PHRASES[weather]
