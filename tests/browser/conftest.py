"""One app for all tests of a process, and a browser for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.parts import Server, Visitor, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served") / "data") as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Open further browsers: `visit(viewport=…)`; each has its own storage."""
    visitors: list[Visitor] = []

    def open_one(**options: object) -> Visitor:
        settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", "locale": "en-GB"}
        visitor = Visitor(browser.new_context(**settings | options))  # type: ignore[arg-type]
        visitor.context.set_default_timeout(20_000)
        visitor.context.route("**/*", visitor.guard)
        visitors.append(visitor)
        return visitor

    yield open_one
    for visitor in visitors:
        visitor.context.close()
    assert [text for visitor in visitors for text in visitor.complaints] == []


@pytest.fixture
def page(visit: Callable[..., Visitor], server: Server) -> Page:
    server.wait_until_idle()
    return visit().open(server)
