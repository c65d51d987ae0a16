"""Browsers that watch: what they cost the server while nothing happens, and when each has seen a change."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from bench.standin import OWNER, resolved
from pixart_ui.services import Services

# As `page.js` asks: so long after each answer, while work goes on and while none does.
BUSY_SECONDS, QUIET_SECONDS = 0.4, 0.75
IN_TIME_SECONDS = 1.0
VIEWS = ({"tab": "single"}, {"tab": "queue", "state": "open", "page": "1"})
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]

NOTE = """() => {
    const tab = document.getElementById("tab-queue-button");
    const note = () => { window.seen[tab.dataset.count.replaceAll(",", "")] ??= Date.now() / 1000; };
    window.seen = {};
    new MutationObserver(note).observe(tab, { attributes: true, attributeFilter: ["data-count"] });
}"""
SEEN = "() => window.seen"


@dataclass(frozen=True)
class Crowd:
    """How many watch, `pages` of them in Chromium, and how much happens in how many seconds."""

    watchers: int = 50
    pages: int = 0
    changes: int = 50
    seconds: float = 20.0


@dataclass
class Watcher:
    """One browser: when, in seconds since 1970, it first showed how many waiting jobs."""

    query: dict[str, str]
    seen: dict[int, float] = field(default_factory=dict)
    mark: str = ""
    is_busy: bool = False

    async def watch(self, url: str, stop: asyncio.Event, delay: float) -> None:
        await asyncio.sleep(delay)
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while not stop.is_set():
                answer = await client.get("/live", params={**self.query, "mark": self.mark})
                if answer.status_code == 200:
                    told = answer.json()
                    self.mark, self.is_busy = told["mark"], told["is_busy"]
                    self.seen.setdefault(told["num_waiting"], time.time())
                await asyncio.sleep(BUSY_SECONDS if self.is_busy else QUIET_SECONDS)


class Watching:
    """Half of the watchers have Single open, half the Queue. The queue is paused: nothing happens by itself."""

    def __init__(self, url: str, process: psutil.Process, services: Services, crowd: Crowd) -> None:
        self._url = url
        self._process = process
        self._journal = services.journal
        self._request = resolved(services, 0)
        self._crowd = crowd
        self._watchers = [Watcher(VIEWS[number % 2]) for number in range(crowd.watchers)]

    async def run(self) -> dict[str, str]:
        stop, dice = asyncio.Event(), random.Random(1)
        tasks = [asyncio.create_task(each.watch(self._url, stop, dice.random())) for each in self._watchers]
        async with chromium_pages(self._url, self._crowd.pages) as pages:
            await asyncio.sleep(3)
            idle = await self._share_of_a_core(self._crowd.seconds)
            changes, busy = await asyncio.gather(self._change(dice), self._share_of_a_core(self._crowd.seconds))
            await asyncio.sleep(2 * IN_TIME_SECONDS)
            seen = [each.seen for each in self._watchers] + [await page.evaluate(SEEN) for page in pages]
        stop.set()
        await asyncio.gather(*tasks)
        late = [lateness(one, count, at) for one in seen for count, at in changes]
        return self._rows(idle, busy, late)

    def _rows(self, idle: float, busy: float, late: list[float]) -> dict[str, str]:
        crowd = self._crowd
        who = f"{crowd.watchers} browsers" + (f" and {crowd.pages} in Chromium" if crowd.pages else "")
        missed = sum(seconds > IN_TIME_SECONDS for seconds in late)
        return {
            f"{who}, nothing happens": f"{idle:6.1f} % of a core",
            f"{who}, {crowd.changes} changes in {crowd.seconds:g} s": f"{busy:6.1f} % of a core",
            f"{who}, a change is seen after": f"{statistics.median(late):6.2f} s, at the latest {max(late):.2f} s",
            f"{who}, not seen within {IN_TIME_SECONDS} s": f"{missed:6d} of {len(late)}",
        }

    async def _share_of_a_core(self, seconds: float) -> float:
        before, started = cpu_seconds(self._process), time.monotonic()
        await asyncio.sleep(seconds)
        return 100 * (cpu_seconds(self._process) - before) / (time.monotonic() - started)

    async def _change(self, dice: random.Random) -> list[tuple[int, float]]:
        """Add jobs at random moments; returns how many waited after each, and when."""
        waiting, changes, started = max(self._watchers[0].seen), [], time.monotonic()
        for moment in sorted(dice.uniform(0, self._crowd.seconds) for _ in range(self._crowd.changes)):
            await asyncio.sleep(max(0.0, started + moment - time.monotonic()))
            await asyncio.to_thread(self._journal.submit, [self._request], OWNER)
            changes.append((waiting + len(changes) + 1, time.time()))
        return changes


def lateness(seen: Mapping[int, float], count: int, changed_at: float) -> float:
    """Seconds from a change to showing it, or a later one; endless where neither ever came."""
    return min((at for number, at in seen.items() if int(number) >= count), default=math.inf) - changed_at


@asynccontextmanager
async def chromium_pages(url: str, number: int) -> AsyncIterator[list[Any]]:
    """Real pages, each in a browser context of its own, that note when the Queue's tab showed which number."""
    if number == 0:
        yield []
        return
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        pages = []
        for _ in range(number):
            page = await (await browser.new_context()).new_page()
            await page.goto(url)
            await page.locator("#tab-queue-button[data-count]").wait_for()
            await page.evaluate(NOTE)
            pages.append(page)
        yield pages
        await browser.close()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
