"""The page itself: first visit, wrong input, hostile text, other screens, restarts."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pixart_ui.jobs.job import JobState
from pixart_ui.ui import words
from tests.browser.parts import Server, Visitor, ask, choose, make, serving, set_steps, shown_job

SHIFTS_JS = Path(__file__).with_name("shifts.js")
ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"><svg onload=window.hacked=1>'


def api_values(server: Server) -> tuple[list[str], list[Any]]:
    """The inputs of Generate by name, and what an untouched form holds, as any program could send them."""
    config = json.loads(server.get("/config") or b"{}")
    parts = {part["id"]: part["props"] for part in config["components"]}
    inputs = next(entry["inputs"] for entry in config["dependencies"] if entry["api_name"] == "generate")
    names = [str(parts[number]["elem_id"]).removeprefix("field-") for number in inputs]
    return names, [parts[number].get("value") for number in inputs]


def api_generate(server: Server, **changes: Any) -> str:
    """The message that the API gives back."""
    names, values = api_values(server)
    data = [changes.get(name, value) for name, value in zip(names, values, strict=True)]
    request = urllib.request.Request(
        f"{server.url}/gradio_api/run/generate",
        json.dumps({"data": data}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.loads(answer.read())["data"][0])


def test_a_request_to_another_server_would_not_go_unnoticed(server: Server, browser: Browser) -> None:
    visitor = Visitor(browser.new_context())
    page = visitor.open(server)
    assert visitor.complaints == []
    page.evaluate("() => fetch('http://example.org/').catch(() => 0)")  # the page's policy
    page.goto("about:blank")
    page.set_content("<img src='http://example.org/x.png'>")  # no name is found
    page.wait_for_timeout(500)
    assert any("Content Security Policy" in text for text in visitor.complaints)
    assert any("ERR_NAME_NOT_RESOLVED" in text for text in visitor.complaints)
    visitor.context.close()


def test_the_first_visit(page: Page) -> None:
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    expect(page.get_by_role("heading", name=words.TITLE, exact=True)).to_be_visible()
    expect(page.get_by_label(words.CHECKPOINT)).to_have_value("PixArt-Tiny · 256")
    expect(page.locator("#engine")).to_contain_text("GiB free")
    expect(page.locator("#engine")).to_contain_text("CPU")
    fonts = page.evaluate("() => document.fonts.ready.then(() => [...document.fonts].map(f => f.status + f.family))")
    assert any("loaded" in font and "Inter" in font for font in fonts)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_page_is_shown_after_a_while_though_its_script_does_not_come_so_far(
    motion: str, server: Server, browser: Browser
) -> None:
    """The script shows it with the first answer of /live, which is held back here."""
    context = browser.new_context(reduced_motion=motion)
    page = context.new_page()
    page.route("**/live?*", lambda route: None)
    page.goto(server.url)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.wait_for(state="attached")
    expect(prompt).to_be_hidden()
    context.new_cdp_session(page).send("Animation.setPlaybackRate", {"playbackRate": 20})
    expect(prompt).to_be_visible()
    assert page.locator("[data-there]").count() == 0
    page.unroute_all(behavior="ignoreErrors")
    context.close()


@pytest.mark.long
def test_pictures_and_what_is_open_outlive_a_restart(tmp_path: Path, browser: Browser) -> None:
    """Not through `visit`: while the app is away, Chromium's console says so, and rightly."""
    with serving(tmp_path / "data") as fresh:
        page = Visitor(browser.new_context()).open(fresh)
        page.get_by_role("button", name=words.EXAMPLES_TINY[1]).click()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value(words.EXAMPLES_TINY[1])
        set_steps(page, 3)
        page.keyboard.press("Control+Enter")
        job_id = shown_job(page, JobState.DONE)
        expect(page.locator("#strip .tile")).to_have_count(1)
        page.get_by_label("Prompt", exact=True).fill("a moon")

        fresh.stop()
        expect(page.locator("#engine")).to_contain_text(words.CONNECTION_LOST)
        fresh.start()
        other = Visitor(browser.new_context()).open(fresh)
        expect(other.locator("#strip .tile")).to_have_count(1)
        other.locator("#strip .tile").click()
        assert shown_job(other, JobState.DONE) == job_id
        expect(other.locator("#stage img.final")).to_be_visible()
        other.context.close()

        expect(page.locator("#engine")).not_to_contain_text(words.CONNECTION_LOST, timeout=20_000)
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a moon")
        set_steps(page, 3)
        job_id = make(page, "a moon")
        assert shown_job(page, JobState.DONE) == job_id
        assert "Traceback" not in fresh.log()
        page.context.close()


