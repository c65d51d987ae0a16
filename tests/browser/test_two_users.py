"""Two people sign in to one app, each in a browser of their own: each sees what they may, a link shows one thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from pixart_ui.jobs.job import JobState
from tests.browser.parts import Visitor, ask, shown_job
from tests.security.parts import PASSWORDS, SharedServer, sharing

SECRET = "a purple circle that only Bob knows of"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    with sharing(tmp_path_factory.mktemp("two") / "data") as server:
        server.wait_for_worker()
        yield server


def sign_in(visitor: Visitor, server: SharedServer, name: str) -> Page:
    page = visitor.context.new_page()
    page.goto(server.url)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("not-the-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    page.get_by_label("Password").fill(PASSWORDS[name])
    # A wrong password is 401, which the browser notes in its console: it is listened to from here on.
    page.on("console", visitor._listen)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Prompt", exact=True).wait_for()
    page.locator("#engine .live").wait_for()
    return page


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


def test_each_sees_their_own_and_others_only_in_line(visit: Callable[..., Visitor], shared: SharedServer) -> None:
    bob, eve = sign_in(visit(), shared, "bob"), sign_in(visit(), shared, "eve")
    ask(bob, SECRET)
    shown_job(bob, JobState.DONE)
    expect(bob.locator("#stage")).to_contain_text(SECRET)
    picture = bob.locator("#stage img.final").get_attribute("src") or ""
    ask(bob, f"{SECRET}, once more")
    open_tab(eve, "Queue")
    expect(eve.locator("#queue-list")).not_to_contain_text(SECRET)
    open_tab(eve, "Single")
    expect(eve.locator("#strip .tile")).to_have_count(0)
    expect(eve.locator("body")).not_to_contain_text(SECRET)
    ada = sign_in(visit(), shared, "ada")
    expect(ada.locator("#strip .tile").first).to_be_visible()
    assert ada.request.get(shared.url + picture).status == 200
    assert bob.request.get(shared.url + picture).status == 200
    assert eve.request.get(shared.url + picture).status == 404


def test_a_link_shows_one_picture_until_it_is_revoked(visit: Callable[..., Visitor], shared: SharedServer) -> None:
    bob = sign_in(visit(), shared, "bob")
    shown_job(bob, JobState.DONE)
    with bob.context.expect_page() as opened:
        bob.locator("#stage").get_by_role("link", name=re.compile("^Share")).click()
    page = opened.value
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("code").inner_text()
    stranger = visit().context.new_page()
    stranger.goto(link)
    expect(stranger.get_by_role("img")).to_be_visible()
    assert stranger.evaluate("document.querySelector('img').naturalWidth") > 0
    assert stranger.request.get(shared.url + "/live").status == 401
    page.goto(f"{shared.url}/account")
    page.get_by_role("button", name="Revoke").first.click()
    assert stranger.request.get(link).status == 404


def test_signing_out_ends_it(visit: Callable[..., Visitor], shared: SharedServer) -> None:
    visitor = visit()
    eve = sign_in(visitor, shared, "eve")
    eve.get_by_role("link", name="Account").click()
    expect(eve.get_by_text("You are signed in as eve")).to_be_visible()
    eve.get_by_role("button", name="Sign out").click()
    expect(eve.get_by_role("button", name="Sign in")).to_be_visible()
    assert eve.request.get(shared.url + "/live").status == 401
