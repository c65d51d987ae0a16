"""A browser for each visitor, and an app on which nothing moves but what a test moves.

A browser that one visitor has left is given to the next: it has kept the page's scripts, as a person's has, and nothing
else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.parts import Server, Visitor, serving

SETTINGS = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", "locale": "en-GB"}
Left = defaultdict[str, list[BrowserContext]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app whose queue its tests pause, so that what was started stays as it is."""
    with serving(tmp_path_factory.mktemp("calm") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def left(browser: Browser) -> Left:
    """Browsers that nobody uses now, by their settings."""
    return defaultdict(list)


@pytest.fixture
def visit(browser: Browser, left: Left) -> Iterator[Callable[..., Visitor]]:
    """Open further browsers: `visit(viewport=…)`; each has its own storage, empty at first."""
    visitors: list[tuple[str, Visitor]] = []

    def open_one(**options: object) -> Visitor:
        settings = SETTINGS | options
        free = left[str(settings)]
        context = free.pop() if free else browser.new_context(**settings)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        visitor = Visitor(context)
        visitors.append((str(settings), visitor))
        return visitor

    yield open_one
    for settings, visitor in visitors:
        visitor.leave()
        left[settings].append(visitor.context)
    assert [text for _, visitor in visitors for text in visitor.complaints] == []


@pytest.fixture
def page(visit: Callable[..., Visitor], server: Server) -> Page:
    server.wait_until_idle()
    return visit().open(server)