WRONG = (
    ("", "", "The prompt is empty"),
    ("a\u0007bell", "", "control character U+0007"),
    ("x" * 1_000_000, "", "at most 10,000"),
    ("a star", "-1", "Seed '-1'"),
    ("a star", str(2**64), "Seed '18446744073709551616'"),
    ("a star", "seven", "Seed 'seven'"),
)


def test_wrong_input_gets_one_sentence_and_the_app_goes_on(page: Page, server: Server) -> None:
    before = len(server.jobs())
    message = page.get_by_role("alert")
    for prompt, seed, sentence in WRONG:
        page.get_by_label("Seed", exact=True).fill(seed)
        ask(page, prompt)
        expect(message).to_contain_text(sentence)
        field = page.get_by_label("Seed" if seed else "Prompt", exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("Prompt", exact=True)).to_have_value(prompt)
        assert len(server.jobs()) == before

    page.get_by_label("Seed", exact=True).fill("")
    set_steps(page, 2)
    make(page, "a star")
    expect(message).to_have_count(0)
    shown_job(page, JobState.DONE)
    assert len(server.jobs()) == before + 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "Steps 0"),
        ({"steps": 1000}, "Steps 1000"),
        ({"guidance_scale": -1}, "Guidance -1"),
        ({"guidance_scale": "NaN"}, "Guidance"),
        ({"precision": "fp64"}, "Precision"),
        ({"scheduler": "magic"}, "Scheduler"),
        ({"scheduler": "lcm"}, "Scheduler lcm does not work"),
        ({"width": "1x1"}, "Width 1"),
        ({"width": "4096x4096"}, "too large"),
        ({"checkpoint": "nowhere"}, "Unknown checkpoint"),
        ({"checkpoint": "sigma-1024"}, "models download sigma-1024"),
        ({"style": ATTACK}, "Unknown style"),
        ({"num_images": 65}, "Number of images 65"),
        ({"prompt": None}, "The prompt is empty"),
        ({"prompt": ["a", "list"]}, "Prompt"),
        ({"seed": {"a": 1}}, "Seed"),
    ],
)
def test_wrong_input_through_the_api_gets_the_same_sentence(
    server: Server, changes: dict[str, Any], sentence: str
) -> None:
    message = api_generate(server, **{"prompt": "a star"} | changes)
    assert sentence in message
    assert "message problem" in message
    assert "<img" not in message
    assert "Traceback" not in server.log()


def test_hostile_text_stays_text(page: Page, server: Server, visit: Callable[..., Visitor]) -> None:
    set_steps(page, 2)
    page.get_by_label(words.NEGATIVE_PROMPT, exact=True).fill(ATTACK)
    make(page, ATTACK)
    shown_job(page, JobState.DONE)
    expect(page.locator("#stage .said")).to_have_text(ATTACK)
    page.get_by_role("button", name=words.REUSE_SETTINGS).click()
    expect(page.locator("#message")).to_contain_text(words.REUSED_SETTINGS)
    other = visit().open(server)
    shown_job(other, JobState.DONE)
    for seen in (page, other):
        assert seen.evaluate("() => window.hacked") is None
        assert seen.locator("#stage img").count() == 1


def test_a_phone_shows_the_picture_first(server: Server, visit: Callable[..., Visitor]) -> None:
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).open(server)
    button = page.get_by_role("button", name="Generate")
    expect(button).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    make(page, "a yellow moon")
    expect(page.locator("#stage .frame")).to_be_in_viewport(ratio=0.9)
    expect(button).to_be_in_viewport()
    shown_job(page, JobState.DONE)
    expect(page.locator("#stage img.final")).to_be_in_viewport(ratio=0.9)


