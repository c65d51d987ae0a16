"""Presets and own styles beside the form, on real services: what is kept is each viewer's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.access.viewer import LOCAL_OWNER, Role, Viewer, seen_by
from pixart_ui.services import Services
from pixart_ui.ui.form import Form
from pixart_ui.ui.presets_handlers import PresetHandlers, PresetParts
from pixart_ui.ui.presets_routes import preset_routes
from pixart_ui.ui.words import presets as words
from tests.ui.test_live import ATTACK

ANNA, BEN = Viewer("anna", Role.MEMBER), Viewer("ben", Role.MEMBER)
INK = "ink drawing of {prompt}"


@pytest.fixture
def handlers(services: Services, form: Form) -> PresetHandlers:
    with gr.Blocks(analytics_enabled=False):
        parts = PresetParts(
            preset=gr.Dropdown([]),
            actions=gr.HTML(),
            name=gr.Textbox(),
            file=gr.File(),
            style=gr.Dropdown([]),
            style_name=gr.Textbox(),
            style_prompt=gr.Textbox(),
            style_negative=gr.Textbox(),
            message=gr.HTML(),
            verb=gr.Textbox(),
            press=gr.Button(),
        )
    return PresetHandlers(services, form, parts)


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=preset_routes(services))) as opened:
        yield opened


def press(handlers: PresetHandlers, verb: str, values: dict[Any, Any], **parts: Any) -> dict[Any, Any]:
    """As the page sends it; what the panel's parts hold is given by name."""
    held = dict.fromkeys(handlers.parts.inputs(), "") | {getattr(handlers.parts, key): v for key, v in parts.items()}
    return handlers.act({**values, **held, handlers.parts.verb: verb})


def said(handlers: PresetHandlers, updates: dict[Any, Any]) -> str:
    return str(updates[handlers.parts.message])


def value(update: Any) -> Any:
    return update["value"] if isinstance(update, dict) else update


