"""What stands beside the form's fields, and what a browser's own form becomes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.bins import Size
from pixart_ui.prompt_tokens import Reading
from pixart_ui.services import Services
from pixart_ui.ui import fragments, theme
from pixart_ui.ui.form import Form
from pixart_ui.ui.form_hints import prompt_hint, size_hint
from pixart_ui.ui.handlers import Handlers
from pixart_ui.ui.offer import offer
from pixart_ui.ui.remembering import recalled
from pixart_ui.ui.style_pictures import file_name, style_pictures
from pixart_ui.ui.words import single as words
from tests.ui.conftest import finish, start, submit

Values = dict[Any, Any]


@pytest.fixture
def handlers(services: Services, form: Form) -> Handlers:
    with gr.Blocks(analytics_enabled=False):
        return Handlers(services, form, gr.HTML(), gr.Textbox(), gr.Textbox(), gr.Textbox())


def test_what_is_cut_is_struck_through_and_stays_text() -> None:
    html = prompt_hint(Reading(310, 300, 4, is_style_cut=False), "one <b>two</b>", ["an idea"])
    assert "<s>&lt;b&gt;two&lt;/b&gt;</s>" in html
    assert 'data-is="over"' in html


def test_a_style_that_is_cut_says_so() -> None:
    html = prompt_hint(Reading(310, 300, None, is_style_cut=True), "a star", ["an idea"])
    assert words.STYLE_CUT.format(limit=300) in html


def test_signs_that_t5_does_not_know_are_named() -> None:
    html = prompt_hint(Reading(9, 300, None, is_style_cut=False, unknown="红<"), "a 红<", ["an idea"])
    assert f"{words.UNKNOWN} <b>红 &lt;</b>" in html


def test_ideas_go_round() -> None:
    ideas = ["first", "second"]
    assert 'data-prompt="first"' in prompt_hint(None, "", ideas)
    assert 'data-prompt="second"' in prompt_hint(None, "first", ideas)
    assert 'data-prompt="first"' in prompt_hint(None, "second", ideas)


def test_without_a_vocabulary_nothing_is_counted(form: Form, handlers: Handlers, values: Values) -> None:
    """The checkpoint of these tests has a file that is none."""
    html = handlers.read_prompt(values)[handlers.reading]
    assert "tokens" not in html
    assert words.IDEA in html


def test_the_real_size_is_named(services: Services) -> None:
    checkpoint = services.catalog.get("sigma-1024")
    assert "Drawn at 1024×1024<" in size_hint(Size(1024, 1024), checkpoint)
    assert "Drawn at 1024×1024, saved as 500×500<" in size_hint(Size(500, 500), checkpoint)


def test_swapping_a_bin_gives_a_bin_and_any_other_size_itself(form: Form, handlers: Handlers, values: Values) -> None:
    assert handlers.swap(values | {form.size: "304x208"}) == {form.size: "208x304"}
    assert handlers.swap(values | {form.size: "400x300"}) == {form.size: "300x400"}


def kept(**changes: Any) -> str:
    usual = {"checkpoint": "tiny", "steps": 33, "scheduler": "euler", "precision": "int8", "seed": "5"}
    return json.dumps(usual | {"is_seed_kept": False, "prompt": "a secret", "drawn_seed": "5"} | changes)


def test_the_form_of_a_browser_comes_back(form: Form, handlers: Handlers) -> None:
    updates = handlers.recall(kept())
    assert updates[form.steps]["value"] == 33
    assert updates[form.scheduler]["value"] == "euler"
    assert updates[form.precision]["value"] == "int8"
    assert not {form.prompt, form.seed, form.drawn_seed} & set(updates)
    assert handlers.recall(kept(is_seed_kept=True))[form.seed]["value"] == "5"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", kept(checkpoint="sigma-1024"), kept(checkpoint=["tiny"])])
def test_what_makes_no_sense_changes_nothing(handlers: Handlers, text: str) -> None:
    assert handlers.recall(text) == {handlers.message: fragments.no_message()}


def test_what_is_not_offered_or_no_value_is_left_out(services: Services) -> None:
    offered = offer(services, services.catalog.get("alpha-dmd-512"))
    found = recalled(
        {"style": "gone", "scheduler": "dpm++", "steps": 5, "guidance_scale": 4, "size": {"a": 1}, "numerics": "exact"},
        offered,
    )
    assert found == {"numerics": "exact"}


def test_qualities_follow_the_checkpoint(form: Form, handlers: Handlers, values: Values) -> None:
    assert len(handlers.dress(values)[form.quality]["choices"]) == 3
    none = handlers.dress(values | {form.checkpoint: "alpha-dmd-512"})[form.quality]
    assert (none["choices"], none["visible"]) == ([], False)


def plain(html: str) -> str:
    """The addresses in it as a browser reads them."""
    return re.sub(r"\\([0-9a-f]+) ", lambda found: chr(int(found[1], 16)), html)


def test_the_apps_own_pictures_of_styles_are_shown(services: Services) -> None:
    assert "/look/styles/tiny/neon.webp" in plain(
        style_pictures(services, offer(services, services.catalog.get("tiny")))
    )


def test_where_none_were_shipped_a_style_shows_the_viewers_newest(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(theme, "ASSETS", tmp_path)
    offered = offer(services, services.catalog.get("tiny"))
    assert words.STYLE_NONE_YET in style_pictures(services, offered)
    (job,) = submit(services, style="Neon")
    picture = finish(services, start(services, job)).image
    assert f"/thumbnails/{picture}" in plain(style_pictures(services, offered))
    with seen_by(Viewer("somebody", Role.MEMBER)):
        assert words.STYLE_NONE_YET in style_pictures(services, offered)


def test_no_name_of_a_style_leaves_its_rule(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "styles" / "tiny").mkdir(parents=True)
    (tmp_path / "styles" / "tiny" / "odd-style.webp").write_bytes(b"")
    monkeypatch.setattr(theme, "ASSETS", tmp_path)
    odd = replace(offer(services, services.catalog.get("tiny")), styles=(("Odd", 'odd"}</style>'),))
    assert style_pictures(services, odd).count("</style>") == 1


def test_a_style_has_a_plain_file_name() -> None:
    assert file_name("Digital Art") == "digital-art.webp"
    assert file_name("../x") == "x.webp"
    assert file_name("") == "none.webp"
