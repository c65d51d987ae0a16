"""What tests of several folders share."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from xdist.scheduler import LoadScopeScheduling

from tests.browser.parts import CHROMIUM_FLAGS, Server, serving

# What takes minutes begins first, so that no process is left alone with it at the end.
SLOW = ("browser", "security", "compare", "faults", "spaces", "cluster", "tiny", "engine", "bench", "cli")
# Their tests share apps, which take their time to start: one process runs all of them.
TOGETHER = ("browser", "security")


class ByApp(LoadScopeScheduling):
    """A file's tests run in one process, as with `--dist loadfile`; so do all of a folder that shares its apps."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = Path(file).parent.name
        return folder if folder in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    return ByApp(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_sessionstart() -> None:
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return SLOW.index(folder) if folder in SLOW else len(SLOW)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look through it, neither meanwhile nor ever again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all: Playwright runs only once in a process."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One app as it starts without flags, for all tests that leave it as they found it."""
    with serving(tmp_path_factory.mktemp("served") / "data") as running:
        yield running
