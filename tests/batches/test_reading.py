"""From a file or a text to a draft: what is understood, what is refused, and with which row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.batches import Draft, RowProblem, read_file
from pixart_ui.batches.reading import MAX_BYTES
from pixart_ui.errors import InputError

Read = Callable[..., Draft]


def asked(draft: Draft) -> list[dict[str, Any]]:
    """What the requests say, without what they leave out."""
    assert draft.problems == ()
    return [request.model_dump(mode="json", exclude_defaults=True) for request in draft.requests]


def sentence(read: Read, content: str | bytes, name: str | None = None) -> str:
    """Why the whole is refused."""
    with pytest.raises(InputError) as caught:
        read(content, name)
    message = caught.value.message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 400
    return message


# Lines


def test_a_prompt_a_line_without_blank_lines_and_comments(read: Read) -> None:
    draft = read("a cat\r\n\r\n# not this\n  a {red|blue} dog  \r__colour__\n")
    assert draft.kind == "lines"
    assert asked(draft) == [{"prompt": prompt} for prompt in ("a cat", "a red dog", "a blue dog", "red", "blue")]
    assert draft.rows == (1, 4, 4, 5, 5)
    assert draft.num_jobs == 5


def test_a_wrong_line_says_its_number_and_the_others_are_read(read: Read) -> None:
    draft = read("a cat\n\na {dog\n" + "x" * 10_001)
    assert [problem.row for problem in draft.problems] == [3, 4]
    assert draft.problems[0].message.startswith("The prompt has a { at position 3")
    assert "10,001 characters" in draft.problems[1].message
    assert str(draft.problems[0]).startswith("Row 3: The prompt")
    assert [request.prompt for request in draft.requests] == ["a cat"]


@pytest.mark.parametrize("content", ["", "\n \n", "# only this\n", "\ufeff"])
def test_nothing_is_refused(read: Read, content: str) -> None:
    assert "holds no prompt" in sentence(read, content)


# Tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_however_it_was_saved(read: Read, delimiter: str, encoding: str, line_end: str) -> None:
    rows = [["prompt", "seed"], ['"A ""big"", grün; cat"', "7"], ['"two\nlines"', ""], ["", ""], [" plain ", "0"]]
    content = line_end.join(delimiter.join(row) for row in rows).encode(encoding)
    for name in ("queue.csv", None):
        draft = read(content, name)
        assert draft.kind == "CSV"
        assert asked(draft) == [
            {"prompt": 'A "big", grün; cat', "seed": 7},
            {"prompt": "two\nlines"},
            {"prompt": "plain", "seed": 0},
        ]
        assert draft.rows == (2, 3, 5)


def test_columns_go_by_other_names_and_the_draft_says_which(read: Read) -> None:
    draft = read("Prompt;Negative Prompt;CFG;Sampler;Size;N;num-inference-steps\na;b;4,5;euler;512x256;3;9\n")
    assert asked(draft) == [
        {
            "prompt": "a",
            "negative_prompt": "b",
            "guidance_scale": 4.5,
            "scheduler": "euler",
            "width": 512,
            "height": 256,
            "num_images": 3,
            "steps": 9,
        }
    ]
    assert draft.num_jobs == 3
    assert draft.notes == (
        "Understood as: CFG → guidance_scale, Sampler → scheduler, N → num_images, num-inference-steps → steps.",
    )


def test_columns_of_results_are_left_aside_and_the_draft_says_so(read: Read) -> None:
    draft = read("id,prompt,State,image\n5,a,done,x.png\n")
    assert asked(draft) == [{"prompt": "a"}]
    assert draft.notes == ("Left aside, as they tell of results: id, state, image.",)


def test_what_looks_like_a_formula_is_text(read: Read) -> None:
    draft = read("prompt,seed\n=1+1,1\n'=SUM(A1),2\n''@x,3\n-a,4\n'a quote',5\n")
    assert [request.prompt for request in draft.requests] == ["=1+1", "=SUM(A1)", "'@x", "-a", "'a quote'"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("seed,steps\n1,2\n", ["no column prompt", "'seed, steps'", "prompt,seed,steps"]),
        ("promt,steps\na,2\n", ["no column prompt", "is 'promt' meant"]),
        ("a cat, red\na dog\n", ["no column prompt", "'a cat, red'"]),
        ("prompt,stepz\na,2\n", ["column 'stepz' in file 'queue.csv'", "did you mean 'steps'", "guidance_scale"]),
        ("prompt,cfgg\na,2\n", ["did you mean 'cfg'"]),
        ("prompt," + "x" * 50_000, ["Unknown column"]),
        ("prompt,cfg,Guidance\na,1,2\n", ["two columns for guidance_scale", "'cfg' and 'Guidance'"]),
        ('prompt,seed\na,1\n"open,2\nb,3\n', ["Row 3 of file 'queue.csv'", "double quotes"]),
        ('prompt,seed\n"a"b,1\n', ["Row 2 of file 'queue.csv'", "double quotes"]),
        ('prompt,seed\n"' + "x\n" * 100_000, ["Row 2"]),
        ("prompt,seed\n", ["holds no prompt"]),
        (b"prompt\nsch\xf6n\n", ["0xf6", "line 2", "UTF-8"]),
        (b"prompt\n\x00a\n", ["NUL", "line 2"]),
        ("prompt\na\n".encode("utf-16-le"), ["NUL"]),
        (b"\xff\xfea", ["UTF-16"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["not UTF-8"]),
        (b"x" * (MAX_BYTES + 1), ["16,777,217 bytes", "at most 16 MiB", "split"]),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(read: Read, content: str | bytes, words: list[str]) -> None:
    message = sentence(read, content, "queue.csv")
    assert [word for word in words if word not in message] == [], message


def test_every_wrong_row_is_named_at_once(read: Read) -> None:
    draft = read("prompt,seed,\na,x,\nb\nc,1,2,3\n,5,\nd,1,y\n\n e ,2,\n{,3,\n", "queue.csv")
    assert [(problem.row, problem.field) for problem in draft.problems] == [
        (2, "seed"),
        (3, None),
        (4, None),
        (5, "prompt"),
        (6, None),
        (9, "prompt"),
    ]
    messages = [problem.message for problem in draft.problems]
    assert messages[0].startswith("Seed 'x' is not a whole number")
    assert messages[1].startswith("The row has 1 cell, the header 3: put text with commas in double quotes")
    assert messages[2].startswith("The row has 4 cells, the header 3")
    assert messages[3].startswith("Prompt is missing")
    assert messages[4].startswith("'y' stands in column 3, which has no name")
    assert [request.prompt for request in draft.requests] == ["e"]


# JSON


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('[{"prompt": "a", "cfg": 5}, {"prompt": "b", "seed": null}, "c"]', "JSON"),
        ('{"jobs": [{"prompt": "a", "guidance": "5"}, "b", "c"]}', "JSON"),
        ('{"Prompts": [{"prompt": "a", "CFG scale": 5.0}, "b", "c"]}', "JSON"),
        ('{"prompt": "a", "cfg": 5}\n\n{"prompt": "b"}\r\n"c"\n', "JSONL"),
    ],
)
def test_json_in_its_usual_forms(read: Read, content: str, kind: str) -> None:
    for name in (f"queue.{kind.lower()}", None):
        draft = read(content, name)
        assert draft.kind == kind
        assert asked(draft) == [{"prompt": "a", "guidance_scale": 5.0}, {"prompt": "b"}, {"prompt": "c"}]


def test_one_object_is_one_job(read: Read) -> None:
    assert asked(read('{"prompt": "a {red|blue} cat", "seed": 0}')) == [
        {"prompt": "a red cat", "seed": 0},
        {"prompt": "a blue cat", "seed": 0},
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 10_000 + "]" * 10_000, ["nested too deep"]),
        ('{"prompt":' * 10_000 + "1" + "}" * 10_000, ["nested too deep"]),
        ('[{"prompt": "a"},]', ["not JSON", "in column"]),
        ('[\n{"prompt": "a"}\n{"prompt": "b"}]', ["not JSON", "line 3, column 1"]),
        ("5", ["no list of jobs"]),
        ('"a"', ["no list of jobs"]),
        ('{"jobs": {"prompt": "a"}}', ["no list of jobs"]),
        ('{"jobs": ["a"], "more": 1}', ["nothing beside it"]),
        ("[]", ["holds no prompt"]),
        ('[{"prompt": "a", "guidance_scale": ' + "9" * 5000 + "}]", ["thousands of digits"]),
    ],
)
def test_wrong_json_is_refused_in_a_sentence(read: Read, content: str, words: list[str]) -> None:
    message = sentence(read, content, "queue.json")
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("entry", "field", "words"),
    [
        ('{"promt": "a"}', None, ["Unknown key 'promt'", "did you mean 'prompt'"]),
        ('{"prompt": "a", "stepz": 2}', None, ["Unknown key 'stepz'", "did you mean 'steps'"]),
        ('{"prompt": "a", "prompt": "b"}', "prompt", ["prompt stands here twice"]),
        ('{"prompt": "a", "cfg": 1, "guidance": 2}', "guidance_scale", ["'cfg' and 'guidance'"]),
        ('{"prompt": "a", "size": "1x1", "width": 2}', "width", ["size stands here twice"]),
        ('{"prompt": "a", "size": "big"}', "width", ["Size 'big'", "1024x768"]),
        ('{"prompt": "a", "width": 256}', None, ["Width and height must be given together"]),
        ('{"prompt": 5}', "prompt", ["Prompt 5 is not text"]),
        ('{"prompt": ["a"]}', "prompt", ["prompt is a list or an object"]),
        ('{"prompt": "a", "steps": true}', "steps", ["steps is true or false"]),
        ('{"prompt": "a", "steps": {"of": [1]}}', "steps", ["steps is a list or an object"]),
        ('{"prompt": "a", "steps": "twenty"}', "steps", ["Steps 'twenty'", "1 to 150"]),
        ('{"prompt": "a", "steps": 2.5}', "steps", ["Steps 2.5"]),
        ('{"prompt": "a", "seed": ""}', "seed", ["Seed ''"]),
        ('{"prompt": "a", "seed": NaN}', "seed", ["Seed nan"]),
        ('{"prompt": "a", "cfg": -Infinity}', "guidance_scale", ["Guidance -inf"]),
        ('{"prompt": "a", "cfg": 1e999}', "guidance_scale", ["Guidance inf"]),
        ('{"prompt": "a\\u0000b"}', "prompt", ["U+0000"]),
        ('{"prompt": "a\\ud800"}', "prompt", ["U+D800"]),
        ('{"prompt": null}', "prompt", ["Prompt is missing"]),
        ("{}", "prompt", ["Prompt is missing"]),
        ("5", None, ["neither an object nor text"]),
        ("null", None, ["neither an object nor text"]),
        ("[]", None, ["neither an object nor text"]),
    ],
)
def test_a_wrong_entry_says_its_number(read: Read, entry: str, field: str | None, words: list[str]) -> None:
    for content, name in ((f'["a", {entry}, "b"]', "queue.json"), (f'"a"\n{entry}\n"b"', "queue.jsonl")):
        draft = read(content, name)
        (problem,) = draft.problems
        assert (problem.row, problem.field) == (2, field)
        assert [word for word in words if word not in problem.message] == [], problem.message
        assert problem.message.endswith(".")
        assert [request.prompt for request in draft.requests] == ["a", "b"]


def test_a_line_that_is_no_json_says_its_number(read: Read) -> None:
    draft = read('{"prompt": "a"}\n{"prompt": }\n\n' + "[" * 10_000, "queue.jsonl")
    assert draft.problems[0] == RowProblem(2, "This line is not JSON (Expecting value in column 12): correct it there.")
    assert draft.problems[1].row == 4
    assert "nested too deep" in draft.problems[1].message


# What the content is


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("{red|blue} cat", "lines"),
        ("[cat] and dog", "lines"),
        ("a prompt, with commas", "lines"),
        ('{"prompt": "a"}', "JSON"),
        ('  [\n  "a"]', "JSON"),
        ("prompt\na", "CSV"),
        ("\nseed\tprompt\n1\ta", "CSV"),
        ("caption;seed\na;1", "CSV"),
        ("caption\nof a picture", "lines"),
    ],
)
def test_without_a_name_the_content_says_what_it_is(read: Read, content: str, kind: str) -> None:
    assert read(content).kind == kind


def test_the_name_says_what_it_is(read: Read) -> None:
    assert read("prompt,seed", "queue.TXT").kind == "lines"
    assert read('"a"', "queue.ndjson").kind == "JSONL"
    assert read("prompt\na", "queue.tsv").kind == "CSV"
    assert read('["a"]', "queue").kind == "JSON"


# What rows leave out


def test_what_a_row_leaves_out_is_taken_from_the_form(read: Read) -> None:
    form = {
        "steps": 7,
        "seed": 0,
        "guidance_scale": 0.0,
        "width": 512,
        "height": 256,
        "num_images": 2,
        "style": "Anime",
    }
    draft = read("prompt,steps,w,n\na,,,\nb,9,384,3\n", base=form)
    assert asked(draft) == [
        {"prompt": "a"} | form,
        {"prompt": "b"} | form | {"steps": 9, "width": 384, "num_images": 3},
    ]
    assert [request.prompt for request in read("a", base={"negative_prompt": "b"}).requests] == ["a"]


def test_a_size_in_a_row_replaces_that_of_the_form(read: Read) -> None:
    (request,) = read("prompt,size\na,128x192\n", base={"width": 512, "height": 256}).requests
    assert (request.width, request.height) == (128, 192)


# How much


def test_more_pictures_than_the_cap_are_refused(read: Read) -> None:
    assert read("prompt,n\n" + "a,50\n" * 400).num_jobs == 20_000
    for content in ("prompt,n\n" + "a,50\n" * 401, "a\n" * 20_001, "prompt,seed\n" + "a,x\n" * 20_001):
        assert "more than 20,000 pictures" in sentence(read, content)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(InputError, match=r"'queue\.csv' has 100,000,000 bytes, at most 16 MiB"):
        read_file(path)
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        read_file(tmp_path / "absent.csv")
    path.write_text(json.dumps(["a"]))
    assert read_file(path) == b'["a"]'
