"""Hostile texts through every field into every view, in a real browser: none runs, and none becomes an element.

The content security policy would stop most of them. That it has to is a failure too: the browser then says so in its
console, and whatever it says there fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, product
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from pixart_ui.gallery import images
from pixart_ui.jobs.journal import Journal
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from tests.browser.parts import Server, Visitor, serving
from tests.security.hostile_texts import hostile_texts

TEXTS = hostile_texts()
# Of what is in the page nothing may carry a handler or an address of a text's.
FOUND = """() => {
    const isAddress = name => /^(src|href|action|data|srcdoc)$/.test(name);
    const isForeign = value => /^\\s*(https?:)?\\/\\/[^\\/]*evil\\.example|^\\s*java\\s*script:|^x$/i.test(value);
    const isHostile = ({name, value}) =>
        (name.startsWith('on') && /alert/.test(value)) || (isAddress(name) && isForeign(value));
    return [...document.querySelectorAll('*')].filter(part => [...part.attributes].some(isHostile))
        .map(part => part.outerHTML.slice(0, 200));
}"""
# Puts what the page would put, of several looks at once, and sees what came of it.
PUT = """async (queries) => {
    const answers = await Promise.all(queries.map(query => fetch('/live?' + query)));
    const lives = await Promise.all(answers.map(answer => answer.json()));
    const place = document.createElement('div');
    document.body.append(place);
    for (const html of lives.flatMap(live => Object.values(live.regions))) {
        const part = document.createElement('div');
        part.innerHTML = html;
        place.append(part);
    }
    await new Promise(done => setTimeout(done, 50));
    const found = (%s)();
    const size = place.textContent.length;
    place.remove();
    return [found, size];
}"""
AT_ONCE = 20
# What each is sent, with a text wherever it takes one.
ENDPOINTS: dict[str, Callable[[str], list[Any]]] = {
    "list": lambda text: [text, text, 1, 0],
    "status": lambda text: [[text]],
    "result": lambda text: [text],
    "cancel": lambda text: [[text]],
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app whose queue and gallery hold every text: waiting, done, failed; and comparisons by these names."""
    with serving(tmp_path_factory.mktemp("hostile") / "data") as server:
        fill(server)
        yield server


def fill(server: Server) -> None:
    services = Services.open(server.settings)
    journal: Journal = services.journal
    journal.pause()
    picture = Image.new("RGB", (64, 64), "gray")
    for number, text in enumerate(TEXTS):
        request = GenerationRequest(prompt=text, negative_prompt=TEXTS[-number], steps=2, seed=number)
        (resolved,) = services.resolve(request)
        first, second, _ = journal.submit([resolved] * 3, "local")
        journal.resume()
        claimed = journal.claim("hostile", lease_seconds=600, limit=2, only=[first.id, second.id])
        journal.pause()
        done, failed = claimed
        name = f"hostile-{number:04d}.png"
        images.save(picture, server.settings.images_dir / name, resolved, {"notes": [text]})
        journal.finish(done, image=name, facts={"notes": [text], "measurements": {}})
        journal.fail(failed, f"It failed over {text}")
    journal.close()


@pytest.fixture
def page(filled: Server, browser: Browser) -> Iterator[Page]:
    visitor = Visitor(browser.new_context(viewport={"width": 1280, "height": 900}))
    visitor.context.set_default_timeout(60_000)
    opened = visitor.open(filled)
    opened.on("dialog", lambda dialog: (visitor.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield opened
    visitor.context.close()
    assert visitor.complaints == []


def test_there_are_more_than_two_hundred() -> None:
    assert len(TEXTS) >= 200


def views(server: Server) -> Iterator[str]:
    """Every look into the app that shows what somebody wrote."""
    pages = -(-len(TEXTS) // 50)
    for state in ("open", "done", "failed", "all"):
        for number in range(1, pages + 1):
            yield f"tab=queue&state={state}&page={number}&folds=done,failed"
    for number in range(1, 8):
        yield f"tab=gallery&page={number}"
    for job in server.jobs():
        if job.state.is_end:
            yield f"tab=single&batch={job.batch}&job={job.id}"


@pytest.mark.timeout(400)
def test_no_view_runs_what_a_prompt_says(page: Page, filled: Server) -> None:
    assert put(page, list(views(filled))) > 100_000


def put(page: Page, queries: list[str]) -> int:
    """How much text there was."""
    seen = 0
    for start in range(0, len(queries), AT_ONCE):
        some = queries[start : start + AT_ONCE]
        found, size = page.evaluate(PUT % FOUND, some)
        assert found == [], some
        seen += size
    return seen


@pytest.mark.long
@pytest.mark.timeout(400)
def test_no_search_runs_what_it_looks_for(page: Page) -> None:
    looks = [{"tab": tab, "text": text, "state": "all"} for text in TEXTS for tab in ("queue", "gallery")]
    assert put(page, [urlencode(look) for look in looks]) > 100_000


def test_no_answer_runs_what_was_typed(filled: Server) -> None:
    """Each text into the fields of one of the endpoints: what comes back is JSON, which no browser takes for a page."""
    send(filled, zip(TEXTS, cycle(ENDPOINTS), strict=False))


@pytest.mark.long
@pytest.mark.timeout(400)
def test_no_answer_of_any_endpoint_runs_what_was_typed(filled: Server) -> None:
    send(filled, product(TEXTS, ENDPOINTS))


def send(server: Server, looks: Iterable[tuple[str, str]]) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for text, name in looks:
            answer = client.post(f"/gradio_api/run/{name}", json={"data": ENDPOINTS[name](text)})
            assert answer.headers["content-type"] == "application/json"
            assert answer.status_code in (200, 422)
            assert "Traceback" not in answer.text


def test_the_tabs_themselves_show_texts_as_they_are(page: Page, filled: Server) -> None:
    page.get_by_role("tab", name=re.compile("Queue")).click()
    page.locator("#queue-list .job").first.wait_for()
    assert page.evaluate(FOUND) == []
    page.get_by_role("tab", name=re.compile("Gallery")).click()
    page.wait_for_timeout(500)
    assert page.evaluate(FOUND) == []
    page.get_by_role("tab", name=re.compile("Single")).click()
    tiles = page.locator("#strip .tile")
    tiles.first.wait_for()
    for index in range(3):
        tiles.nth(index).click()
        page.wait_for_timeout(200)
        assert page.evaluate(FOUND) == []


@pytest.mark.timeout(300)
def test_the_form_takes_them_as_text(page: Page, filled: Server) -> None:
    prompt = page.get_by_label("Prompt", exact=True)
    for text in TEXTS[:: len(TEXTS) // 20]:
        prompt.fill(text)
        page.get_by_role("button", name="Add to queue").click()
        page.wait_for_timeout(60)
        assert page.evaluate(FOUND) == []
    assert any(job.request.prompt == TEXTS[0] for job in filled.jobs())
