"""What can be taken away: the list as CSV and JSON, which can be read again, and pictures in a ZIP."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.errors import JournalError
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.exports import export_routes
from tests.ui.conftest import finish, start
from tests.ui.test_queue_list import add


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=export_routes(services))) as opened:
        yield opened


def test_the_list_as_csv_follows_its_filter_and_is_for_download(client: TestClient, services: Services) -> None:
    add(services, "a red house", "a {plain} tree", "a red boat")
    answer = client.get("/export/queue.csv", params={"state": "open", "text": "red"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["prompt"] for row in rows] == ["a red house", "a red boat"]
    assert answer.headers["content-disposition"].startswith('attachment; filename="pixart-queue-')
    assert answer.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_an_export_read_again_asks_for_the_same_pictures(client: TestClient, services: Services, ending: str) -> None:
    jobs = add(services, "a {plain} __tree__", "=1+1", "a red boat", seed=7, steps=3)
    content = client.get(f"/export/queue.{ending}").content
    again = services.enqueue(services.draft(content, name=f"queue.{ending}").requests)
    assert [job.request for job in again] == [job.request for job in jobs]


def test_the_pictures_that_are_named_come_byte_for_byte(client: TestClient, services: Services) -> None:
    jobs = [finish(services, start(services, job)) for job in add(services, "one", "two", "three")]
    answer = client.get("/archive.zip", params={"jobs": f"{jobs[0].id},{jobs[2].id}"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [jobs[0].image, jobs[2].image]
        for job in (jobs[0], jobs[2]):
            path = services.image_path(job)
            assert path is not None
            assert archive.read(str(job.image)) == path.read_bytes()
    everything = client.get("/archive.zip", params={"state": "done"})
    assert len(zipfile.ZipFile(io.BytesIO(everything.content)).namelist()) == 3


@pytest.mark.parametrize("jobs", ["", "1", "x", "../../etc/passwd", "9" * 30])
def test_no_pictures_are_a_sentence(client: TestClient, services: Services, jobs: str) -> None:
    add(services, "one")
    answer = client.get("/archive.zip", params={"jobs": jobs})
    assert (answer.status_code, answer.text) == (404, words.NO_PICTURES)


def test_a_journal_that_cannot_be_read_is_a_sentence(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise JournalError("The journal cannot be read: look.")

    monkeypatch.setattr(services.journal, "page", broken)
    for path in ("/export/queue.csv", "/export/queue.json", "/archive.zip"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (503, "The journal cannot be read: look.")