def test_light_and_dark_are_remembered(server: Server, visit: Callable[..., Visitor]) -> None:
    page = visit(color_scheme="light").open(server)
    page.get_by_role("button", name=words.THEME_SWITCH).click()
    expect(page.locator("body.dark")).to_have_count(1)
    page.reload()
    page.get_by_label("Prompt", exact=True).wait_for()
    expect(page.locator("body.dark")).to_have_count(1)


def test_a_typed_prompt_outlives_a_reload(page: Page) -> None:
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("half a sent")
    page.reload()
    expect(prompt).to_have_value("half a sent")


@pytest.mark.long
def test_eight_tabs_of_one_browser_all_live(server: Server, visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    pages = [visitor.open(server) for _ in range(8)]
    set_steps(pages[7], 3)
    job_id = make(pages[7], "a blue triangle")
    assert shown_job(pages[7], JobState.DONE) == job_id
    for page in pages:
        page.bring_to_front()
        page.locator(f"#stage [data-job='{job_id}']").first.wait_for(timeout=5000)


# Whatever jumps on a quick machine does so on a slow one, where less comes in time.
@pytest.mark.long
@pytest.mark.parametrize("slowdown", [1, 6])
def test_nothing_jumps_while_a_picture_is_made(server: Server, visit: Callable[..., Visitor], slowdown: int) -> None:
    """On a slow machine what follows a press comes late, and counts; so does the picture before, with its buttons."""
    server.wait_until_idle()
    page = visit().open(server)
    set_steps(page, 12)
    make(page, "a red boat at dawn")
    shown_job(page, JobState.DONE)
    page.locator("#stage img.final").wait_for()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    page.wait_for_timeout(700 * slowdown)  # what the Advanced section moved was asked for
    page.evaluate(SHIFTS_JS.read_text(encoding="utf-8"))
    make(page, "a red boat at dusk")
    shown_job(page, JobState.DONE)
    page.locator("#stage img.final").wait_for()
    page.wait_for_timeout(500 * slowdown)
    shifts = page.evaluate("() => window.shifts")
    told = "\n".join(f"{shift['value']:.4f}: {'; '.join(shift['moved'])}" for shift in shifts)
    assert sum(shift["value"] for shift in shifts) <= 0.03, told


def test_the_estimate_follows_the_form(page: Page) -> None:
    line = page.locator("#estimate .estimate .sum")
    expect(line).to_contain_text("of RAM")
    expect(line).to_contain_text("about ")
    square = line.inner_text()
    choose(page, "shape", "Wide")
    expect(line).not_to_have_text(square)
    choose(page, "shape", "Square")
    expect(line).to_have_text(square)

    reasons = page.locator("#estimate ul")
    expect(reasons).to_be_hidden()
    page.locator("#estimate summary").click()
    expect(reasons.locator("li")).to_have_count(3)
    page.get_by_label("Images", exact=True).fill("3")
    expect(line).to_contain_text("for 3 pictures")
    expect(reasons, "stays open when the figures change").to_be_visible()
    page.get_by_label("Images", exact=True).fill("0")
    expect(page.locator("#estimate")).to_contain_text("Number of images")


def test_a_picture_says_what_it_took(page: Page) -> None:
    set_steps(page, 2)
    make(page, "a yellow star")
    shown_job(page, JobState.DONE)
    account = page.locator("#stage .account")
    expect(account.locator("table")).to_be_hidden()
    account.locator("summary").click()
    expect(account.locator("tbody")).to_have_count(3)
    expect(account).to_contain_text("predicted")
    make(page, "a yellow star")
    shown_job(page, JobState.DONE)
    expect(page.locator("#stage .account")).to_contain_text(words.PROMPT_KNOWN)


def test_the_checkpoints_to_fetch_are_listed_with_their_command(page: Page) -> None:
    page.get_by_role("button", name=words.MORE_CHECKPOINTS).click()
    larger = page.locator("#larger")
    expect(larger).to_contain_text("python -m pixart_ui models download sigma-1024")
    expect(larger).to_contain_text("19 GB")
