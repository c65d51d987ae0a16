"""The Gallery, as people use it: with the mouse, with keys alone, on a phone, with a PNG from elsewhere.

The pictures are files that lie in the data folder before the app starts, as those of an older one would.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import Locator, Page, expect

from pixart_ui import tiny
from pixart_ui.catalog import tiny as tiny_checkpoint
from pixart_ui.gallery import images
from pixart_ui.gallery.picture import PictureFilter
from pixart_ui.jobs.job import JobState
from pixart_ui.request import GenerationRequest, resolve
from pixart_ui.services import Services
from pixart_ui.ui import words as page_words
from pixart_ui.ui.words import gallery as words
from tests.browser.parts import Server, Visitor, serving

ATTACK = '<img src=x onerror="alert(1)">'
PROMPTS = ("a red circle", "a blue boat", "a red house", "a yellow moon", ATTACK)
SIZES = ((256, 256), (304, 208), (208, 304), (256, 256), (336, 192))
A1111_TEXT = "a boat in a storm\nSteps: 12, Sampler: Euler, CFG scale: 3, Seed: 99, Size: 256x256, Clip skip: 2"
NEWEST = PictureFilter()
# A picture's way from the file input to the form, on a machine that does much else.
SLOW = 30_000
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name, { type: "image/png" }));
  for (const type of ["dragenter", "dragover", "drop"])
    document.querySelector("#tabs").dispatchEvent(
      new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: dropped }));
}"""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app whose folder held five pictures before; the newest shows the last of the prompts."""
    data_dir = tmp_path_factory.mktemp("older") / "data"
    now = time.time()
    for number, (prompt, (width, height)) in enumerate(zip(PROMPTS, SIZES, strict=True)):
        asked = {"prompt": prompt, "width": width, "height": height, "seed": number, "steps": 4 + number % 2}
        checkpoint = tiny_checkpoint(tiny.checkpoint_dir())
        (request,) = resolve(GenerationRequest.parse(asked), checkpoint, None, random_seed=0)
        path = data_dir / "images" / f"{time.strftime('%Y%m%d')}-{number:06d}-{number}.png"
        images.save(Image.new("RGB", (width, height), (40 * number, 90, 160)), path, request, {})
        os.utime(path, (now - 1000 + number, now - 1000 + number))
    with serving(data_dir) as running:
        yield running


@pytest.fixture
def services(older: Server) -> Iterator[Services]:
    """All five are back where they were, nothing is starred or open."""
    opened = Services.open(older.settings)
    opened.gallery.refresh()
    journal = opened.journal
    opened.journal.cancel_all()
    if deleted := [journal.picture_named(path.name) for path in Path(older.settings.trash_dir).glob("*.png")]:
        opened.gallery.restore([picture.id for picture in deleted if picture is not None])
    journal.star_pictures([each.id for each in journal.pictures(range(1000))], False)
    yield opened
    journal.close()


@pytest.fixture
def page(older: Server, services: Services, visit: Callable[..., Visitor]) -> Page:
    return open_gallery(visit().open(older))


def open_gallery(page: Page) -> Page:
    page.get_by_role("tab", name=words.GALLERY).click()
    page.locator("#gallery-grid .wall").wait_for()
    return page


def shots(page: Page) -> Locator:
    return page.locator("#gallery-grid .shot")


def picture(page: Page, prompt: str) -> Locator:
    return page.locator("#gallery-grid").get_by_role("button", name=prompt, exact=True)


def sheet(page: Page) -> Locator:
    return page.locator("#gallery-detail .sheet")


def press(page: Page, label: str) -> None:
    sheet(page).get_by_role("button", name=label, exact=True).click()


def expect_prompts(page: Page, *prompts: str) -> None:
    expect(page.locator("#gallery-grid .shot img")).to_have_count(len(prompts), timeout=SLOW)
    page.wait_for_function(
        "wanted => JSON.stringify([...document.querySelectorAll('#gallery-grid img')].map(e => e.alt)) == wanted",
        arg=json.dumps(list(prompts), separators=(",", ":")),
    )


def select(page: Page, number: int) -> None:
    page.locator("#gallery-grid .shot .pick").nth(number).check()


def test_all_pictures_are_there_newest_first_edge_to_edge(page: Page) -> None:
    expect_prompts(page, *reversed(PROMPTS))
    page.wait_for_function("() => [...document.querySelectorAll('#gallery-grid img')].every(e => e.naturalWidth > 0)")
    rows = page.evaluate(
        """() => { const place = document.querySelector('#gallery-grid').getBoundingClientRect();
        const first = [...document.querySelectorAll('.shot')].map(e => e.getBoundingClientRect());
        return [first[0].left - place.left, place.width, first[0].width / first[0].height]; }"""
    )
    assert abs(rows[0]) < 1
    assert rows[2] == pytest.approx(336 / 192, abs=0.02), "a picture keeps its shape"


def test_search_and_filters_narrow_and_what_is_left_stays_after_a_reload(page: Page) -> None:
    search = page.get_by_label(words.SEARCH).last
    search.fill("RED")
    expect_prompts(page, "a red house", "a red circle")
    expect(page.get_by_role("status").filter(has_text="2 pictures")).to_be_visible()
    page.reload()
    page.locator("#gallery-grid .wall").wait_for()
    expect_prompts(page, "a red house", "a red circle")
    expect(page.get_by_label(words.SEARCH).last).to_have_value("RED")
    page.get_by_label(words.SEARCH).last.fill("no such thing")
    page.get_by_role("button", name=words.CLEAR_FILTERS).click()
    expect_prompts(page, *reversed(PROMPTS))
    page.get_by_label(words.LABELS["when"], exact=True).select_option("today")
    expect_prompts(page, *reversed(PROMPTS))
    page.get_by_label(words.LABELS["when"], exact=True).select_option("between")
    page.get_by_label(words.TO_DAY, exact=True).fill("2001-01-01")
    expect(shots(page)).to_have_count(0)


def test_a_picture_is_starred_deleted_and_brought_back(page: Page, older: Server) -> None:
    picture(page, "a red house").click()
    expect(sheet(page)).to_contain_text("256")
    press(page, words.STAR)
    expect(page.locator(".shot[data-starred]")).to_have_count(1)
    page.get_by_role("button", name=re.compile(r"^Starred")).click()
    expect_prompts(page, "a red house")
    page.get_by_role("button", name=re.compile(r"^All")).click()
    before = {path.name: path.read_bytes() for path in older.settings.images_dir.glob("*.png")}
    picture(page, "a red house").click()
    press(page, words.DELETE)
    expect(shots(page)).to_have_count(4)
    assert len(list(older.settings.images_dir.glob("*.png"))) == 4
    page.locator("#toast").get_by_role("button", name=words.UNDO).click()
    expect(shots(page)).to_have_count(5)
    assert {path.name: path.read_bytes() for path in older.settings.images_dir.glob("*.png")} == before
    expect(page.locator(".shot[data-starred]")).to_have_count(1)


def test_the_trash_can_be_looked_into_and_emptied_only_after_a_question(page: Page, older: Server) -> None:
    select(page, 0)
    page.locator("#gallery-bar").get_by_role("button", name=words.DELETE, exact=True).click()
    page.get_by_role("button", name=re.compile(r"^Trash")).click()
    expect_prompts(page, ATTACK)
    select(page, 0)
    page.locator("#gallery-bar").get_by_role("button", name=words.PURGE).click()
    page.get_by_role("button", name=page_words.SCRIPT_WORDS["no"]).click()
    assert len(list(older.settings.trash_dir.glob("*.png"))) == 1
    picture(page, ATTACK).click()
    press(page, words.RESTORE)
    expect(shots(page)).to_have_count(0)


def test_everything_is_reached_by_keys(page: Page) -> None:
    first = page.locator("#gallery-grid .pick").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(sheet(page).locator(".said")).to_have_text("a yellow moon")
    page.keyboard.press("ArrowRight")
    expect(sheet(page).locator(".said")).to_have_text("a red house")
    page.keyboard.press("Escape")
    expect(sheet(page)).to_have_count(0)
    page.keyboard.press("s")
    expect(page.locator(".shot[data-starred] img")).to_have_attribute("alt", "a red house")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#gallery-bar .num")).to_have_text("2 selected")
    page.keyboard.press("Control+a")
    expect(page.locator("#gallery-bar .num")).to_have_text("5 selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#gallery-bar .bar")).to_be_hidden()
    page.keyboard.press("Delete")
    expect(shots(page)).to_have_count(4)
    expect(page.locator("#gallery-grid .pick:focus")).to_have_count(1)


def test_a_range_goes_into_an_archive(page: Page) -> None:
    picture(page, "a yellow moon").click(modifiers=["Control"])
    picture(page, "a blue boat").click(modifiers=["Shift"])
    expect(page.locator("#gallery-bar .num")).to_have_text("3 selected")
    with page.expect_download() as download:
        page.locator("#gallery-bar").get_by_role("link", name=words.DOWNLOAD).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(name.rpartition("-")[2] for name in archive.namelist()) == ["1.png", "2.png", "3.png"]


def test_pictures_become_a_comparison_of_what_they_differ_in(page: Page) -> None:
    picture(page, "a yellow moon").click(modifiers=["Control"])
    picture(page, "a red house").click(modifiers=["Control"])
    page.locator("#gallery-bar").get_by_role("button", name=words.COMPARE).click()
    expect(page.locator("#compare-axis-1 input")).to_have_value("Steps", timeout=SLOW)
    expect(page.locator("#compare-axis-2 input")).to_have_value("Size")
    expect(page.locator("#compare-lines textarea")).to_have_value("a yellow moon\na red house")
    expect(page.locator("#compare-start")).to_be_enabled(timeout=SLOW)
    assert "differ too" in page.locator("#toast").inner_text()


def test_settings_go_into_the_form_and_a_variation_is_made(page: Page, older: Server, services: Services) -> None:
    picture(page, ATTACK).click()
    press(page, words.REUSE)
    prompt = page.get_by_label("Prompt", exact=True)
    expect(prompt).to_have_value(ATTACK, timeout=SLOW)
    expect(prompt).to_be_visible()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("4")
    page.get_by_role("tab", name=words.GALLERY).click()
    picture(page, "a red circle").click()
    page.get_by_label(words.VARY_COUNT).fill("1")
    press(page, words.VARY)
    expect(page.locator("#toast")).to_contain_text("1 variation", timeout=SLOW)
    (waiting,) = older.jobs()
    made = older.wait_until(waiting.id, lambda job: job.state is JobState.DONE)
    assert (made.request.prompt, made.request.steps) == ("a red circle", 4)
    assert made.request.seed != 0
    expect(page.locator("#gallery-grid .shot img").first).to_have_attribute("alt", "a red circle", timeout=SLOW)
    page.close()  # it would ask for what is removed now
    services.gallery.refresh()
    newest = [found.id for found in services.journal.pictures_page(NEWEST, limit=1).pictures]
    services.gallery.delete(newest)
    services.gallery.purge(newest)


def test_a_png_from_elsewhere_is_dropped_on_the_gallery_and_on_single(page: Page, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", A1111_TEXT)
    held = io.BytesIO()
    Image.new("RGB", (8, 8)).save(held, "PNG", pnginfo=info)
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "PNG")
    page.evaluate(DROP, ["theirs.png", base64.b64encode(held.getvalue()).decode()])
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a boat in a storm", timeout=SLOW)
    expect(page.locator("#toast")).to_contain_text("Clip skip 2: PixArt has no such setting")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("99")
    page.locator("#toast .close").click()
    page.evaluate(DROP, ["plain.png", base64.b64encode(plain.getvalue()).decode()])  # on Single now
    expect(page.locator("#toast")).to_contain_text("says nothing of how it was made", timeout=SLOW)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a boat in a storm")
    (tmp_path / "theirs.png").write_bytes(held.getvalue())
    open_gallery(page)
    with page.expect_file_chooser() as chooser:
        page.locator("#gallery-opener").get_by_role("button", name=words.OPEN_PNG).click()
    chooser.value.set_files(tmp_path / "theirs.png")
    expect(page.locator("#toast")).to_contain_text("as A1111 wrote them", timeout=SLOW)


def test_two_browsers_see_the_same_and_a_phone_has_the_panel_over_all(
    page: Page, older: Server, visit: Callable[..., Visitor]
) -> None:
    phone = open_gallery(visit(viewport={"width": 390, "height": 844}, has_touch=True).open(older))
    expect(shots(phone)).to_have_count(5)
    picture(phone, "a yellow moon").tap()
    expect(sheet(phone)).to_be_visible()
    covered = phone.evaluate("() => document.querySelector('#gallery-detail').getBoundingClientRect().toJSON()")
    assert (covered["left"], covered["width"]) == (0, 390)
    press(phone, words.DELETE)
    expect(shots(page)).to_have_count(4)
    expect(sheet(phone).locator(".said")).to_have_text("a red house")
    phone.get_by_role("button", name=words.CLOSE).last.press("Escape")
    assert phone.evaluate("() => document.querySelector('#gallery-grid').scrollWidth") <= 390
