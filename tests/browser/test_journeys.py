"""What people come for on Single, as they do it: one journey a test, each in a browser of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from pixart_ui.jobs.job import JobState
from pixart_ui.ui import words
from pixart_ui.ui.words import single as single_words
from tests.browser.parts import (
    Server,
    Visitor,
    after_pressing,
    choose,
    make,
    set_steps,
    shown_job,
    wait_for_news,
    wait_until_drawn,
)

CHECKED = "() => document.querySelector('#field-{field} input:checked')?.value ?? null"
# The longest time from a key or a press to the next picture of the page, in milliseconds, as browsers measure it.
WATCH_INPUT = """() => {
    window.slowest = 0;
    const measure = ({ interactionId, duration }) => {
        if (interactionId) window.slowest = Math.max(window.slowest, duration);
    };
    new PerformanceObserver((list) => list.getEntries().forEach(measure))
        .observe({ type: 'event', durationThreshold: 16, buffered: false });
}"""
MOVING = (
    "() => [...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration)).length"
)
SAID = "getComputedStyle(document.querySelector('#generate'), '::after').content"
LISTEN = f"""() => document.querySelector('#generate').addEventListener(
    'click', () => setTimeout(() => {{ window.said = {SAID}; }})
)"""


def checked(page: Page, field: str) -> object:
    return page.evaluate(CHECKED.replace("{field}", field))


def wait_checked(page: Page, field: str, value: str | None) -> None:
    condition = CHECKED.replace("{field}", field).removeprefix("() => ")
    page.wait_for_function(f"value => ({condition}) === value", arg=value)


def remembered(page: Page, name: str) -> object:
    return json.loads(page.evaluate("() => localStorage.getItem('pixart.form')") or "{}").get(name)


def test_an_idea_becomes_a_picture_and_its_settings_come_back(page: Page) -> None:
    page.get_by_role("button", name=single_words.IDEA).click()
    prompt = page.get_by_label("Prompt", exact=True)
    expect(prompt).to_have_value(words.EXAMPLES_TINY[0])
    expect(page.locator(".tokens")).to_have_text(re.compile(r"\d+ of 300 tokens"))
    set_steps(page, 3)
    choose(page, "style", "Neon")
    page.get_by_label("Seed", exact=True).fill("77")
    after_pressing(page, lambda: page.keyboard.press("Control+Enter"))
    shown_job(page, JobState.DONE)
    expect(page.locator("#stage .details")).to_contain_text("seed 77")
    expect(page.locator("#stage img.final")).to_have_attribute("alt", words.EXAMPLES_TINY[0])

    prompt.fill("something else")
    choose(page, "style", "None")
    page.get_by_role("button", name=words.REUSE_SETTINGS).click()
    expect(prompt).to_have_value(words.EXAMPLES_TINY[0])
    wait_checked(page, "style", "Neon")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("77")


def test_what_t5_cuts_is_struck_through(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a red circle above a blue square " * 45 + "and a yellow moon")
    cut = page.locator("#prompt-hint .cut s")
    expect(cut).to_contain_text("and a yellow moon")
    expect(page.locator(".tokens")).to_have_attribute("data-is", "over")
    page.get_by_label("Prompt", exact=True).fill("a yellow moon")
    expect(cut).to_have_count(0)
    expect(page.locator(".tokens")).to_have_attribute("data-is", "free")


def test_a_quality_sets_steps_and_scheduler_and_shows_what_they_are(page: Page) -> None:
    set_steps(page, 20)
    steps = page.get_by_label("number input for Steps")
    choose(page, "quality", "Best")
    expect(steps).to_have_value("40")
    expect(page.get_by_label(words.SCHEDULER)).to_have_value("sa-solver")
    steps.fill("33")
    steps.press("Tab")
    wait_checked(page, "quality", None)
    choose(page, "quality", "Draft")
    expect(steps).to_have_value("10")
    expect(page.get_by_label(words.SCHEDULER)).to_have_value("dpm++")


def test_sizes_swap_and_the_real_one_is_named(page: Page) -> None:
    hint = page.locator("#size-hint")
    choose(page, "shape", "Landscape")
    expect(hint).to_have_text("Drawn at 304×208")
    page.get_by_role("button", name=single_words.SWAP).click()
    wait_checked(page, "shape", "208x304")
    expect(hint).to_have_text("Drawn at 208×304")
    page.get_by_role("button", name=words.ADVANCED).click()
    size = page.get_by_label(words.SIZE, exact=True)
    size.fill("400x300")
    size.press("Enter")
    expect(hint).to_have_text(re.compile(r"Drawn at \d+×\d+, saved as 400×300"))
    wait_checked(page, "shape", None)


def test_the_form_is_remembered_in_this_browser(server: Server, visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    page = visitor.open(server)
    set_steps(page, 20)
    choose(page, "quality", "Best")
    choose(page, "precision", "8-bit")
    page.get_by_label("Seed", exact=True).fill("5")
    page.get_by_label("Prompt", exact=True).fill("a secret")
    # What is typed in the first second after a visit is not kept: until then the form is brought back.
    page.wait_for_timeout(1000)
    choose(page, "style", "Sketch")
    page.wait_for_function("() => (localStorage.getItem('pixart.form') || '').includes('Sketch')")
    assert "a secret" not in page.evaluate("() => localStorage.getItem('pixart.form')")
    page.close()

    page = visitor.open(server)
    wait_checked(page, "precision", "int8")
    wait_checked(page, "style", "Sketch")
    wait_checked(page, "quality", "40 sa-solver")
    expect(page.get_by_label("number input for Steps")).to_have_value("40")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    expect(page.get_by_label("Seed", exact=True), "only a seed that is kept").to_have_value("")
    assert checked(visit().open(server), "precision") == "fp16"


def test_styles_are_pictures_that_the_checkpoint_made(page: Page) -> None:
    page.locator("#style-pictures .pictured").wait_for(state="attached")
    found = page.eval_on_selector_all(
        "#field-style label", "labels => labels.map(label => getComputedStyle(label, '::before').backgroundImage)"
    )
    assert len(found) >= 6
    assert all("/look/styles/tiny/" in image for image in found[:6])
    for image in found[:6]:
        path = image.removeprefix('url("').removesuffix('")')
        assert page.request.get(path).headers["content-type"] == "image/webp"


def test_title_and_icon_say_what_goes_on(page: Page, server: Server) -> None:
    icon = "() => document.querySelector('link[rel~=icon]')?.getAttribute('href')"
    page.wait_for_function(f"() => ({icon})() === '/look/favicon.svg'")
    set_steps(page, 60)
    make(page, "a green tree")
    page.wait_for_function(f"() => /▶ \\d+\\/60/.test(document.title) && ({icon})() === '/look/favicon-busy.svg'")
    page.keyboard.press("Escape")
    shown_job(page, JobState.CANCELLED)
    page.wait_for_function(f"() => document.title === '{words.TITLE}' && ({icon})() === '/look/favicon.svg'")
    for state in ("favicon", "favicon-busy", "favicon-paused"):
        assert b"<svg" in (server.get(f"/look/{state}.svg") or b"")


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    page.locator("#estimate .estimate").wait_for()
    for tab in page.eval_on_selector_all("#tabs [role=tab]", "tabs => tabs.map(tab => tab.id)"):
        page.evaluate("id => document.getElementById(id).click()", tab)
        page.wait_for_function("id => document.getElementById(id).getAttribute('aria-selected') === 'true'", arg=tab)
        wait_for_news(page)
        for width in (1920, 1280, 768, 390):
            page.set_viewport_size({"width": width, "height": 900})
            wait_until_drawn(page)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, tab


def test_reduced_motion_moves_nothing(page: Page) -> None:
    assert page.evaluate(MOVING) == 0


def test_a_press_is_answered_at_once(page: Page, record_property: Callable[[str, object], None]) -> None:
    """How long it takes depends on what else the machine does, and is recorded; that the answer is there is tested."""
    page.locator("#estimate .estimate").wait_for()
    page.evaluate(WATCH_INPUT)
    page.get_by_label("Prompt", exact=True).press_sequentially("a small red house at night", delay=40)
    choose(page, "shape", "Wide")
    page.get_by_role("button", name=words.ADVANCED).click()
    page.get_by_role("button", name=words.THEME_SWITCH).click()
    page.locator("#tab-queue-button").click()
    page.locator("#tab-single-button").click()
    page.evaluate(LISTEN)
    after_pressing(page, page.get_by_role("button", name=words.GENERATE).click)
    page.wait_for_function(f"() => (window.said || '').includes('{single_words.SENDING}')")
    page.wait_for_timeout(300)
    record_property("slowest_input_ms", page.evaluate("() => window.slowest"))
    print(f"slowest input to feedback: {page.evaluate('() => window.slowest')} ms")
    shown_job(page, JobState.DONE)
    page.wait_for_function(f"() => !({SAID}).includes('{single_words.SENDING}')")
