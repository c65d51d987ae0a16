"""The report as a person opens it: from the disk, in a browser, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pixart_ui.compare import report
from tests.compare.parts import comparison, sweep
from tests.compare.test_report import NASTY, with_pictures

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    made = comparison(sweep(), lambda cell: with_pictures(folder, cell), heat_scale_levels=16, name=NASTY)
    return report.write(made, folder)


@pytest.fixture(params=[390, 1280])
def page(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def names(page: Page) -> list[str]:
    return page.locator("table").first.locator("tbody th").all_text_contents()


def test_a_table_is_sorted_by_the_heading_that_is_pressed(page: Page) -> None:
    assert names(page)[0] == "fp16"
    page.get_by_role("button", name="memory", exact=True).click()
    assert names(page)[:3] == ["nf4", "fp4", "8-bit"]
    page.get_by_role("button", name="memory", exact=True).click()
    assert names(page)[3:] == ["8-bit", "fp4", "nf4"]
    assert page.locator("th[aria-sort=descending]").count() == 1


def test_what_has_no_figure_comes_last_both_ways(page: Page) -> None:
    heading = page.get_by_role("button", name="PSNR, dB", exact=True).first
    heading.click()
    assert names(page)[0] == "fp16, another seed"
    assert names(page)[-2:] == ["fp16, repeated", "fp16"]
    heading.click()
    assert names(page)[0] == "fp16, repeated"
    assert names(page)[-1] == "fp16"


def test_the_heading_is_reached_and_pressed_without_a_mouse(page: Page) -> None:
    page.get_by_role("button", name="memory", exact=True).focus()
    page.keyboard.press("Enter")
    assert names(page)[0] == "nf4"


def test_differences_take_the_place_of_the_pictures(page: Page) -> None:
    nf4 = page.locator("figure.card", has_text="nf4")
    assert nf4.locator("img.plain").is_visible()
    page.get_by_label("Show where they differ from the reference").check()
    assert nf4.locator("img.map").is_visible()
    assert not nf4.locator("img.plain").is_visible()
    reference = page.locator("figure.card", has_text="the reference")
    assert reference.locator("img.plain").is_visible()


def test_the_figure_and_the_data_can_be_saved(page: Page, file: Path) -> None:
    for link, name in (("Download as PNG", "figure.png"), ("report.json, to repeat it", "report.json")):
        with page.expect_download() as download:
            page.get_by_role("link", name=link).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes().strip() == (file.parent / name).read_bytes().strip()


def test_nothing_is_wider_than_the_window(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_on_paper_everything_is_open(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
