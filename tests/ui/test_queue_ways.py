"""The ways in: what would be added is shown first, and then all of it is added or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.build import MAX_UPLOAD
from pixart_ui.ui.form import Form
from pixart_ui.ui.handlers import Handlers
from pixart_ui.ui.sweep import MAX_VALUES, Sweep, Vary, sweep, values_of
from pixart_ui.ui.way_handlers import WayHandlers
from pixart_ui.ui.ways import Way, Ways, build_ways, examples
from tests.ui.test_live import ATTACK

Values = dict[Any, Any]


@pytest.fixture
def ways(services: Services) -> Ways:
    with gr.Blocks(analytics_enabled=False):
        return build_ways(services)


@pytest.fixture
def handlers(services: Services, form: Form, ways: Ways) -> WayHandlers:
    with gr.Blocks(analytics_enabled=False):
        return WayHandlers(services, form, ways, gr.Textbox(), gr.Textbox(), gr.Button())


@pytest.fixture
def asked(values: Values, ways: Ways) -> Values:
    """An untouched left side beside a form with a prompt."""
    untouched = {ways.way: "form", ways.vary: "", ways.values: "", ways.each: 1}
    return values | untouched | {ways.lines: "", ways.file: None, ways.example: ""}


def upload(services: Services, name: str, content: bytes) -> dict[str, str]:
    """A file as Gradio keeps it, and what the page sends for it."""
    folder = services.settings.temp_dir / "gradio" / "0123abcd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return {"path": str(folder / name), "orig_name": name}


def shown(handlers: WayHandlers, values: Values) -> str:
    return str(handlers.draft(values)[handlers.preview])


def button(handlers: WayHandlers, values: Values) -> tuple[str, bool]:
    update = handlers.draft(values)[handlers.add_button]
    return update["value"], update["interactive"]


def prompts(services: Services) -> list[str]:
    jobs = services.journal.jobs(states=[JobState.QUEUED], newest_first=False)
    return [job.request.prompt for job in jobs]


def test_what_is_in_the_form_is_one_job(services: Services, handlers: WayHandlers, asked: Values) -> None:
    assert button(handlers, asked) == ("Add 1 job", True)
    assert "a red circle" in shown(handlers, asked)
    handlers.add(asked)
    assert prompts(services) == ["a red circle"]


def test_seeds_are_jobs_of_one_request(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values, form: Form
) -> None:
    values = asked | {ways.each: 4, form.seed: "10"}
    assert button(handlers, values) == ("Add 4 jobs", True)
    assert "4 seeds" in shown(handlers, values)
    handlers.add(values)
    assert [job.request.seed for job in services.journal.jobs(newest_first=False)] == [10, 11, 12, 13]


def test_a_sweep_tries_each_value_with_the_same_random_seed(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    values = asked | {ways.vary: "steps", ways.values: "5, 10-12", ways.each: 2}
    assert button(handlers, values) == ("Add 8 jobs", True)
    html = shown(handlers, values)
    assert "5 steps" in html
    assert "seed 1" not in html, "it is drawn when they are added"
    handlers.add(values)
    jobs = services.journal.jobs(newest_first=False)
    assert [job.request.steps for job in jobs] == [5, 5, 10, 10, 11, 11, 12, 12]
    assert len({job.request.seed for job in jobs}) == 2


@pytest.mark.parametrize(
    ("vary", "text", "found"),
    [
        ("seed", "3-1", [3, 2, 1]),
        ("guidance_scale", "0; 4.5", [0.0, 4.5]),
        ("scheduler", "euler,\n ddim", ["euler", "ddim"]),
        ("precision", "int8, nf4", ["int8", "nf4"]),
    ],
)
def test_every_setting_that_can_vary(vary: str, text: str, found: list[object]) -> None:
    draft = sweep(GenerationRequest(prompt="a star"), Sweep(Vary(vary), text, 1), 7)
    assert [getattr(request, vary) for request in draft.requests] == found


@pytest.mark.parametrize(
    ("vary", "text", "sentence"),
    [
        ("steps", "10, 0", "Steps '0' is not a whole number from 1 to 150"),
        ("steps", "", "There is no value to try"),
        ("seed", f"1-{MAX_VALUES + 1}", "too many"),
        ("seed", "1-99999999999999999999", "too many"),
        ("scheduler", "magic", "Scheduler 'magic'"),
    ],
)
def test_a_wrong_value_gets_the_sentence_of_the_form(
    handlers: WayHandlers, ways: Ways, asked: Values, vary: str, text: str, sentence: str
) -> None:
    values = asked | {ways.vary: vary, ways.values: text}
    assert sentence in shown(handlers, values).replace("&#x27;", "'")
    assert button(handlers, values) == (words.ADD, False)


def test_values_are_listed_with_commas_and_ranges() -> None:
    assert values_of(" 1, 4..6 ,9", "seed") == ["1", "4", "5", "6", "9"]
    with pytest.raises(InputError):
        values_of(",;\n", "seed")


def test_lines_are_expanded_before_they_are_added(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values, form: Form
) -> None:
    values = asked | {ways.way: "lines", ways.lines: "a {red|blue} house\n\n# a remark\na tree", form.steps: 9}
    html = shown(handlers, values)
    for prompt in ("a red house", "a blue house", "a tree"):
        assert prompt in html
    assert "9 steps" in html, "what the lines do not say is taken from the form"
    assert button(handlers, values) == ("Add 3 jobs", True)
    updates = handlers.add(values)
    assert prompts(services) == ["a red house", "a blue house", "a tree"]
    assert {job.request.steps for job in services.journal.jobs()} == {9}
    assert updates[ways.lines] == ""
    assert words.JOBS_ADDED.format(count=3) in updates[handlers.answer]
    assert 'data-verb="cancel"' in updates[handlers.answer]


def test_lines_need_no_prompt_in_the_form(handlers: WayHandlers, ways: Ways, asked: Values, form: Form) -> None:
    values = asked | {ways.way: "lines", ways.lines: "a tree", form.prompt: ""}
    assert button(handlers, values) == ("Add 1 job", True)


@pytest.mark.parametrize("way", list(Way))
def test_an_empty_way_says_how_to_fill_it(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values, form: Form, way: Way
) -> None:
    values = asked | {ways.way: str(way), form.prompt: " "}
    assert words.NOTHING_TO_ADD[way] in shown(handlers, values)
    assert button(handlers, values) == (words.ADD, False)
    assert 'role="alert"' in handlers.add(values)[handlers.answer]
    assert prompts(services) == []


def test_a_file_is_shown_with_what_its_rows_say_of_their_own(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    table = b"prompt,steps,seed\na red house,12,5\na tree,20,\n"
    values = asked | {ways.way: "file", ways.file: upload(services, "mine.csv", table)}
    html = shown(handlers, values)
    assert "CSV" in html
    assert "12 steps · seed 5" in html
    assert button(handlers, values) == ("Add 2 jobs", True)
    updates = handlers.add(values)
    assert prompts(services) == ["a red house", "a tree"]
    assert updates[ways.file] is None


def test_wrong_rows_are_named_with_their_number_and_nothing_is_added(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    table = b"prompt,steps\na red house,12\n,5\na tree,0\n"
    values = asked | {ways.way: "file", ways.file: upload(services, "mine.csv", table)}
    html = shown(handlers, values)
    assert "Row 3" in html
    assert "Row 4: Steps" in html
    assert words.PROBLEM_ROWS.format(count=2) in html
    assert button(handlers, values) == (words.ADD, False)
    told = handlers.add(values)
    assert "Row 3" in told[handlers.answer]
    assert ways.file not in told, "the file stays, to be mended"
    assert prompts(services) == []


def test_only_the_first_of_many_wrong_rows_are_shown(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    table = b"prompt,steps\n" + b"a tree,0\n" * 500
    html = shown(handlers, asked | {ways.way: "file", ways.file: upload(services, "mine.csv", table)})
    assert html.count("<li") < 30
    assert "and 480 more" in html


@pytest.mark.parametrize("where", ["../../../journal.sqlite3", "/etc/passwd", "absent.csv"])
def test_no_other_file_can_be_named(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values, where: str
) -> None:
    kept = Path(upload(services, "mine.csv", b"prompt\na tree\n")["path"])
    values = asked | {ways.way: "file", ways.file: {"path": str(kept.parent / where), "orig_name": "x.csv"}}
    assert words.FILE_IS_GONE in shown(handlers, values)


def test_a_link_out_of_the_uploads_is_not_followed(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    kept = Path(upload(services, "mine.csv", b"prompt\na tree\n")["path"])
    (kept.parent / "link.csv").symlink_to(services.settings.journal_path)
    values = asked | {ways.way: "file", ways.file: {"path": str(kept.parent / "link.csv")}}
    assert words.FILE_IS_GONE in shown(handlers, values)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0", b"", b"\xff\xfe\xff", b"[" * 10_000, b"a,b\n1,2\n"])
def test_a_file_that_is_none_is_one_sentence(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values, content: bytes
) -> None:
    values = asked | {ways.way: "file", ways.file: upload(services, "mine.csv", content)}
    html = shown(handlers, values)
    assert "message problem" in html
    assert "went wrong inside" not in html
    assert button(handlers, values)[1] is False


def test_a_file_that_is_too_large_reaches_us_and_gets_our_sentence(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    assert int(MAX_UPLOAD.removesuffix("mb")) << 20 > 100 << 20
    large = upload(services, "large.csv", b"prompt\n" + b"a" * (17 << 20))
    assert "at most 16" in shown(handlers, asked | {ways.way: "file", ways.file: large})


def test_every_shipped_queue_can_be_loaded(
    services: Services, handlers: WayHandlers, ways: Ways, asked: Values
) -> None:
    assert {"article.json", "tiny.json"} <= set(examples())
    for name in examples():
        html = shown(handlers, asked | {ways.way: "file", ways.example: name})
        assert "draft" in html
        assert "went wrong inside" not in html
    assert "<table" in shown(handlers, asked | {ways.way: "file", ways.example: "tiny.json"})


def test_a_made_up_example_is_nothing(handlers: WayHandlers, ways: Ways, asked: Values) -> None:
    html = shown(handlers, asked | {ways.way: "file", ways.example: "../styles.json"})
    assert words.NOTHING_TO_ADD["file"] in html


def test_hostile_text_stays_text(services: Services, handlers: WayHandlers, ways: Ways, asked: Values) -> None:
    table = f'prompt,negative_prompt\n"{ATTACK.replace(chr(34), chr(34) * 2)}",<script>\n'.encode()
    wrong = f"prompt,steps\na tree,{ATTACK.split(chr(34))[0]}\n".encode()
    cases = (
        {ways.way: "file", ways.file: upload(services, "wrong.csv", wrong)},
        {ways.way: "lines", ways.lines: ATTACK},
        {ways.way: "lines", ways.lines: f"{{{ATTACK}"},
        {ways.way: "file", ways.file: upload(services, f"{ATTACK[:20].replace('/', '')}.csv", table)},
        {ways.vary: "steps", ways.values: ATTACK},
        {ways.way: ATTACK, ways.vary: ATTACK, ways.each: ATTACK},
    )
    for case in cases:
        for html in (shown(handlers, asked | case), str(handlers.add(asked | case).get(handlers.answer))):
            assert "<script" not in html
            assert "<img" not in html


def test_the_form_on_single_adds_to_the_end_and_stays_as_it_is(services: Services, form: Form, values: Values) -> None:
    with gr.Blocks(analytics_enabled=False):
        single = Handlers(services, form, gr.HTML(), gr.Textbox(), gr.Textbox(), gr.Textbox())
    first = single.enqueue(values | {form.prompt: "first"})
    second = single.enqueue(values | {form.prompt: "second", form.num_images: 2})
    assert list(second) == [single.message]
    assert "It is 1st in line." in first[single.message]
    assert "2 jobs are in the queue. The first is 2nd in line." in second[single.message]
    assert prompts(services) == ["first", "second", "second"]
    assert "Steps 0" in single.enqueue(values | {form.steps: 0})[single.message]
