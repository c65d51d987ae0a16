"""Takes the README's pictures from the real app: light and dark, a desk and a phone. `make screenshots`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from pixart_ui.gallery.picture import PictureFilter
from pixart_ui.jobs.job import JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui import words
from tests.browser.parts import CHROMIUM_FLAGS, Server, Visitor, make, serving, shown_job

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
PROMPT = "a red circle above a blue square at sunset"
OTHERS = (
    "a green tree to the left of a small red house in the snow",
    "a blue boat by the sea at dawn, watercolour",
    "a pink heart to the right of a yellow star, neon",
    "an orange sun above a purple mountain, pixel art",
    "a yellow moon above a purple house at night",
)
# What a gallery holds after a while.
EARLIER = (
    "a blue house to the right of a green tree at dawn",
    "a purple star above a blue mountain in the rain, neon",
    "a red boat by the sea at sunset",
    "a yellow sun above a green tree, watercolour",
    "an orange moon above a blue mountain in the snow",
    "a pink house to the left of a yellow tree, pixel art",
    "an orange star above a purple boat by the sea at night",
    "a green heart to the left of a red heart, sketch",
    "a blue house on a hill in the rain",
    "a red tree to the right of a yellow house at sunset, watercolour",
    "a yellow star above a red house in the snow",
    "a purple mountain under an orange moon, neon",
)
LINES = "a {red|blue} circle above a green square __tiny-time__\na yellow moon above a purple house"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# The answer, the advice and the pictures of a comparison.
TALL = {"width": 1280, "height": 1160}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the PNGs (default: docs/images)")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        take_all(browser, server, out)
        browser.close()


def take_all(browser: Browser, server: Server, out: Path) -> None:
    with_page(browser, server, DESK, "light", out / "single-empty-light-1280.png")
    draw_earlier(server)
    first = open_page(browser, server, DESK, "light")
    for number, prompt in enumerate(OTHERS):
        first.get_by_label("Seed", exact=True).fill(str(number + 1))
        make(first, prompt)
        shown_job(first, JobState.DONE)
    first.context.close()
    for size, name in ((DESK, "1280"), (PHONE, "390")):
        for scheme in ("light", "dark"):
            with_page(browser, server, size, scheme, out / f"single-{scheme}-{name}.png", prompt=PROMPT)
    leave_one(server)
    for tab in ("gallery", "system"):
        for scheme in ("light", "dark"):
            with_tab(browser, server, scheme, tab, out / f"{tab}-{scheme}-1280.png")
    compare(browser, server)
    for scheme in ("light", "dark"):
        with_tab(browser, server, scheme, "compare", out / f"compare-{scheme}-1280.png", size=TALL)
    add_jobs(server)
    for size, name in ((DESK, "1280"), (PHONE, "390")):
        for scheme in ("light", "dark"):
            with_queue(browser, server, size, scheme, out / f"queue-{scheme}-{name}.png")


def draw_earlier(server: Server) -> None:
    services = Services.open(server.settings)
    asked = [GenerationRequest.parse({"prompt": prompt, "seed": seed}) for seed, prompt in enumerate(EARLIER, start=20)]
    jobs = services.enqueue(asked)
    deadline = time.monotonic() + 600
    while services.journal.has_open([job.id for job in jobs]) and time.monotonic() < deadline:
        time.sleep(0.5)
    services.journal.close()


def leave_one(server: Server) -> None:
    """The same picture was drawn for each screen and scheme: the Gallery need not show it so often."""
    services = Services.open(server.settings)
    services.gallery.refresh()
    _, *others = services.journal.picture_ids(PictureFilter(text=PROMPT))
    services.gallery.delete(others)
    services.gallery.purge(others)
    services.journal.close()


def add_jobs(server: Server) -> None:
    """A queue that takes a few minutes, of two groups."""
    services = Services.open(server.settings)
    settings = ({"precision": "fp16", "steps": 60}, {"precision": "int8", "steps": 40})
    prompts = [(prompt, changes) for changes in settings for prompt in (*OTHERS, PROMPT)]
    services.enqueue(
        [
            GenerationRequest.parse({"prompt": prompt, "seed": number, **changes})
            for number, (prompt, changes) in enumerate(prompts, start=1)
        ]
    )
    services.journal.close()


def with_queue(browser: Browser, server: Server, size: dict[str, int], scheme: str, target: Path) -> None:
    """The list in the middle of a picture, beside lines that are about to be added."""
    page = open_page(browser, server, size, scheme)
    page.get_by_role("tab", name=words.QUEUE).click()
    if size == DESK:
        page.locator("#way label").filter(has_text=words.WAYS["lines"]).click()
        page.get_by_label(words.LINES).fill(LINES)
        page.locator("#draft .sum").wait_for()
        page.get_by_label(words.LINES).blur()
    page.locator("#queue-list img.preview").wait_for(timeout=60_000)
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    page.screenshot(path=target, animations="disabled")
    page.context.close()


def compare(browser: Browser, server: Server) -> None:
    """What each precision costs, as the Compare tab offers it."""
    page = open_page(browser, server, DESK, "light")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.locator("#tab-compare-button").click()
    page.locator("#compare-start:not(:disabled)").wait_for()
    page.locator("#compare-start").click()
    page.locator(".told .progress").filter(has_text=words.COMPARE_COMPLETE.format(total=6)).wait_for(timeout=600_000)
    page.context.close()


def with_tab(
    browser: Browser, server: Server, scheme: str, tab: str, target: Path, size: dict[str, int] = DESK
) -> None:
    """A tab that shows what is there, once its regions and pictures are."""
    page = open_page(browser, server, size, scheme)
    page.locator(f"#tab-{tab}-button").click()
    page.locator(f"#tab-{tab} .live").first.wait_for()
    page.wait_for_load_state("load")
    page.wait_for_timeout(4000)  # what is counted aside: thumbnails, what fits, the disk
    page.screenshot(path=target, animations="disabled")
    page.context.close()


def with_page(
    browser: Browser, server: Server, size: dict[str, int], scheme: str, target: Path, prompt: str = ""
) -> None:
    page = open_page(browser, server, size, scheme)
    if prompt:
        page.get_by_label("Seed", exact=True).fill("7")
        make(page, prompt)
        shown_job(page, JobState.DONE)
        page.locator("#stage img.final").wait_for()
    page.locator("#estimate .sum").wait_for()  # known once the engine has started
    page.get_by_label("Prompt", exact=True).blur()
    page.mouse.move(0, 0)  # away from the button, which looks pressed under it
    page.wait_for_timeout(500)
    page.screenshot(path=target, animations="disabled")
    page.context.close()


def open_page(browser: Browser, server: Server, size: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    return Visitor(context).open(server)


if __name__ == "__main__":
    main()
