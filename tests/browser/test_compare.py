"""The Compare tab, as people use it: the default comparison from its start to its report, and by several browsers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from pixart_ui.compare import report
from pixart_ui.compare.comparison import State
from pixart_ui.compare.kept import Kept
from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.ui import words
from tests.browser.parts import Server, Visitor, make, set_steps, shown_job, wait_for, wait_until_drawn
from tests.browser.test_page import ATTACK
from tests.compare.parts import apart, comparison, precision, sweep

PROMPT = "a red circle above a blue square"
# Six runs, each of which begins with an empty device, on cores that may be shared.
RUNS_MILLISECONDS = 300_000
PEAKS = {"fp16": 11.0, "int8": 7.5, "nf4": 5.8, "fp4": 5.9}
WORTHS = "cells => cells.map(cell => Number(cell.dataset.worth))"


@pytest.fixture
def services(calm: Server) -> Iterator[Services]:
    opened = Services.open(calm.settings)
    opened.journal.pause("a test looks at it")
    opened.journal.cancel_all()
    wait_for(lambda: not opened.journal.has_open(), "the queue to be empty", 30)
    for entry in opened.comparisons():
        opened.delete_comparison(entry.id)
    yield opened
    opened.journal.close()


def open_compare(page: Page) -> Page:
    page.get_by_role("tab", name=words.COMPARE).click()
    page.locator("#compare-head .live").wait_for()
    return page


def keep(services: Services, prompt: str = PROMPT) -> str:
    """A finished comparison, with a grey picture for each run."""
    kept = Kept(services.settings.comparisons_dir)
    found = comparison(sweep(prompts=[prompt]), lambda cell: apart(cell, PEAKS[precision(cell)], 10.0))
    results = tuple(result.model_copy(update={"image": f"images/{result.key}.png"}) for result in found.results)
    comparison_id = kept.create(found.model_copy(update={"results": results}))
    for number, result in enumerate(results):
        Image.new("RGB", (64, 64), (20 * number,) * 3).save(kept.path(comparison_id) / str(result.image))
    return comparison_id


def pictures(page: Page) -> Locator:
    return page.locator("#compare-grid .cards .pickable")


def pick_two(page: Page) -> Locator:
    """One with the mouse and one with the keyboard."""
    pictures(page).nth(0).click()
    expect(page.locator("#pick-hint")).to_have_text(words.COMPARE_PICKED_HINT)
    pictures(page).nth(1).focus()
    page.keyboard.press("Enter")
    window = page.get_by_role("dialog", name=words.PAIR)
    expect(window).to_be_visible()
    return window


def at(page: Page) -> float:
    return float(page.evaluate("parseFloat(document.getElementById('pair').style.getPropertyValue('--at'))"))


def download(page: Page, text: str, folder: Path) -> Path:
    page.locator(".menu.reports summary").click()
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("link", name=text, exact=True).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_the_default_comparison_from_start_to_report(page: Page, server: Server, tmp_path: Path) -> None:
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    set_steps(page, 2)
    open_compare(page)
    expect(page.locator("#compare-draft")).to_contain_text("6 runs")
    expect(page.locator("#compare-draft")).to_contain_text(re.compile(r"about .+ peak \d+ MiB"))
    page.get_by_role("button", name="Start 6 runs").click()
    expect(pictures(page)).to_have_count(4, timeout=RUNS_MILLISECONDS)
    expect(page.locator("#compare-head")).to_contain_text("All 6 runs done", timeout=RUNS_MILLISECONDS)
    expect(page.locator("#compare-head h2")).to_contain_text("weights take")
    expect(page.locator("#compare-head .use")).to_contain_text(re.compile("^Use "))
    names = page.locator("#compare-grid .cards .tag b").all_text_contents()
    assert sorted(names) == ["8-bit", "fp16", "fp4", "nf4"]
    assert names[0] == "fp16"  # the most memory comes first

    window = pick_two(page)
    slider = window.get_by_role("slider", name=words.PAIR_SLIDER)
    expect(slider).to_be_focused()
    assert at(page) == 50
    page.keyboard.press("ArrowRight")
    assert 50 < at(page) <= 52
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40, steps=5)
    page.mouse.up()
    assert 20 < at(page) < 30
    first = window.locator(".over img[data-of=first]")
    assert re.fullmatch(r"inset\(0px 7\d.*%.*\)", first.evaluate("image => getComputedStyle(image).clipPath"))
    assert first.evaluate("image => image.naturalWidth") == 256
    expect(window.locator(".pair-told")).to_contain_text(re.compile("differ by|identical"))
    window.get_by_role("button", name=words.PAIR_MODES["beside"]).click()
    window.get_by_role("button", name="2×").click()
    widths = [window.locator(f".pane[data-side={side}] img").bounding_box() for side in ("first", "second")]
    assert [box is not None and box["width"] for box in widths] == [512, 512]
    window.get_by_role("button", name=words.PAIR_MODES["map"]).click()
    assert window.get_by_alt_text(words.PAIR_MAP_ALT).evaluate("image => image.naturalWidth") == 256
    page.keyboard.press("Escape")
    expect(window).to_be_hidden()
    expect(pictures(page).nth(1)).to_be_focused()

    table = page.locator(f"table[data-table='{words.COMPARE_TABLE}']")
    memory = table.get_by_role("button", name="memory")
    for order, is_reversed in (("ascending", False), ("descending", True)):
        memory.click()
        expect(table.locator("th[aria-sort]")).to_have_attribute("aria-sort", order)
        worths = table.locator("tbody td:nth-child(2)").evaluate_all(WORTHS)
        assert worths == sorted(worths, reverse=is_reversed)
        assert len(set(worths)) > 1

    plot = page.locator("#compare-figures .plot")
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")  # a tenth of the longest run, when none has ended
    expect(plot).to_have_attribute("aria-valuetext", re.compile(r"s: fp16 \d+ MiB"))
    expect(page.locator("#compare-figures .readout")).to_contain_text("nf4")

    page_file = download(page, "Report as HTML", tmp_path)
    html = page_file.read_text(encoding="utf-8")
    assert PROMPT in html
    assert html.count("data:image/png;base64,") >= 6
    assert not re.search(r"(?:src|href)=.https?:", html)
    kept = report.read(download(page, "Report as JSON", tmp_path))
    assert [result.state for result in kept.results] == [State.DONE] * 6
    assert kept.sweep.request.steps == 2
    rows = download(page, "Table as CSV", tmp_path).read_text(encoding="utf-8-sig").splitlines()
    assert len(rows) == 7
    with Image.open(download(page, "Figure as PNG", tmp_path)) as figure:
        assert figure.format == "PNG"
        assert figure.width > 1000


def test_a_picture_on_single_is_where_a_comparison_begins(page: Page, server: Server) -> None:
    set_steps(page, 3)
    make(page, "a green tree")
    shown_job(page, JobState.DONE)
    page.get_by_label("Prompt", exact=True).fill("something else")
    page.locator("#stage").get_by_role("button", name=words.COMPARE_THIS).click()
    expect(page.get_by_role("tab", name=words.COMPARE)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#compare-draft")).to_contain_text("“a green tree”")
    expect(page.locator("#compare-draft")).to_contain_text("3 steps")
    expect(page.locator("#compare-start")).to_be_enabled()


def test_names_reload_and_deletion(calm: Server, services: Services, visit: Callable[..., Visitor]) -> None:
    keep(services)
    page, other = open_compare(visit().open(calm)), open_compare(visit().open(calm))
    page.get_by_role("button", name=words.COMPARE_RENAME).click()
    page.get_by_label(words.COMPARE_RENAME_LABEL).fill("Which for my card?")
    page.keyboard.press("Enter")
    for one in (page, other):
        expect(one.locator("#compare-head .named")).to_have_text("Which for my card?")
    page.reload()
    expect(page.get_by_role("tab", name=words.COMPARE)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#compare-head .named")).to_have_text("Which for my card?")
    page.get_by_role("button", name=words.COMPARE_DELETE).click()
    page.get_by_role("button", name="No, leave it").click()
    assert len(services.comparisons()) == 1
    page.get_by_role("button", name=words.COMPARE_DELETE).click()
    page.get_by_role("button", name="Yes", exact=True).click()
    for one in (page, other):
        expect(one.locator("#compare-head")).to_contain_text(words.COMPARE_EMPTY_TITLE)
    assert services.comparisons() == ()


def test_one_is_started_cancelled_and_resumed_before_everybodys_eyes(
    calm: Server, services: Services, visit: Callable[..., Visitor]
) -> None:
    other = open_compare(visit().open(calm))
    page = visit().open(calm)
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    open_compare(page)
    page.get_by_role("button", name="Start 6 runs").click()
    for one in (page, other):
        expect(one.locator("#compare-head")).to_contain_text("0 of 6 runs done")
        expect(one.locator("#compare-grid .card[data-state=waiting]")).to_have_count(6)
    page.locator("#compare-head").get_by_role("button", name=words.COMPARE_CANCEL).click()
    expect(other.locator("#compare-grid")).to_contain_text(words.COMPARE_NOT_RUN)
    assert not services.journal.has_open()
    other.get_by_role("button", name=words.COMPARE_RESUME).click()
    expect(page.locator("#compare-grid .card").get_by_text(words.COMPARE_WAITING)).to_have_count(6)
    assert services.journal.has_open()


def test_advice_changes_with_the_budget(calm: Server, services: Services, visit: Callable[..., Visitor]) -> None:
    keep(services)
    page = open_compare(visit().open(calm))
    expect(page.locator(".use")).to_contain_text("Use fp16")
    page.get_by_label(words.COMPARE_ADVICE).select_option("8")
    expect(page.locator(".use")).to_contain_text("Use nf4")


def test_hostile_text_stays_text(calm: Server, services: Services, visit: Callable[..., Visitor]) -> None:
    services.rename_comparison(keep(services, ATTACK), ATTACK)
    page = open_compare(visit().open(calm))
    expect(page.locator("#compare-head .named")).to_have_text(ATTACK)
    pick_two(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=words.COMPARE_RENAME).click()
    expect(page.get_by_label(words.COMPARE_RENAME_LABEL)).to_have_value(ATTACK)


def test_what_varies_brings_its_values_and_a_wrong_one_says_so(
    calm: Server, services: Services, visit: Callable[..., Visitor]
) -> None:
    page = visit().open(calm)
    open_compare(page)
    page.get_by_role("button", name=re.compile("circle|square|moon|star")).first.click()
    page.get_by_label(words.COMPARE_AXIS, exact=True).click()
    page.get_by_role("option", name=words.COMPARE_AXES["steps"], exact=True).click()
    expect(page.locator("#compare-draft")).to_contain_text("20 steps")
    page.get_by_label(words.COMPARE_MORE).first.fill("a few")
    expect(page.locator("#compare-draft [role=alert]")).to_contain_text("a few")
    expect(page.locator("#compare-start")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_screen(
    calm: Server, services: Services, visit: Callable[..., Visitor], scheme: str
) -> None:
    keep(services)
    page = open_compare(visit(color_scheme=scheme).open(calm))
    for width in (390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        wait_until_drawn(page)
        pictures(page).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("button", name=words.NEW_COMPARISON).click()
        page.locator("#compare-new").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("button", name=words.NEW_COMPARISON).click()
        window = pick_two(page)
        box = window.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        page.keyboard.press("Escape")
        expect(window).to_be_hidden()
