"""The Queue tab, as people use it: several browsers, reloads in mid-run, killed processes, hostile text, keys alone.

One long story has an app of its own, which is killed. All else is told on one whose queue is paused, so that nothing
moves but what the test moves.
"""

from __future__ import annotations

import csv
import io
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.queue_live import PAGE_SIZE
from tests.browser.parts import Server, Visitor, serving, wait_for
from tests.browser.test_page import ATTACK

# Everybody sees a change within a second; a machine that does much else on the same cores gets more.
SOON = 10_000
ORDER = "rows => rows.map(row => Number(row.dataset.key))"
TABLE = """prompt,steps,seed,size
a red circle above a blue square at sunset,30,1,256x256
a yellow moon above a purple house at night,8,2,256x256
a green tree,4,3,256x256
a blue boat by the sea,4,4,256x256
a pink star,4,5,256x256
"""


@pytest.fixture
def services(calm: Server) -> Iterator[Services]:
    """The calm app's journal, paused and empty."""
    opened = Services.open(calm.settings)
    opened.journal.pause("a test looks at it")
    opened.journal.cancel_all()
    wait_for(lambda: not opened.journal.has_open(), "the queue to be empty", 30)
    opened.journal.clear_finished()
    yield opened
    opened.journal.close()


@pytest.fixture
def queue(calm: Server, services: Services, visit: Callable[..., Visitor]) -> Page:
    return open_queue(visit().open(calm))


def add(services: Services, *prompts: str) -> list[int]:
    requests = [GenerationRequest.parse({"prompt": prompt, "steps": 2, "seed": 1}) for prompt in prompts]
    return [job.id for job in services.enqueue(requests)]


def open_queue(page: Page) -> Page:
    page.get_by_role("tab", name=words.QUEUE).click()
    page.locator("#queue-list .live").wait_for()
    return page


def order(page: Page) -> list[int]:
    found: list[int] = page.eval_on_selector_all("#queue-list .job", ORDER)
    return found


def expect_order(page: Page, ids: Sequence[int], milliseconds: float = SOON) -> None:
    page.wait_for_function(
        "ids => [...document.querySelectorAll('#queue-list .job')].map(row => row.dataset.key).join() === ids",
        arg=",".join(map(str, ids)),
        timeout=milliseconds,
    )


def row(page: Page, job_id: int) -> Locator:
    return page.locator(f"#list .job[data-key='{job_id}']")


def box(page: Page, job_id: int) -> Locator:
    return row(page, job_id).get_by_role("checkbox")


def press(page: Page, label: str) -> None:
    page.get_by_role("toolbar").get_by_role("button", name=label, exact=True).click()


def selected(page: Page) -> list[int]:
    found: list[int] = page.eval_on_selector_all(
        "#list .job",
        "rows => rows.filter(row => row.querySelector('.pick').checked).map(row => Number(row.dataset.key))",
    )
    return found


def way(page: Page, name: str) -> None:
    page.locator("#way label").filter(has_text=words.WAYS[name]).click()


def filter_count(page: Page, state: str) -> Locator:
    return page.locator(f"#queue-filter [data-state={state}] .num")


# The long story ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_two_browsers_a_reload_and_two_killed_processes_lose_nothing(tmp_path: Path, browser: Browser) -> None:
    """Not through `visit`: while the app is away, Chromium's console says so, and rightly."""
    with serving(tmp_path / "data") as app:
        mine, theirs = (open_queue(Visitor(browser.new_context()).open(app)) for _ in range(2))
        ids = add_by_csv(mine, app)
        expect_order(theirs, ids)
        row(theirs, ids[0]).locator(".state", has_text="Denoise").wait_for(timeout=60_000)

        theirs.reload()
        expect_order(theirs, ids, 15_000)
        row(theirs, ids[0]).locator(".state", has_text="Denoise").wait_for()

        box(mine, ids[4]).check()
        press(mine, words.MOVE_FIRST)
        moved = [ids[0], ids[4], *ids[1:4]]
        expect_order(mine, moved)
        expect_order(theirs, moved)
        box(theirs, ids[3]).check()
        press(theirs, words.CANCEL)
        left = [ids[0], ids[4], ids[1], ids[2]]
        expect_order(mine, left)
        expect(filter_count(mine, "cancelled")).to_have_text("1")

        kill_both(app)
        for page in (mine, theirs):
            expect(page.locator("#engine")).to_contain_text(words.CONNECTION_LOST)
        assert in_order(app, JobState.QUEUED, JobState.RUNNING) == left
        app.start()
        for page in (mine, theirs):
            expect(page.locator("#engine")).not_to_contain_text(words.CONNECTION_LOST, timeout=30_000)
            expect_order(page, left, 30_000)

        for page in (mine, theirs):
            expect(filter_count(page, "done")).to_have_text("4", timeout=150_000)
            expect(filter_count(page, "cancelled")).to_have_text("1")
            expect(filter_count(page, "open")).to_have_text("0")
        check_pictures(app, left)
        assert "Traceback" not in app.log()
        for page in (mine, theirs):
            page.context.close()


