"""The System tab as its owner uses it: a checkpoint from its download to its end, clearing, logs; on a phone too."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from pixart_ui.catalog import SIGMA_1024
from pixart_ui.health.chores import Chores, ChoreState
from pixart_ui.jobs.job import JobState
from pixart_ui.ui.words import system as words
from tests.browser.parts import Server, Visitor, make, serving, set_steps, shown_job
from tests.hub.parts import repository, safetensors
from tests.hub.server import FakeHub, serve
from tests.jobs.waiting import wait_until

SIGMA_512 = "PixArt-alpha/PixArt-Sigma-XL-2-512-MS"
LARGE = "vae/diffusion_pytorch_model.safetensors"
SLOW_MILLISECONDS = 60_000


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    found = FakeHub()
    found.push(SIGMA_1024, repository())
    found.push(SIGMA_512, {**repository(seed=5), LARGE: safetensors({"weight": 24_000_000})})
    with serve(found):
        yield found


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory, hub: FakeHub) -> Iterator[Server]:
    """An app whose Hub is the small one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        with serving(tmp_path_factory.mktemp("system") / "data") as running:
            yield running


def open_system(visit: Callable[..., Visitor], server: Server, **options: object) -> Page:
    page = visit(**options).open(server)
    page.get_by_role("tab", name=words.TAB).click()
    page.locator("#system-checkpoints li").first.wait_for()
    return page


def test_a_checkpoint_comes_is_checked_and_goes(visit: Callable[..., Visitor], owned: Server, hub: FakeHub) -> None:
    arrived = threading.Event()
    hub.hold = (LARGE, 20_000_000, arrived)
    page = open_system(visit, owned)
    row = page.locator('#system-checkpoints li[data-key="sigma-512"]')
    try:
        row.get_by_role("button", name=f"{words.DOWNLOAD}: PixArt-Σ · 512").click()
        expect(page.locator("#toast")).to_contain_text("goes on when this page is closed")
        expect(row.get_by_role("progressbar")).to_have_attribute(
            "aria-valuenow", re.compile(r"\d+"), timeout=SLOW_MILLISECONDS
        )
        assert arrived.wait(60)
        page.reload()
        page.locator("#system-checkpoints li").first.wait_for()
        expect(row.locator(".chore")).to_contain_text(
            re.compile(r"Downloading · \d.* of 24\.\d MB"), timeout=SLOW_MILLISECONDS
        )
        row.get_by_role("button", name=re.compile(f"^{words.CANCEL}")).click()
        expect(row).to_contain_text(words.CHORE_ENDS["cancelled"], timeout=SLOW_MILLISECONDS)
    finally:
        hub.hold = None
    row.get_by_role("button", name=re.compile(f"^({words.GO_ON}|{words.DOWNLOAD})")).click()
    expect(row).to_contain_text("is on this disk", timeout=SLOW_MILLISECONDS)
    row.get_by_role("button", name=re.compile(f"^{words.DISMISS}")).click()
    expect(row.locator(".chore")).to_have_count(0, timeout=SLOW_MILLISECONDS)

    row.get_by_role("button", name=re.compile(f"^{words.VERIFY}")).click()
    expect(row).to_contain_text("is sound", timeout=SLOW_MILLISECONDS)
    row.get_by_role("button", name=re.compile(f"^{words.DELETE}")).click()
    asked = page.locator("dialog.ask")
    expect(asked).to_contain_text("Delete PixArt-Σ · 512 from this disk?")
    asked.get_by_role("button", name="No").click()
    expect(row).to_have_attribute("data-is", "here")
    row.get_by_role("button", name=re.compile(f"^{words.DELETE}")).click()
    asked.get_by_role("button", name="Yes").click()
    expect(page.locator("#toast")).to_contain_text("are free again", timeout=SLOW_MILLISECONDS)
    expect(row).to_have_attribute("data-is", "absent", timeout=SLOW_MILLISECONDS)


def test_a_picture_shows_in_memory_health_and_what_can_be_cleared(visit: Callable[..., Visitor], owned: Server) -> None:
    page = visit().open(owned)
    set_steps(page, 2)
    make(page, "a red circle above a blue square")
    shown_job(page, JobState.DONE)
    page.get_by_role("tab", name=words.TAB).click()
    bar = page.locator("#system-memory .stack").first
    expect(bar).to_have_attribute("aria-label", re.compile("Engine"))
    expect(page.locator("#system-health svg")).to_have_count(1, timeout=SLOW_MILLISECONDS)
    expect(page.locator("#system-workers tbody tr")).to_contain_text(re.compile("Ready|Working"))
    expect(page.locator("#system-fits [data-fit]").first).to_be_visible(timeout=SLOW_MILLISECONDS)
    row = page.locator('#system-disk li[data-key="embeddings"]')
    clear = row.get_by_role("button", name=re.compile(f"^{words.CLEAR}"))
    clear.click(timeout=SLOW_MILLISECONDS)
    expect(page.locator("dialog.ask")).to_contain_text("Clear Known prompts")
    page.locator("dialog.ask").get_by_role("button", name="Yes").click()
    expect(page.locator("#toast")).to_contain_text("Known prompts", timeout=SLOW_MILLISECONDS)
    expect(clear).to_have_count(0, timeout=SLOW_MILLISECONDS)


def test_the_report_is_shown_and_copied_without_prompts(visit: Callable[..., Visitor], owned: Server) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(owned)
    page.get_by_role("tab", name=words.TAB).click()
    page.get_by_role("button", name=words.LOGS_SHOW, exact=True).click()
    text = page.get_by_label(words.LOGS_TEXT)
    expect(text).to_have_value(re.compile("Pictures can be made"), timeout=SLOW_MILLISECONDS)
    assert "a red circle above" not in text.input_value()
    page.get_by_role("button", name=words.LOGS_COPY).click()
    expect(page.locator("#toast")).to_contain_text(words.LOGS_COPIED)
    assert page.evaluate("navigator.clipboard.readText()").startswith("## What")


@pytest.mark.long
def test_a_download_stops_with_the_app_and_can_go_on(
    visit: Callable[..., Visitor], owned: Server, hub: FakeHub
) -> None:
    arrived = threading.Event()
    hub.hold = (LARGE, 20_000_000, arrived)
    page = open_system(visit, owned)
    row = page.locator('#system-checkpoints li[data-key="sigma-512"]')
    try:
        row.get_by_role("button", name=re.compile(f"^({words.DOWNLOAD}|{words.GO_ON})")).click()
        assert arrived.wait(60)
        page.goto("about:blank")
        owned.stop()
    finally:
        hub.hold = None
    wait_until(
        lambda: [chore.state for chore in Chores(owned.settings).all()] == [ChoreState.STOPPED], "it has stopped", 30
    )
    owned.start()
    page = open_system(visit, owned)
    expect(page.locator('#system-checkpoints li[data-key="sigma-512"]')).to_contain_text(
        words.CHORE_ENDS["stopped"], timeout=SLOW_MILLISECONDS
    )


def test_nothing_is_wider_than_the_screen(visit: Callable[..., Visitor], owned: Server) -> None:
    page = open_system(visit, owned)
    page.locator("#system-fits [data-fit]").first.wait_for(timeout=SLOW_MILLISECONDS)
    for width in (1920, 1280, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
