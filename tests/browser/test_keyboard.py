"""Everything with keys alone: what can be reached, what shortcuts do, where the focus is seen and stays."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from pixart_ui.jobs.job import JobState
from pixart_ui.ui import words
from pixart_ui.ui.words import single as single_words
from tests.browser.parts import Server, after_pressing, choose, set_steps, shown_job

# The names of what Tab meets, in order, until it is back at the start; a picture of each without a focus ring.
WALK = """() => {
    const focused = document.activeElement, style = getComputedStyle(focused);
    const ring = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
    const around = focused.closest('label, .wrap');
    const other = around ? getComputedStyle(around) : style;
    const isSeen = ring || other.outlineStyle !== 'none' || other.boxShadow !== 'none';
    const text = focused.closest('label')?.textContent || focused.textContent;
    const name = focused.getAttribute('aria-label') || text || focused.id;
    return [focused === document.body ? '' : focused.tagName + ':' + name.trim().slice(0, 40), isSeen];
}"""


def walk(page: Page, presses: int) -> dict[str, bool]:
    """What has the focus after each press of Tab, and whether that is seen."""
    met: dict[str, bool] = {}
    for _ in range(presses):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(WALK)
        if name:
            met[name] = met.get(name, True) and is_seen
    return met


def test_tab_reaches_everything_and_the_focus_is_seen(page: Page) -> None:
    page.locator("#estimate summary").wait_for()
    page.get_by_label("Prompt", exact=True).fill("a star")
    page.locator(".tokens").wait_for()
    met = walk(page, 45)
    told = "\n".join(met)
    for name in (words.GENERATE, words.ADD_TO_QUEUE, words.RANDOM_SEED, words.ADVANCED, words.WHY, single_words.SWAP):
        assert any(name in each for each in met), f"{name} is missing in:\n{told}"
    for label in (words.SEED, words.NUM_IMAGES, words.LOCK_SEED, words.THEME_SWITCH, single_words.KEYS):
        assert any(label in each for each in met), f"{label} is missing in:\n{told}"
    assert [name for name, is_seen in met.items() if not is_seen] == []


def test_arrows_move_within_choices_and_between_tabs(page: Page) -> None:
    choose(page, "shape", "Square")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#field-shape label.selected")).to_contain_text("Landscape")
    page.locator("#tab-single-button").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-queue-button")).to_be_focused()
    expect(page.locator("#tab-queue-button")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(page.locator("#tab-single-button")).to_have_attribute("aria-selected", "true")


def test_a_list_of_choices_closes_as_the_focus_leaves_it(page: Page) -> None:
    """It would lie over the tabs."""
    page.locator("#field-checkpoint input").focus()
    expect(page.get_by_role("option")).not_to_have_count(0)
    page.keyboard.press("Tab")
    expect(page.get_by_role("option")).to_have_count(0)
    page.locator("#tab-compare-button").click()
    expect(page.locator("#tab-compare-button")).to_have_attribute("aria-selected", "true")


def test_generate_from_anywhere_and_escape_cancels(page: Page, server: Server) -> None:
    set_steps(page, 60)
    page.get_by_label("Prompt", exact=True).fill("a blue house")
    page.locator("#random-seed").focus()
    page.keyboard.press("Control+Enter")
    page.locator("#stage [data-act=cancel]").wait_for()
    page.keyboard.press("Escape")
    shown_job(page, JobState.CANCELLED)
    assert server.jobs()[0].state is JobState.CANCELLED


def test_the_sheet_of_shortcuts_and_what_it_promises(page: Page) -> None:
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.press("?")
    expect(prompt).to_have_value("?")
    sheet = page.get_by_role("dialog", name=single_words.KEYS)
    expect(sheet).to_be_hidden()

    page.locator("#random-seed").focus()
    page.keyboard.press("?")
    expect(sheet).to_be_visible()
    for _, keys in single_words.KEYS_GROUPS:
        for _, does in keys:
            expect(sheet).to_contain_text(does)
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator("#random-seed")).to_be_focused()

    page.keyboard.press("2")
    expect(page.locator("#tab-queue-button")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("/")
    expect(prompt).to_be_focused()
    expect(prompt).to_have_value("?")


def test_what_cannot_be_seen_is_named(page: Page) -> None:
    for name in (words.STYLE, words.SHAPE, single_words.QUALITY, words.PRECISION):
        expect(page.get_by_role("group", name=name, exact=True)).to_be_visible()
    fold = page.get_by_role("button", name=words.ADVANCED)
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")


def test_a_wrong_value_is_told_beside_its_field_and_in_sight(page: Page) -> None:
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("-1")
    page.get_by_label("Prompt", exact=True).fill("a star")
    page.keyboard.press("Control+Enter")
    expect(seed).to_be_focused()
    beside = page.locator("#seed-row .beside-field")
    expect(beside).to_contain_text("Seed '-1'")
    expect(seed).to_have_attribute("aria-describedby", beside.get_attribute("id") or "none")
    bottom = page.evaluate("() => document.querySelector('.beside-field').getBoundingClientRect().bottom")
    top = page.evaluate("() => document.querySelector('#go').getBoundingClientRect().top")
    assert bottom <= top, "it is under the button"
    seed.fill("")
    after_pressing(page, lambda: page.keyboard.press("Control+Enter"))
    expect(beside).to_have_count(0)
    shown_job(page, JobState.DONE)
    expect(page.locator("#stage img.final")).to_have_attribute("alt", re.compile("a star"))