def add_by_csv(page: Page, app: Server) -> list[int]:
    """Bring a table, look at what it would add, add it; the jobs' numbers."""
    way(page, "file")
    table = {"name": "mine.csv", "mimeType": "text/csv", "buffer": TABLE.encode()}
    page.locator("#field-file input[type=file]").set_input_files(table)
    expect(page.locator("#draft .sum")).to_contain_text("5 jobs")
    expect(page.locator("#draft tbody tr")).to_have_count(5)
    page.get_by_role("button", name="Add 5 jobs").click()
    expect(page.locator("#toast")).to_contain_text(words.JOBS_ADDED.format(count=5))
    return in_order(app, *JobState)


def in_order(app: Server, *states: JobState) -> list[int]:
    services = Services.open(app.settings)
    try:
        return [job.id for job in services.journal.page(states=states).jobs]
    finally:
        services.journal.close()


def kill_both(app: Server) -> None:
    """The page and its worker at once, in the middle of a picture."""
    worker = app.worker_pid()
    assert worker is not None
    assert app.process is not None
    os.kill(app.process.pid, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    app.process.wait(30)


def check_pictures(app: Server, ids: Sequence[int]) -> None:
    """Each job made its picture once, and there is no other."""
    done: dict[int, Job] = {job.id: job for job in app.jobs() if job.state is JobState.DONE}
    assert sorted(done) == sorted(ids)
    files = sorted(path.name for path in app.settings.images_dir.iterdir())
    assert files == sorted(str(job.image) for job in done.values())


# Everything else, with nothing moving ------------------------------------------------------------------------------


def test_selection_focus_and_scrolling_survive_what_others_do(queue: Page, services: Services) -> None:
    ids = add(services, *(f"number {index}" for index in range(30)))
    expect_order(queue, ids)
    box(queue, ids[20]).check()
    box(queue, ids[22]).click(modifiers=["Shift"])
    assert selected(queue) == ids[20:23]
    place = queue.evaluate("() => window.scrollY")
    services.journal.cancel([ids[21]])
    services.journal.duplicate([ids[0]], "local")
    expect(row(queue, ids[21])).to_have_count(0)
    assert selected(queue) == [ids[20], ids[22]]
    expect(queue.get_by_role("toolbar")).to_contain_text("2 selected")
    expect(box(queue, ids[22])).to_be_focused()
    assert queue.evaluate("() => window.scrollY") == place


def test_everything_can_be_done_with_keys(queue: Page, services: Services) -> None:
    ids = add(services, "one", "two", "three", "four")
    expect_order(queue, ids)
    box(queue, ids[0]).focus()
    queue.keyboard.press("ArrowDown")
    queue.keyboard.press("ArrowDown")
    expect(box(queue, ids[2])).to_be_focused()
    queue.keyboard.press("Space")
    queue.keyboard.press("Alt+ArrowUp")
    expect_order(queue, [ids[0], ids[2], ids[1], ids[3]])
    expect(box(queue, ids[2])).to_be_focused()
    queue.keyboard.press("Shift+ArrowDown")
    assert selected(queue) == [ids[2], ids[1]]
    queue.keyboard.press("Delete")
    expect_order(queue, [ids[0], ids[3]])
    assert queue.evaluate("() => document.activeElement.matches('.pick')"), "the focus stays in the list"
    queue.locator("#toast").get_by_role("button", name=words.UNDO).press("Enter")
    expect_order(queue, [ids[0], ids[2], ids[1], ids[3]])
    box(queue, ids[0]).focus()
    queue.keyboard.press("Control+a")
    assert len(selected(queue)) == 4
    queue.keyboard.press("Escape")
    queue.keyboard.press("Escape")
    assert selected(queue) == []
    queue.keyboard.press("Enter")
    expect(queue.get_by_role("tab", name=words.SINGLE)).to_have_attribute("aria-selected", "true")
    expect(queue.locator("#stage .said")).to_have_text("one")


def test_actions_appear_on_the_selection_and_only_those_that_make_sense(queue: Page, services: Services) -> None:
    first, second = add(services, "one", "two")
    services.journal.cancel([second])
    expect_order(queue, [first])
    bar = queue.get_by_role("toolbar", name=words.SELECTION)
    expect(bar).to_be_hidden()
    queue.locator("#queue-filter [data-state=all]").click()
    expect_order(queue, [first, second])
    box(queue, second).check()
    assert visible(bar) == {words.OPEN_JOB, words.RETRY, words.DUPLICATE, words.CLEAR_SELECTION}
    box(queue, first).check()
    assert words.CANCEL in visible(bar)
    assert words.EDIT not in visible(bar), "that is for one"
    press(queue, words.RETRY)
    expect(queue.locator("#toast")).to_contain_text(words.JOB_RETRIED)
    assert services.journal.job(second).state is JobState.QUEUED


def visible(bar: Locator) -> set[str]:
    return {button.inner_text() for button in bar.get_by_role("button").all() if button.is_visible()}


def test_a_job_is_changed_in_the_form_which_comes_back(queue: Page, services: Services) -> None:
    (job_id,) = add(services, "a red house")
    queue.get_by_role("tab", name=words.SINGLE).click()
    prompt = queue.get_by_label("Prompt", exact=True)
    prompt.fill("half a sent")
    open_queue(queue)
    box(queue, job_id).check()
    press(queue, words.EDIT)
    expect(prompt).to_have_value("a red house")
    expect(queue.get_by_role("button", name="Generate")).to_be_hidden()
    prompt.fill("a blue house")
    queue.keyboard.press("Control+Enter")
    expect(row(queue, job_id).locator(".asked")).to_have_text("a blue house")
    assert services.journal.job(job_id).request.prompt == "a blue house"
    queue.get_by_role("tab", name=words.SINGLE).click()
    expect(prompt).to_have_value("half a sent")
    expect(queue.get_by_role("button", name="Generate")).to_be_visible()


def test_lines_are_expanded_while_they_are_written(queue: Page, services: Services) -> None:
    way(queue, "lines")
    lines = queue.get_by_label(words.LINES)
    lines.fill("a {red|blue} house\na {green tree")
    expect(queue.locator("#draft")).to_contain_text("Row 2")
    expect(queue.locator("#add")).to_be_disabled()
    lines.fill("a {red|blue} house\na green tree")
    expect(queue.locator("#draft .asked")).to_have_text(["a red house", "a blue house", "a green tree"])
    lines.press("Control+Enter")
    expect(queue.locator("#queue-list .asked")).to_have_text(["a red house", "a blue house", "a green tree"])
    expect(lines).to_have_value("")
    queue.locator("#toast").get_by_role("button", name=words.UNDO).click()
    expect(queue.locator("#queue-list .job")).to_have_count(0)
    assert services.journal.counts()[JobState.CANCELLED] == 3


def test_a_shipped_queue_is_looked_at_and_a_sweep_is_counted_before(queue: Page) -> None:
    way(queue, "file")
    queue.get_by_role("button", name=words.example_name("tiny.json"), exact=True).click()
    expect(queue.locator("#draft .sum")).to_contain_text("JSON")
    queue.get_by_role("tab", name=words.SINGLE).click()
    queue.get_by_label("Prompt", exact=True).fill("a star")
    open_queue(queue)
    way(queue, "form")
    queue.get_by_label(words.VARY_LABEL, exact=True).click()
    queue.get_by_role("option", name=words.VARY["steps"], exact=True).click()
    expect(queue.get_by_role("button", name="Add 3 jobs")).to_be_enabled()
    queue.get_by_label(words.VALUES).fill("5, 7")
    expect(queue.get_by_role("button", name="Add 2 jobs")).to_be_enabled()


def test_wrong_files_are_sentences_and_nothing_is_added(queue: Page, services: Services, tmp_path: Path) -> None:
    way(queue, "file")
    file = tmp_path / "mine.csv"
    for content, sentence in (
        (b"colour,steps\nred,5\n", "prompt"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "mine.csv"),
        (b"prompt,steps\na tree,0\n", "Row 2: Steps"),
    ):
        file.write_bytes(content)
        queue.locator("#field-file input[type=file]").set_input_files(file)
        expect(queue.locator("#draft [role=alert]")).to_contain_text(sentence, timeout=15_000)
        expect(queue.locator("#add")).to_be_disabled()
        queue.locator("#field-file").get_by_role("button", name="Clear").click()
        expect(queue.locator("#draft [role=alert]")).to_have_count(0)
    assert sum(services.journal.counts().values()) == 0


def test_hundreds_of_jobs_come_in_pages_and_can_be_searched(queue: Page, services: Services) -> None:
    ids = add(services, *(f"number {index}" for index in range(2 * PAGE_SIZE + 5)))
    expect_order(queue, ids[:PAGE_SIZE])
    expect(queue.locator("#tab-queue-button")).to_have_attribute("data-count", str(len(ids)))
    queue.get_by_role("button", name=words.LAST_PAGE, exact=True).last.click()
    expect_order(queue, ids[2 * PAGE_SIZE :])
    queue.reload()
    expect_order(queue, ids[2 * PAGE_SIZE :], 15_000)
    search = queue.get_by_label(words.SEARCH)
    search.fill("NUMBER 77")
    expect_order(queue, [ids[77]])
    expect(search).to_be_focused()
    search.fill("nowhere")
    expect(queue.locator("#queue-list")).to_contain_text(words.NOTHING_FOUND.format(text="nowhere"))
    search.fill("")
    expect_order(queue, ids[:PAGE_SIZE])
    queue.get_by_label(words.SELECT_ALL).check()
    expect(queue.get_by_role("toolbar")).to_contain_text(f"{PAGE_SIZE} selected")
    press(queue, words.SELECT_WHOLE)
    expect(queue.get_by_role("toolbar")).to_contain_text(f"{len(ids)} selected")
    press(queue, words.CANCEL)
    expect(queue.locator("#toast")).to_contain_text(words.JOBS_CANCELLED.format(count=len(ids)))
    expect(queue.locator("#queue-list .job")).to_have_count(0)


def test_what_is_listed_can_be_taken_away_and_brought_back(queue: Page, services: Services, tmp_path: Path) -> None:
    ids = add(services, "a red house", "a green tree", "a red boat")
    queue.get_by_label(words.SEARCH).fill("red")
    expect_order(queue, [ids[0], ids[2]])
    queue.locator("#queue-export summary").click()
    with queue.expect_download() as download:
        queue.get_by_role("link", name=words.EXPORTS["/export/queue.csv"]).click()
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    assert re.fullmatch(r"pixart-queue-\d{8}-\d{6}\.csv", target.name)
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert [line["prompt"] for line in rows] == ["a red house", "a red boat"]
    queue.get_by_label(words.SEARCH).fill("")
    way(queue, "file")
    queue.locator("#field-file input[type=file]").set_input_files(target)
    queue.get_by_role("button", name="Add 2 jobs").click()
    expect(queue.locator("#queue-list .job")).to_have_count(5)


def test_hostile_text_stays_text(queue: Page, services: Services) -> None:
    ids = add(services, ATTACK, f"failed {ATTACK}")
    failed = services.journal.cancel([ids[1]])
    services.journal.pause(ATTACK)
    expect(row(queue, ids[0]).locator(".asked")).to_have_text(ATTACK)
    expect(queue.locator("#paused")).to_contain_text(ATTACK)
    queue.locator("#queue-filter [data-state=all]").click()
    expect(row(queue, failed[0])).to_have_count(1)
    queue.get_by_label(words.SEARCH).fill(ATTACK)
    expect(queue.locator("#queue-list .job")).to_have_count(2)
    way(queue, "lines")
    queue.get_by_label(words.LINES).fill(f"{ATTACK}\n{{{ATTACK}")
    expect(queue.locator("#draft")).to_contain_text("Row 2")
    queue.get_by_label(words.LINES).fill(ATTACK.replace("|", ""))
    expect(queue.locator("#draft .asked")).to_have_text(ATTACK)
    assert queue.evaluate("() => window.hacked") is None
    assert queue.locator("#list img, #draft img, #list script, #list svg, #draft svg").count() == 0


def test_single_says_that_it_is_paused_adds_to_the_end_and_can_go_on(
    queue: Page, services: Services, visit: Callable[..., Visitor], calm: Server
) -> None:
    other = visit().open(calm)
    expect(other.locator("#paused")).to_contain_text("a test looks at it")
    other.get_by_label("Prompt", exact=True).fill("a red star")
    other.keyboard.press("Control+Shift+Enter")
    expect(other.locator("#message")).to_contain_text(words.JOB_ADDED)
    expect(queue.locator("#queue-list .asked")).to_have_text(["a red star"], timeout=SOON)
    services.journal.cancel_all()
    other.locator("#paused").get_by_role("button", name=words.RESUME).click()
    expect(queue.locator("#paused")).to_be_hidden(timeout=SOON)
    queue.get_by_role("button", name=words.PAUSE, exact=True).click()
    expect(other.locator("#paused")).to_contain_text("somebody paused it", timeout=SOON)


def test_cancelling_everything_can_be_taken_back(queue: Page, services: Services) -> None:
    ids = add(services, "one", "two")
    expect_order(queue, ids)
    queue.get_by_role("button", name=words.CANCEL_ALL).click()
    expect(queue.locator("#queue-list .job")).to_have_count(0)
    queue.locator("#toast").get_by_role("button", name=words.UNDO).click()
    expect_order(queue, ids)


def test_what_is_done_is_folded_below_and_clearing_asks_once(queue: Page, services: Services) -> None:
    (job_id,) = add(services, "a red star")
    services.journal.resume()
    fold = queue.locator("details.fold[data-fold=done]")
    expect(fold.locator("summary")).to_contain_text("1", timeout=60_000)
    expect(row(queue, job_id)).to_have_count(0)
    fold.locator("summary").click()
    expect(row(queue, job_id).locator(".state")).to_contain_text("Done in")
    expect(row(queue, job_id).locator(".thumb img")).to_be_visible()
    clear = queue.get_by_role("button", name=words.CLEAR)
    dialog = queue.get_by_role("dialog")
    clear.click()
    expect(dialog).to_contain_text("pictures stay in the Gallery")
    dialog.get_by_role("button", name=words.SCRIPT_WORDS["no"]).click()
    expect(row(queue, job_id)).to_have_count(1)
    clear.click()
    dialog.get_by_role("button", name=words.SCRIPT_WORDS["yes"]).click()
    expect(row(queue, job_id)).to_have_count(0)
    assert list(services.settings.images_dir.glob(f"*-{job_id:06d}-*.png"))


def test_nothing_jumps_while_a_picture_is_made(queue: Page, services: Services) -> None:
    ids = [job.id for job in services.enqueue([GenerationRequest(prompt="a boat", steps=150)] * 3)]
    expect_order(queue, ids)
    services.journal.resume()
    row(queue, ids[0]).locator(".state", has_text="Denoise").wait_for(timeout=60_000)
    queue.evaluate(
        """() => { window.shift = 0; new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({ type: "layout-shift", buffered: false }); }"""
    )
    row(queue, ids[0]).locator(".state", has_text=re.compile(r"Denoise (1[2-9]|[2-9]\d)/150")).wait_for(timeout=60_000)
    assert queue.evaluate("() => window.shift") <= 0.0001


def test_a_phone_has_the_list_first_and_the_ways_in_behind_a_button(
    services: Services, calm: Server, visit: Callable[..., Visitor]
) -> None:
    (job_id,) = add(services, "a rather long prompt about a red circle above a blue square at sunset")
    page = open_queue(visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).open(calm))
    expect(row(page, job_id)).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    expect(page.locator("#way")).to_be_hidden()
    page.get_by_role("button", name=words.ADD_JOBS).click()
    expect(page.locator("#way")).to_be_visible()
    box(page, job_id).check()
    expect(page.get_by_role("toolbar")).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
