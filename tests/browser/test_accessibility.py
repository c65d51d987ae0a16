"""axe-core on every tab, in light and dark, on a desk and a phone: no violation. Gradio's own parts pass as well, with
what the page's script completes in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from pixart_ui.jobs.job import JobState
from pixart_ui.ui.words import single as words
from tests.browser.parts import Server, Visitor, ask, make, set_steps, shown_job, wait_for_news

AXE = Path(__file__).with_name("axe") / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def drawn(server: Server, browser: Any) -> Server:
    """A picture is there, so that no tab is empty."""
    page = Visitor(browser.new_context()).open(server)
    set_steps(page, 2)
    make(page, "a red circle")
    shown_job(page, JobState.DONE)
    page.context.close()
    return server


def violations(page: Page) -> list[str]:
    """What axe complains about, with the element and what to do."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # not as an element: the page takes no foreign script
    found = page.evaluate("(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })", TAGS)
    return [
        f"{rule['id']}: {node['html'][:300]} | {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def tabs(page: Page) -> list[str]:
    return page.eval_on_selector_all("#tabs [role=tab]", "tabs => tabs.map(tab => tab.dataset.tabId)")


# Colours are a scheme's and places a width's: two of the four have both of each.
@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1280),
        ("dark", 390),
        pytest.param("light", 390, marks=pytest.mark.long),
        pytest.param("dark", 1280, marks=pytest.mark.long),
    ],
)
def test_no_tab_has_a_violation(drawn: Server, visit: Callable[..., Visitor], scheme: str, width: int) -> None:
    page = visit(color_scheme=scheme, viewport={"width": width, "height": 900}).open(drawn)
    names = tabs(page)
    assert len(names) >= 3
    found = {}
    for name in names:
        page.evaluate("name => document.getElementById(`tab-${name}-button`).click()", name)
        page.wait_for_function("name => document.querySelector(`#tab-${name}`)?.checkVisibility()", arg=name)
        wait_for_news(page)
        found[name] = violations(page)
    assert found == {name: [] for name in names}


def test_the_check_finds_what_is_wrong(page: Page) -> None:
    page.evaluate(
        "() => document.querySelector('#stage').insertAdjacentHTML('beforeend', '<img src=\"/look/favicon.svg\">')"
    )
    assert any(found.startswith("image-alt") for found in violations(page))


def test_what_opens_over_the_page_has_no_violation(page: Page) -> None:
    page.get_by_role("button", name=words.KEYS).click()
    page.get_by_role("dialog", name=words.KEYS).wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_label("Seed", exact=True).fill("-1")
    ask(page, "a star")
    page.locator(".beside-field").wait_for()
    assert violations(page) == []
