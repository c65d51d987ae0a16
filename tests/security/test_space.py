"""As a Space: nobody signs in, each browser is a visitor of its own in tight limits, and the Hub may frame the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from pixart_ui.spaces.bounds import MAX_JOBS
from tests.security.parts import Person, SharedServer

HOST = "someone-pixart.hf.space"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    environ = {**os.environ, "SPACE_ID": "someone/pixart", "SPACE_HOST": HOST}
    server = SharedServer(tmp_path_factory.mktemp("space") / "data", environ=environ)
    server.start()
    yield server
    server.stop()


def visitor(space: SharedServer) -> Person:
    """A browser that keeps what it is given; the cookie is for https alone, so it is carried by hand."""
    answer = httpx.get(f"{space.url}/config", headers={"Host": HOST})
    cookie = answer.headers["set-cookie"]
    for word in ("HttpOnly", "Secure", "SameSite=None", "Partitioned"):
        assert word in cookie
    headers = {"Host": HOST, "Cookie": cookie.partition(";")[0]}
    return Person(httpx.Client(base_url=space.url, headers=headers, timeout=60))


def test_two_browsers_are_two_visitors(space: SharedServer) -> None:
    one, other = visitor(space), visitor(space)
    (job_id,) = one.submitted(prompt="a purple teapot")
    assert one.status(job_id)[0]["owner"].startswith("visitor-")
    assert "is unknown" in other.call("status", [job_id]).text
    assert other.call("list", None, None, 50, 0).json()["data"][0]["total"] == 0
    assert "teapot" not in other.http.get("/live", params={"tab": "queue"}).text
    (job,) = one.wait(job_id)
    picture = one.http.get(job["image"])
    assert picture.status_code == 200
    assert b"teapot" not in picture.content
    assert b"teapot" in one.http.get(job["image"] + "&whole").content
    assert other.http.get(job["image"]).status_code == 404


def test_visitors_have_tighter_limits_than_members(space: SharedServer) -> None:
    one = visitor(space)
    assert "most here" in one.submit(prompt="x", steps=31).json()["error"]
    assert "more than the queue has room for" in one.submit(prompt="x", steps=2, num_images=9).json()["error"]


def test_nobody_is_the_owner_or_signs_in(space: SharedServer) -> None:
    one = visitor(space)
    answer = one.http.post("/login", data={"username": "ada", "password": "x"}, follow_redirects=False)
    assert answer.status_code in (302, 401, 404), "Gradio's own sends everybody back to the page"
    assert one.http.get("/account").status_code == 404
    for made_up in ("x", "x" * 43, "local"):
        person = Person(
            httpx.Client(base_url=space.url, headers={"Host": HOST, "Cookie": f"pixart-ui-{space.port}={made_up}"})
        )
        assert person.call("list", None, None, 50, 0).json()["data"][0]["total"] == 0


def test_the_hub_may_frame_it_and_its_own_name_is_answered_to(space: SharedServer) -> None:
    policy = httpx.get(space.url, headers={"Host": HOST}).headers["content-security-policy"]
    assert "frame-ancestors 'self' https://huggingface.co" in policy
    assert httpx.get(space.url, headers={"Host": "evil.example"}).status_code == 400
    assert httpx.get(f"{space.url}/healthz", headers={"Host": "10.1.2.3:7860"}).text == "ok"
    evil = {"Host": HOST, "Origin": "https://evil.example"}
    assert httpx.post(f"{space.url}/gradio_api/run/list", headers=evil, json={"data": []}).status_code == 403


def test_visitors_who_drop_their_cookies_meet_the_bounds_of_the_whole(space: SharedServer) -> None:
    """Each of them has limits of its own anew."""
    with closing(Journal(space.settings.journal_path)) as journal:
        journal.pause()
        told = ""
        for _ in range(MAX_JOBS // 8 + 2):
            told = visitor(space).submit(prompt="x", steps=2, num_images=8).text
            if "error" in told:
                break
        assert f"{MAX_JOBS}" in told
        assert journal.counts()[JobState.QUEUED] <= MAX_JOBS
        journal.cancel_all()
        journal.resume()
