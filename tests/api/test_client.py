"""The real server and Gradio's own client: everything that a script can do, and the script that the README shows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from pixart_ui.gallery import images
from tests.browser.parts import ROOT, Server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    connected = Client(server.url, verbose=False, download_files=tmp_path / "downloads", analytics_enabled=False)
    yield connected
    connected.close()


def test_a_script_submits_follows_and_saves(client: Client, server: Server, tmp_path: Path) -> None:
    (job_id,) = client.predict(prompt="a red circle", steps=4, seed=7, api_name="/submit")
    server.wait_until(job_id, lambda job: job.state.is_end)
    (told,) = client.predict([job_id], api_name="/status")
    assert (told["state"], told["request"]["seed"]) == ("done", 7)
    saved = Path(client.predict(job_id, api_name="/result"))
    assert saved.is_relative_to(tmp_path)
    kept = server.settings.images_dir / saved.name
    assert saved.read_bytes() == kept.read_bytes() == server.get(told["image"])
    assert client.predict(text="red circle", api_name="/list")["total"] >= 1


def test_submit_returns_before_a_worker_has_begun(client: Client, server: Server) -> None:
    started = time.monotonic()
    ids = client.predict(prompt="a blue square", steps=150, num_images=64, api_name="/submit")
    assert len(ids) == 64
    assert time.monotonic() - started < 5
    told = client.predict(ids, api_name="/status")
    assert 0 < told[-2]["start_in"] < told[-2]["finish_in"] <= told[-1]["start_in"] < told[-1]["finish_in"]
    assert sorted(client.predict(ids, api_name="/cancel")) == ids
    server.wait_until_idle()
    assert {job["state"] for job in client.predict(ids, api_name="/status")} == {"cancelled"}


def test_what_is_wrong_is_one_sentence_and_nothing_else(client: Client) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(prompt="x", steps=0, api_name="/submit")
    assert str(caught.value) == "Steps 0 is not a whole number from 1 to 150: try 20."


def test_plain_http_does_without_the_client(server: Server) -> None:
    answer = httpx.post(f"{server.url}/gradio_api/run/list", json={"data": [None, None, 1, 0]})
    assert answer.status_code == 200
    assert set(answer.json()["data"][0]) == {"jobs", "total"}
    wrong = httpx.post(f"{server.url}/gradio_api/run/status", json={"data": [[10**9]]})
    assert wrong.status_code == 422
    assert wrong.json()["error"].startswith("Job 1000000000 is unknown")
    assert "Traceback" not in wrong.text


def test_the_documentation_lists_these_and_no_others(server: Server) -> None:
    info = httpx.get(f"{server.url}/gradio_api/info").json()
    assert list(info["named_endpoints"]) == ["/submit", "/status", "/result", "/cancel", "/list"]
    assert info["unnamed_endpoints"] == {}
    assert str(server.data_dir) not in str(info)


def test_the_example_saves_three_pictures(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    script = [sys.executable, str(ROOT / "examples" / "api_client.py"), server.url, "--folder", str(folder)]
    done = subprocess.run([*script, "--steps", "4"], capture_output=True, text=True, timeout=150, check=True)
    saved = sorted(folder.iterdir())
    assert len(saved) == 3
    assert sorted(Path(line) for line in done.stdout.splitlines()) == saved
    for path in saved:
        assert images.read_request(path).steps == 4
        with Image.open(path) as picture:
            assert picture.size == (256, 256)
