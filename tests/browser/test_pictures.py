"""From the prompt to the picture, as a person does it."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from pixart_ui.gallery import images
from pixart_ui.jobs.job import JobState
from pixart_ui.request import Precision
from pixart_ui.ui import words
from tests.browser.parts import Server, Visitor, choose, make, set_steps, shown_job

CAPTION = "a red circle above a blue square at sunset"
# A page asks for news every 0.4 to 0.75 seconds; on a machine that does much else, seldom.
SOON_SECONDS = 10


def downloaded(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("link", name=words.DOWNLOAD).click()
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    return target


def test_a_prompt_becomes_a_picture_that_follows_it(page: Page, server: Server, tmp_path: Path) -> None:
    from pixart_ui.tiny.checker import check

    for seed in (1, 2, 3):
        page.get_by_label("Seed", exact=True).fill(str(seed))
        job_id = make(page, CAPTION)
        assert shown_job(page, JobState.DONE) == job_id
        # The preview stays in its place until the picture has come.
        source = page.locator("#stage img.final[src^='/pictures/']").get_attribute("src")
        assert source is not None
        with Image.open(io.BytesIO(server.get(source) or b"")) as picture:
            verdict = check(picture.convert("RGB"), CAPTION)
        if verdict.relations_right == verdict.relations_total == 1 and verdict.colours_right == verdict.colours_total:
            return
    pytest.fail(f"no red above blue in three pictures; the last: {verdict}")


def test_the_download_is_the_file_itself(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = make(page, "a green tree")
    assert shown_job(page, JobState.DONE) == job_id
    file = downloaded(page, tmp_path)
    job = server.wait_until(job_id, lambda job: job.state is JobState.DONE)
    assert file.name == job.image
    assert file.read_bytes() == (server.settings.images_dir / file.name).read_bytes()
    assert images.read_request(file) == job.request


def test_every_precision_makes_its_picture(page: Page, tmp_path: Path) -> None:
    set_steps(page, 4)
    for precision in Precision:
        choose(page, "precision", words.PRECISION_LABELS[precision])
        job_id = make(page, "a yellow star at night")
        page.locator("#stage .details", has_text=str(precision)).wait_for()
        assert shown_job(page, JobState.DONE) == job_id
        assert images.read_request(downloaded(page, tmp_path)).precision is precision


def test_progress_shows_phases_steps_and_a_preview(page: Page) -> None:
    set_steps(page, 40)
    make(page, "a blue boat by the sea")
    expect(page.locator("#stage .details")).to_contain_text("40 steps")
    now = page.locator("#stage .phases li[data-is=now]")
    expect(now).to_contain_text(words.PHASES["denoise"], timeout=30_000)
    expect(now).to_contain_text("/40")
    page.locator("#stage img.preview").wait_for(timeout=30_000)
    assert "/40" in page.title()
    shown_job(page, JobState.DONE)


# In the queue's long story both processes are killed, and in `tests/faults` a worker with three pictures.
@pytest.mark.long
def test_a_killed_worker_loses_no_picture(page: Page, server: Server) -> None:
    pid = server.wait_for_worker()
    set_steps(page, 60)
    job_id = make(page, "a purple house in the snow")
    assert shown_job(page, JobState.RUNNING) == job_id
    server.wait_until(job_id, lambda job: job.step >= 3)
    os.kill(pid, signal.SIGKILL)
    assert shown_job(page, JobState.DONE, 120) == job_id
    assert server.wait_for_worker(other_than=pid) != pid
    page.locator("#stage img.final").wait_for()


def test_a_reload_in_the_middle_goes_on_with_the_job(page: Page) -> None:
    set_steps(page, 50)
    job_id = make(page, "a pink heart")
    assert shown_job(page, JobState.RUNNING) == job_id
    page.reload()
    assert shown_job(page, JobState.RUNNING) == job_id
    assert shown_job(page, JobState.DONE) == job_id


def test_a_second_browser_sees_the_same(page: Page, server: Server, visit: Callable[..., Visitor]) -> None:
    other = visit().open(server)
    set_steps(page, 40)
    job_id = make(page, "an orange sun above a mountain")
    assert shown_job(page, JobState.RUNNING) == job_id
    assert shown_job(other, JobState.RUNNING, SOON_SECONDS) == job_id
    assert shown_job(page, JobState.DONE) == job_id
    assert shown_job(other, JobState.DONE, SOON_SECONDS) == job_id


def test_several_images_come_one_by_one(page: Page) -> None:
    page.get_by_label("Images", exact=True).fill("3")
    make(page, "a red star")
    tiles = page.locator("#stage .tiles.batch .tile")
    expect(tiles).to_have_count(3)
    expect(tiles.locator("img:not(.preview)")).to_have_count(1, timeout=60_000)
    expect(tiles.locator("img:not(.preview)")).to_have_count(3, timeout=60_000)
    tiles.nth(0).click()
    expect(tiles.nth(0)).to_have_attribute("aria-current", "true")


def test_cancel(page: Page, server: Server) -> None:
    set_steps(page, 60)
    job_id = make(page, "a moon above a boat")
    assert shown_job(page, JobState.RUNNING) == job_id
    page.get_by_role("button", name=words.CANCEL).click()
    assert shown_job(page, JobState.CANCELLED, 30) == job_id
    expect(page.locator("#stage")).to_contain_text(words.CANCELLED)
    assert server.wait_until(job_id, lambda job: job.state.is_end).state is JobState.CANCELLED


def test_reuse_brings_back_settings_and_seed(page: Page, server: Server) -> None:
    prompt = page.get_by_label("Prompt", exact=True)
    choose(page, "style", "Neon")
    choose(page, "shape", "Wide")
    page.get_by_label("Seed", exact=True).fill("18446744073709551615")
    set_steps(page, 5)
    first = make(page, "a green triangle")
    assert first == shown_job(page, JobState.DONE)
    page.reload()
    prompt.wait_for()
    page.get_by_role("button", name=words.REUSE_SETTINGS).click()
    expect(prompt).to_have_value("a green triangle")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("18446744073709551615")
    second = make(page, prompt.input_value())
    again = server.wait_until(second, lambda job: job.state is JobState.DONE)
    before = next(job for job in server.jobs() if job.id == first)
    assert again.request == before.request
    assert again.request.style == "Neon"
    same = [(server.settings.images_dir / str(job.image)) for job in (before, again)]
    assert Image.open(same[0]).tobytes() == Image.open(same[1]).tobytes()


def test_a_seed_is_random_until_it_is_kept(page: Page) -> None:
    seed = page.get_by_label("Seed", exact=True)
    set_steps(page, 2)
    make(page, "a circle")
    first = seed.input_value()
    make(page, "a circle")
    second = seed.input_value()
    assert first != second
    page.get_by_label("Keep", exact=True).check()
    make(page, "a square")
    expect(page.locator("#stage .said")).to_have_text("a square")
    expect(page.locator("#stage .details")).to_contain_text(f"seed {second}")
