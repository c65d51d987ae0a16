"""Presets in a browser: save, use after a reload, share as a file, and import it in another browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from pixart_ui.ui.words import presets as words
from tests.browser.parts import Server, Visitor, choose, set_steps

SLOW_MILLISECONDS = 60_000


def open_presets(page: Page) -> None:
    page.get_by_role("button", name=words.PRESETS).click()
    expect(page.locator("#field-preset input")).to_be_visible()


def press(page: Page, name: str, told: str) -> None:
    """Press a button of the panel and wait for what it says."""
    page.locator("#presets").get_by_role("button", name=name, exact=True).first.click()
    expect(page.locator("#presets-message")).to_contain_text(told, timeout=SLOW_MILLISECONDS)


def save(page: Page, name: str) -> None:
    page.locator("#field-preset_name").get_by_role("textbox").fill(name)
    press(page, words.SAVE, words.SAVED.format(name=name))


def test_a_preset_is_saved_used_after_a_reload_shared_and_imported(
    visit: Callable[..., Visitor], server: Server, tmp_path: Path
) -> None:
    page = visit().open(server)
    prompt, steps = page.get_by_label("Prompt", exact=True), page.get_by_label("number input for Steps")
    prompt.fill("a red circle above a blue square")
    choose(page, "style", "Neon")
    set_steps(page, 7)
    open_presets(page)
    save(page, "Neon in 7")
    page.reload()
    page.locator("#engine .live").wait_for()
    prompt.fill("something else")
    choose(page, "style", "Flat")
    set_steps(page, 20)
    open_presets(page)
    page.locator("#field-preset input").click()
    page.get_by_role("option", name="Neon in 7").click()
    press(page, words.USE, words.USED.format(name="Neon in 7"))
    expect(prompt).to_have_value("a red circle above a blue square")
    expect(steps).to_have_value("7")
    expect(page.locator("#field-style label").filter(has_text="Neon").locator("input")).to_be_checked()

    share = page.locator("#presets [data-share]")
    expect(share).to_have_text(words.SHARE)
    with page.expect_download() as download:
        share.click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "neon-in-7.json"
    shared = json.loads(file.read_text(encoding="utf-8"))
    shared["presets"][0]["name"] = "From a friend"
    file.write_text(json.dumps(shared), encoding="utf-8")

    other = visit().open(server)
    open_presets(other)
    other.locator("#field-preset_file input[type=file]").set_input_files(file)
    expect(other.locator("#presets-message")).to_contain_text("From a friend", timeout=SLOW_MILLISECONDS)
    expect(other.locator("#field-preset input")).to_have_value("From a friend")
    shared["presets"][0]["settings"]["stesp"] = 3
    file.write_text(json.dumps(shared), encoding="utf-8")
    other.locator("#field-preset_file input[type=file]").set_input_files(file)
    expect(other.locator("#presets-message")).to_contain_text("did you mean 'steps'", timeout=SLOW_MILLISECONDS)


def test_a_preset_is_renamed_and_deleted_after_a_question(page: Page) -> None:
    open_presets(page)
    page.get_by_label("Prompt", exact=True).fill("a boat")
    save(page, "Boats")
    page.locator("#field-preset_name").get_by_role("textbox").fill("Ships")
    press(page, words.RENAME, words.RENAMED.format(name="Ships"))
    expect(page.locator("#field-preset input")).to_have_value("Ships")
    page.locator("#preset-actions").get_by_role("button", name=words.DELETE).click()
    asked = page.locator("dialog.ask")
    expect(asked).to_contain_text(words.DELETE_ASK.format(name="Ships"))
    asked.get_by_role("button", name="Yes").click()
    expect(page.locator("#presets-message")).to_contain_text("is deleted", timeout=SLOW_MILLISECONDS)
    expect(page.locator("#field-preset input")).to_have_value("")


def test_a_style_of_ones_own_is_written_chosen_and_deleted(page: Page) -> None:
    open_presets(page)
    page.get_by_role("button", name=words.OWN_STYLES).click()
    page.locator("#field-style_name").get_by_role("textbox").fill("Ink")
    page.locator("#field-style_prompt").get_by_role("textbox").fill("ink drawing")
    press(page, words.SAVE_STYLE, "must contain {prompt} once")
    page.locator("#field-style_prompt").get_by_role("textbox").fill("ink drawing of {prompt}")
    press(page, words.SAVE_STYLE, words.STYLE_SAVED.format(name="Ink"))
    own = page.locator("#field-style label").filter(has_text="Ink")
    expect(own.locator("input")).to_be_checked()
    page.locator("#style-actions").get_by_role("button", name=words.DELETE_STYLE).click()
    page.locator("dialog.ask").get_by_role("button", name="Yes").click()
    expect(own).to_have_count(0, timeout=SLOW_MILLISECONDS)
