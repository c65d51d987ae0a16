"""`python app.py` as a Space starts it: no flags, only the Space's environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.parts import free_port, wait_for
from tests.cli.commands import ROOT

HOST = "someone-pixart.hf.space"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("space"), free_port()
    environ = os.environ | {"SPACE_ID": "someone/pixart", "SPACE_HOST": HOST, "SYSTEM": "spaces", "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        # The port is the one thing that differs: 7860 may be taken on this machine.
        command = [sys.executable, "app.py", "--port", str(port), "--data-dir", str(folder / "data")]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _answers(url), "the page to be served", 120)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=10).text == "ok"
    except httpx.HTTPError:
        return False


def get(url: str, path: str = "/", **headers: str) -> httpx.Response:
    return httpx.get(url + path, headers={"Host": HOST, **headers}, timeout=30)


def test_it_listens_where_the_spaces_proxy_reaches_it_and_answers_to_its_name(url: str) -> None:
    assert get(url).status_code == 200
    assert get(url, Host="evil.example").status_code == 400
    assert get(url, Host="evil.hf.space").status_code == 400


def test_the_hub_may_frame_it_and_nobody_else(url: str) -> None:
    policy = get(url).headers["content-security-policy"]
    (ancestors,) = [part.split()[1:] for part in policy.split(";") if part.strip().startswith("frame-ancestors")]
    assert "https://huggingface.co" in ancestors
    assert "*" not in ancestors


def test_each_browser_gets_a_cookie_that_works_inside_the_hubs_frame(url: str) -> None:
    cookie = get(url).headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=None", "Partitioned"} <= {part.strip() for part in cookie.split(";")}


def test_the_page_says_that_nothing_is_kept(url: str) -> None:
    assert "Pictures are gone when this Space restarts" in get(url, "/config").text


def test_files_of_the_data_folder_are_nobodys(url: str, tmp_path: Path) -> None:
    for path in ("/pictures/journal.sqlite3", "/gradio_api/file=journal.sqlite3", "/previews/..%2fjournal.sqlite3"):
        assert get(url, path).status_code in (403, 404), path
