"""A picture that its owner shares to all, as others see it; and what a folder of the machine is to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.access.store import Kind, Store
from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.errors import InputError
from pixart_ui.gallery.picture import Picture
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui.gallery_live import gallery_regions
from pixart_ui.ui.gallery_look import GalleryLook
from pixart_ui.ui.gallery_routes import gallery_routes
from pixart_ui.ui.live import Live
from pixart_ui.ui.routes import routes
from tests.hub.parts import write_folder
from tests.ui.conftest import finish, start
from tests.ui.test_live import Watch

ADA, BOB = Viewer("ada", Role.OWNER), Viewer("bob", Role.MEMBER)
PROMPT = "a purple teapot"


@pytest.fixture
def client(services: Services) -> TestClient:
    live = Live(services, Watch(), ())
    return TestClient(Starlette(routes=[*routes(services.settings, services.journal, live), *gallery_routes(services)]))


@pytest.fixture
def shared(services: Services) -> Iterator[Picture]:
    """A picture of ada's that everybody may see."""
    (job,) = services.submit(GenerationRequest(prompt=PROMPT), "ada")
    start(services, job)
    name = str(finish(services, services.journal.job(job.id)).image)
    store = Store(services.settings.journal_path)
    store.share(Kind.PICTURE, name, is_shared=True)
    found = services.journal.picture_named(name)
    assert found is not None
    yield found
    store.close()


def test_others_never_get_what_is_written_into_it(client: TestClient, shared: Picture) -> None:
    for address in (f"/pictures/{shared.name}", f"/gallery/pictures/{shared.name}"):
        with seen_by(BOB):
            for query in ("", "?whole", "?v=1&whole", "?plain"):
                answer = client.get(address + query)
                assert answer.status_code == 200
                assert PROMPT.encode() not in answer.content
        with seen_by(ADA):
            assert PROMPT.encode() in client.get(address).content
            assert PROMPT.encode() not in client.get(f"{address}?plain").content


def test_others_open_it_and_are_offered_nothing_that_is_its_owners(services: Services, shared: Picture) -> None:
    look = GalleryLook(picture=shared.id)
    with seen_by(BOB):
        sheet = gallery_regions(services, look)["gallery-detail"]
    assert PROMPT in sheet
    assert 'data-how="reuse"' in sheet
    for verb in ('data-verb="delete"', 'data-verb="star"', "/share/picture/", "whole"):
        assert verb not in sheet
    with seen_by(ADA):
        sheet = gallery_regions(services, look)["gallery-detail"]
    assert 'data-verb="delete"' in sheet
    assert "/share/picture/" in sheet


def test_one_that_was_deleted_is_not_shown_to_others(services: Services, client: TestClient, shared: Picture) -> None:
    services.gallery.delete([shared.id])
    with seen_by(BOB):
        assert gallery_regions(services, GalleryLook(picture=shared.id))["gallery-detail"] == ""
        assert client.get(f"/gallery/pictures/{shared.name}").status_code == 404
        assert client.get(f"/gallery/thumbnails/{shared.name}").status_code == 404


def test_a_folder_is_no_checkpoint_for_others_whether_it_is_one_or_not(services: Services, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "models" / "mine")
    assert services.catalog.get(str(folder)).folder == folder.resolve()
    told = set()
    with seen_by(BOB):
        for name in (str(folder), "/nowhere", "/etc", "./x", "~", "unknown"):
            with pytest.raises(InputError) as refused:
                services.catalog.get(name)
            told.add(refused.value.message)
        assert services.catalog.get("tiny").name == "tiny"
    assert len(told) == 1
