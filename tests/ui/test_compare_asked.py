"""What a new comparison is asked with: shown before it starts, then all of its runs are in the queue or none."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
import pytest

from pixart_ui.compare.axes import Axis, AxisName
from pixart_ui.compare.forecast import SweepPrediction
from pixart_ui.services import Services
from pixart_ui.ui import compare_draft, words
from pixart_ui.ui.compare_choices import axis_choices, in_order
from pixart_ui.ui.compare_handlers import CompareHandlers
from pixart_ui.ui.compare_ways import CompareWays, build_compare_ways
from pixart_ui.ui.form import Form
from pixart_ui.ui.offer import offer
from tests.compare.parts import sweep
from tests.ui.test_live import ATTACK

Values = dict[Any, Any]


@pytest.fixture
def ways(services: Services) -> CompareWays:
    with gr.Blocks(analytics_enabled=False):
        return build_compare_ways(services)


@pytest.fixture
def handlers(services: Services, form: Form, ways: CompareWays) -> CompareHandlers:
    with gr.Blocks(analytics_enabled=False):
        parts = gr.Textbox(), gr.Textbox(), gr.Textbox()
        return CompareHandlers(services, form, ways, *parts, gr.Button())


@pytest.fixture
def asked(values: Values, ways: CompareWays) -> Values:
    """An untouched tab beside a form with a prompt."""
    first = {ways.first.name: "precision", ways.first.values: list(ways.first.values.value), ways.first.more: ""}
    second = {ways.second.name: "", ways.second.values: [], ways.second.more: ""}
    return values | first | second | {ways.prompts: "form", ways.lines: ""}


def shown(handlers: CompareHandlers, values: Values) -> str:
    return str(handlers.draft(values)[handlers.preview])


def button(handlers: CompareHandlers, values: Values) -> tuple[str, bool]:
    update = handlers.draft(values)[handlers.start_button]
    return update["value"], update["interactive"]


def test_untouched_it_is_the_four_precisions_and_the_noise_floor(handlers: CompareHandlers, asked: Values) -> None:
    html = shown(handlers, asked)
    assert "<b>6 runs</b>" in html
    assert f"<li>fp16 <i>{words.COMPARE_REFERENCE}</i></li><li>8-bit</li><li>nf4</li><li>fp4</li>" in html
    assert "a red circle" in html
    assert re.search(r"6 runs</b> · .+ · peak \d+ MiB", html)
    assert button(handlers, asked) == ("Start 6 runs", True)


def test_what_nobody_knows_yet_is_said_to_be() -> None:
    html = compare_draft.view(sweep(), SweepPrediction(None, None, 6))
    assert f"<b>6 runs</b> · {words.COMPARE_NO_TIME}" in html


def test_without_a_prompt_some_are_offered_and_nothing_can_start(
    handlers: CompareHandlers, form: Form, asked: Values
) -> None:
    html = shown(handlers, asked | {form.prompt: "  "})
    assert words.COMPARE_NO_PROMPT in html
    assert 'data-act="try"' in html
    assert button(handlers, asked | {form.prompt: ""}) == (words.COMPARE_START, False)


def test_our_prompts_are_24_rows(handlers: CompareHandlers, ways: CompareWays, form: Form, asked: Values) -> None:
    html = shown(handlers, asked | {ways.prompts: "set", form.prompt: ""})
    assert "<b>144 runs</b>" in html
    assert "24 prompts" in html


def test_each_line_is_a_row(handlers: CompareHandlers, ways: CompareWays, asked: Values) -> None:
    lines = asked | {ways.prompts: "lines", ways.lines: "a star\n\n a moon \n"}
    assert "<b>12 runs</b>" in shown(handlers, lines)
    assert words.COMPARE_NOTHING in shown(handlers, asked | {ways.prompts: "lines", ways.lines: " \n"})


def test_a_second_axis_and_written_values_multiply(handlers: CompareHandlers, ways: CompareWays, asked: Values) -> None:
    two = asked | {
        ways.first.values: ["fp16", "nf4"],
        ways.second.name: "steps",
        ways.second.values: ["4"],
        ways.second.more: "12, 16",
    }
    html = shown(handlers, two)
    assert "<b>8 runs</b>" in html
    assert "nf4 · 16 steps" in html
    assert "· 20 steps" not in html  # the form's own steps are not used


def test_what_is_ticked_runs_in_the_order_in_which_it_is_offered(
    handlers: CompareHandlers, ways: CompareWays, asked: Values
) -> None:
    html = shown(handlers, asked | {ways.first.values: ["fp4", "int8", "fp16"]})
    assert f"<li>fp16 <i>{words.COMPARE_REFERENCE}</i></li><li>8-bit</li><li>fp4</li>" in html
    assert in_order(["x", "b", "a"], (("A", "a"), ("B", "b"))) == ["a", "b", "x"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": []}, "has no values"),
        ({"values": "fp16"}, "has no values"),
        ({"values": ["fp17"]}, "fp17"),
        ({"name": "colour", "values": ["red"]}, "Unknown axis"),
        ({"name": "strategy", "values": ["staged"], "more": "magic"}, "Unknown strategy"),
        ({"name": "seed", "values": [], "more": ",".join(map(str, range(600)))}, "at most 500"),
        ({"more": "fp16"}, "twice"),
    ],
)
def test_a_wrong_value_is_one_sentence_and_nothing_starts(
    services: Services,
    handlers: CompareHandlers,
    ways: CompareWays,
    asked: Values,
    change: dict[str, Any],
    sentence: str,
) -> None:
    wrong = asked | {getattr(ways.first, part): value for part, value in change.items()}
    html = shown(handlers, wrong)
    assert 'role="alert"' in html
    assert sentence in html
    assert not button(handlers, wrong)[1]
    updates = handlers.start(wrong)
    assert sentence in updates[handlers.answer]
    assert updates[handlers.ticket] == ""
    assert services.comparisons() == ()
    assert not services.journal.has_open()


def test_what_is_typed_stays_text(handlers: CompareHandlers, form: Form, ways: CompareWays, asked: Values) -> None:
    assert ATTACK not in shown(handlers, asked | {form.prompt: ATTACK})
    assert "<script" not in shown(handlers, asked | {ways.first.more: "<script>"})


def test_starting_puts_all_runs_in_the_queue_and_says_which_comparison(
    services: Services, handlers: CompareHandlers, asked: Values
) -> None:
    updates = handlers.start(asked)
    (entry,) = services.comparisons()
    assert updates[handlers.ticket] == entry.id
    assert "6 runs are in the queue." in updates[handlers.answer]
    assert [job.trial is not None for job in services.journal.jobs()] == [True] * 6


@pytest.mark.parametrize("name", list(AxisName))
def test_every_axis_offers_values_that_it_takes(services: Services, name: AxisName) -> None:
    offered = axis_choices(name, offer(services, services.default_checkpoint()), [("PixArt-Tiny", "tiny")])
    assert Axis(name, tuple(sent for _, sent in offered.choices)).values == tuple(sent for _, sent in offered.choices)
    assert offered.ticked
    assert set(offered.ticked) <= {sent for _, sent in offered.choices}


def test_another_axis_brings_its_own_values(services: Services, handlers: CompareHandlers, ways: CompareWays) -> None:
    updates = handlers.adapt(ways.second, "steps", "tiny")
    assert updates[ways.second.values]["value"] == ["20", "10"]
    assert updates[ways.second.values]["visible"]
    assert updates[ways.second.more]["visible"]
    nothing = handlers.adapt(ways.second, "", "tiny")
    assert not nothing[ways.second.values]["visible"]
    assert not nothing[ways.second.more]["visible"]