def test_what_is_in_the_form_is_saved_and_comes_back(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    values |= {form.steps: 7, form.guidance_scale: 0, form.style: "Neon", form.seed: "0", form.num_images: 3}
    saved = press(handlers, "save", values, name="Quick")
    assert words.SAVED.format(name="Quick") in said(handlers, saved)
    assert value(saved[handlers.parts.preset]) == "Quick"
    other = values | {form.steps: 20, form.style: "", form.prompt: "else", form.seed: "", form.num_images: 1}
    used = press(handlers, "use", other, preset="Quick")
    got = {name: value(used[getattr(form, name)]) for name in ("steps", "guidance_scale", "style", "prompt", "seed")}
    assert got == {"steps": 7, "guidance_scale": 0.0, "style": "Neon", "prompt": "a red circle", "seed": "0"}
    assert used[form.num_images] == 3
    assert used[form.is_seed_kept] is True


def test_a_preset_without_a_prompt_leaves_the_one_in_the_form(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    press(handlers, "save", values | {form.prompt: "  ", form.steps: 9}, name="Nine")
    used = press(handlers, "use", values | {form.prompt: "my words"}, preset="Nine")
    assert value(used[form.steps]) == 9
    assert used[form.prompt] == gr.skip()
    assert (used[form.seed], used[form.is_seed_kept]) == ("", False), "a random seed stays random"


def test_a_wrong_value_in_the_form_is_not_saved(handlers: PresetHandlers, form: Form, values: dict[Any, Any]) -> None:
    told = press(handlers, "save", values | {form.steps: 0}, name="Never")
    assert "Steps 0 is not a whole number" in said(handlers, told)
    assert handlers.services.presets.shelf(LOCAL_OWNER).presets == ()


def test_without_a_name_the_chosen_preset_is_saved_again(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    press(handlers, "save", values, name="One")
    press(handlers, "save", values | {form.steps: 3}, preset="One")
    assert handlers.services.presets.shelf(LOCAL_OWNER).preset("One").settings["steps"] == 3
    assert "no name" in said(handlers, press(handlers, "save", values))


@pytest.mark.parametrize("verb", ["use", "rename", "delete"])
def test_nothing_chosen_is_said(handlers: PresetHandlers, values: dict[Any, Any], verb: str) -> None:
    assert words.NOTHING_CHOSEN in said(handlers, press(handlers, verb, values, name="New"))


def test_renaming_and_deleting(handlers: PresetHandlers, values: dict[Any, Any]) -> None:
    press(handlers, "save", values, name="One")
    renamed = press(handlers, "rename", values, preset="One", name="Two")
    assert value(renamed[handlers.parts.preset]) == "Two"
    gone = press(handlers, "delete", values, preset="Two")
    assert gone[handlers.parts.preset]["choices"] == []
    assert "hidden" in gone[handlers.parts.actions], "there is nothing to share any more"


def test_a_style_that_is_gone_is_said_when_its_preset_is_used(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    saved = press(handlers, "save-style", values, style_name="Ink", style_prompt=INK)
    assert value(saved[form.style]) == "Ink"
    assert ("Ink", "Ink") in saved[form.style]["choices"]
    press(handlers, "save", values | {form.style: "Ink"}, name="Drawing")
    gone = press(handlers, "delete-style", values | {form.style: "Ink"}, style="Ink")
    assert value(gone[form.style]) == "", "the form does not keep a style that is gone"
    assert "Unknown style &#x27;Ink&#x27;" in said(handlers, press(handlers, "use", values, preset="Drawing"))


def test_a_chosen_style_can_be_changed(handlers: PresetHandlers, values: dict[Any, Any]) -> None:
    press(handlers, "save-style", values, style_name="Ink", style_prompt=INK, style_negative="colour")
    shown = handlers.show_style({handlers.parts.style: "Ink"})
    assert [shown[part] for part in handlers.parts.style_texts()] == ["Ink", INK, "colour"]
    told = press(handlers, "save-style", values, style_name="Ink", style_prompt="no place")
    assert "must contain {prompt} once" in said(handlers, told)
    assert handlers.services.presets.shelf(LOCAL_OWNER).style("Ink").prompt == INK


def test_each_sees_their_own(handlers: PresetHandlers, form: Form, values: dict[Any, Any], client: TestClient) -> None:
    with seen_by(ANNA):
        press(handlers, "save", values, name="Hers")
        press(handlers, "save-style", values, style_name="Ink", style_prompt=INK)
        mine = handlers.refresh({form.checkpoint: "tiny"})
        assert "Hers" in client.get("/presets.json?name=Hers").text
    with seen_by(BEN):
        theirs = handlers.refresh({form.checkpoint: "tiny"})
        assert "Unknown preset" in said(handlers, press(handlers, "use", values, preset="Hers"))
        assert "Unknown preset" in said(handlers, press(handlers, "delete", values, preset="Hers"))
        refused = client.get("/presets.json?name=Hers")
    assert mine[handlers.parts.preset]["choices"] == ["Hers"]
    assert ("Ink", "Ink") in mine[form.style]["choices"]
    assert theirs[handlers.parts.preset]["choices"] == []
    assert ("Ink", "Ink") not in theirs[form.style]["choices"]
    assert refused.status_code == 404


def test_a_shared_file_has_a_plain_name_and_comes_back(
    handlers: PresetHandlers, values: dict[Any, Any], client: TestClient
) -> None:
    press(handlers, "save", values, name='My "best" ../posters')
    told = client.get("/presets.json", params={"name": 'My "best" ../posters'})
    assert told.headers["content-disposition"] == 'attachment; filename="my-best-posters.json"'
    handlers.services.presets.delete(LOCAL_OWNER, 'My "best" ../posters')
    shown = take_in(handlers, told.content)
    assert "My &quot;best&quot; ../posters" in said(handlers, shown)
    assert value(shown[handlers.parts.preset]) == 'My "best" ../posters'


def take_in(handlers: PresetHandlers, content: bytes, folder: str = "gradio") -> dict[Any, Any]:
    """As Gradio hands an upload over."""
    path = handlers.services.settings.temp_dir / folder / "hash" / "shared.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return handlers.take_in({handlers.parts.file: {"path": str(path)}, handlers.form.checkpoint: "tiny"})


def test_a_wrong_file_is_said_in_one_sentence(handlers: PresetHandlers) -> None:
    told = take_in(handlers, json.dumps({"presets": [{"name": "a", "settings": {"guidence": 3}}]}).encode())
    assert "Unknown key &#x27;guidence&#x27;, did you mean &#x27;guidance_scale&#x27;" in said(handlers, told)
    assert told[handlers.parts.file] is None, "another one can be dropped"


def test_a_file_of_this_machine_that_was_not_uploaded_is_never_read(handlers: PresetHandlers, tmp_path: Path) -> None:
    content = b'{"presets": [{"name": "stolen", "settings": {}}]}'
    assert words.FILE_IS_GONE in said(handlers, take_in(handlers, content, folder="elsewhere"))
    for path in ("/etc/passwd", "../journal.sqlite3", "", None):
        told = handlers.take_in({handlers.parts.file: {"path": path}, handlers.form.checkpoint: "tiny"})
        assert words.FILE_IS_GONE in said(handlers, told)
    assert handlers.services.presets.shelf(LOCAL_OWNER).presets == ()


def test_names_are_text_wherever_they_are_shown(handlers: PresetHandlers, values: dict[Any, Any]) -> None:
    name = ATTACK[:60]
    saved = press(handlers, "save", values, name=name)
    assert name not in said(handlers, saved)
    assert name not in str(saved[handlers.parts.actions])


def test_an_older_page_is_told_to_reload(handlers: PresetHandlers, values: dict[Any, Any]) -> None:
    assert "reload" in said(handlers, press(handlers, "frobnicate", values))


# Shown to everybody

OWNER = Viewer("ada", Role.OWNER)


def choices(handlers: PresetHandlers, form: Form) -> list[Any]:
    found: list[Any] = handlers.refresh({form.checkpoint: "tiny"})[handlers.parts.preset]["choices"]
    return found


def test_the_owner_shows_a_preset_to_everybody_and_others_use_it_without_changing_it(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any], client: TestClient
) -> None:
    with seen_by(OWNER):
        press(handlers, "save-style", values, style_name="Ink", style_prompt=INK)
        press(handlers, "save", values | {form.steps: 7, form.style: "Ink"}, name="Posters")
        press(handlers, "save", values, name="Private")
        told = press(handlers, "to-all", values, preset="Posters")
        assert words.TO_ALL_SAID.format(name="Posters") in said(handlers, told)
        assert words.TO_OWN in told[handlers.parts.actions]
        assert choices(handlers, form) == [("Posters · shown to everybody", "Posters"), "Private"]
    key = "Posters\nada"
    with seen_by(BEN):
        assert choices(handlers, form) == [("Posters · from ada", key)]
        used = press(handlers, "use", values | {form.steps: 20}, preset=key)
        assert (value(used[form.steps]), value(used[form.style])) == (7, "Ink")
        assert handlers.services.resolve(form.read(values | {form.style: "Ink"}))[0].full_prompt.startswith(
            "ink drawing"
        )
        assert '"Ink"' in client.get("/presets.json", params={"name": key}).text
        for verb in ("delete", "rename", "to-all", "to-own"):
            press(handlers, verb, values, preset=key, name="Mine")
        press(handlers, "save", values | {form.steps: 9}, preset=key)
        assert handlers.services.presets.shelf("ben").preset("Posters").settings["steps"] == 9
    assert handlers.services.presets.shelf("ada").preset("Posters").settings["steps"] == 7
    with seen_by(OWNER):
        press(handlers, "to-own", values, preset="Posters")
    with seen_by(BEN):
        assert choices(handlers, form) == ["Posters"], "their own of that name"
        assert "no longer" in said(handlers, press(handlers, "use", values, preset=key))
        assert client.get("/presets.json", params={"name": key}).status_code == 404
        assert "Ink" not in handlers.services.styles.names("tiny")


def test_only_the_owner_of_the_app_shows_presets_to_everybody(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    with seen_by(ANNA):
        press(handlers, "save", values, name="Hers")
        refused = press(handlers, "to-all", values, preset="Hers")
        assert "Only the owner of this app can show presets to everybody" in said(handlers, refused)
        assert words.TO_ALL not in handlers.refresh({form.checkpoint: "tiny"})[handlers.parts.actions]
    with seen_by(BEN):
        assert choices(handlers, form) == []
    assert words.TO_ALL not in handlers.refresh({form.checkpoint: "tiny"})[handlers.parts.actions], (
        "alone there is nobody"
    )


def test_a_name_that_is_used_again_is_not_shown_to_everybody_by_itself(
    handlers: PresetHandlers, form: Form, values: dict[Any, Any]
) -> None:
    with seen_by(OWNER):
        press(handlers, "save", values, name="Posters")
        press(handlers, "to-all", values, preset="Posters")
        press(handlers, "rename", values, preset="Posters", name="Large posters")
    with seen_by(BEN):
        assert choices(handlers, form) == [("Large posters · from ada", "Large posters\nada")]
    with seen_by(OWNER):
        press(handlers, "delete", values, preset="Large posters")
        press(handlers, "save", values, name="Large posters")
        press(handlers, "save", values, name="Posters")
    with seen_by(BEN):
        assert choices(handlers, form) == []
