from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.errors import JournalError
from pixart_ui.services import Services
from pixart_ui.ui.live import Live
from pixart_ui.ui.routes import routes
from tests.ui.conftest import finish, start, submit
from tests.ui.test_live import Watch


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    app = Starlette(routes=routes(services.settings, services.journal, Live(services, Watch(), ())))
    with TestClient(app) as opened:
        yield opened


def test_health(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok"


def test_live_answers_once_for_each_state(client: TestClient, services: Services) -> None:
    first = client.get("/live")
    assert first.status_code == 200
    assert client.get("/live", params={"mark": first.json()["mark"]}).status_code == 204
    submit(services)
    assert client.get("/live", params={"mark": first.json()["mark"]}).status_code == 200


def test_a_journal_that_cannot_be_read_is_a_sentence(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise JournalError("The journal cannot be read: look.")

    monkeypatch.setattr(services.journal, "revision", broken)
    answer = client.get("/live")
    assert (answer.status_code, answer.text) == (503, "The journal cannot be read: look.")


def test_a_picture_is_sent_byte_for_byte(client: TestClient, services: Services) -> None:
    (job,) = submit(services)
    done = finish(services, start(services, job))
    answer = client.get(f"/pictures/{done.image}")
    assert answer.content == (services.settings.images_dir / str(done.image)).read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_thumbnail_is_small_and_follows_its_picture(client: TestClient, services: Services) -> None:
    (job,) = submit(services, width=304, height=208)
    done = finish(services, start(services, job))
    small = Image.open(BytesIO(client.get(f"/thumbnails/{done.image}").content))
    assert max(small.size) == 192
    assert client.get(f"/thumbnails/{done.image}").status_code == 200


def test_a_preview_that_is_gone_is_nothing_rather_than_an_error(client: TestClient, services: Services) -> None:
    assert client.get("/previews/1-1.jpg").status_code == 204
    (services.settings.previews_dir / "1-1.jpg").write_bytes(b"\xff\xd8preview")
    assert client.get("/previews/1-1.jpg").content == b"\xff\xd8preview"


WRONG_NAMES = [
    "../journal.sqlite3",
    "..%2Fjournal.sqlite3",
    "%2e%2e/journal.sqlite3",
    "..%5Cjournal.sqlite3",
    "%2Fetc%2Fpasswd",
    ".hidden.png",
    "a.png%00.txt",
    "a.svg",
    "a.html",
    "sub/a.png",
    "x" * 300 + ".png",
    "absent.png",
]


@pytest.mark.parametrize("folder", ["pictures", "thumbnails"])
@pytest.mark.parametrize("name", WRONG_NAMES)
def test_no_other_file_is_reached(client: TestClient, services: Services, folder: str, name: str) -> None:
    (services.settings.images_dir / ".hidden.png").write_bytes(b"secret")
    (services.settings.images_dir / "a.svg").write_bytes(b"secret")
    assert client.get(f"/{folder}/{name}").status_code == 404


def test_a_link_out_of_the_folder_is_not_followed(client: TestClient, services: Services) -> None:
    (services.settings.images_dir / "link.png").symlink_to(services.settings.journal_path)
    assert client.get("/pictures/link.png").status_code == 404


def test_fonts_are_ours(client: TestClient) -> None:
    answer = client.get("/look/fonts/inter-latin-wght-normal.woff2")
    assert answer.status_code == 200
    assert client.get("/look/../settings.py").status_code == 404
