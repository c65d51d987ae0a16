"""Links that are handed out, and things shown to all: through the whole app's guards, as whoever asks or nobody."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.access.guards import guards
from pixart_ui.access.opening import Opening, open_door
from pixart_ui.access.sharing import Sharing
from pixart_ui.access.store import LINK_SECONDS
from pixart_ui.access.users import Users, write_users
from pixart_ui.access.users import user as made
from pixart_ui.access.viewer import Role
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui.live import Live
from pixart_ui.ui.plain_page import sign_in_page
from pixart_ui.ui.routes import routes
from pixart_ui.ui.sharing import sharing_routes
from pixart_ui.ui.words import access as words
from tests.ui.conftest import finish, start
from tests.ui.test_live import Watch

PROMPT = "a purple teapot"
Browse = Callable[[str | None], TestClient]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users.txt"
    people = (("ada", Role.OWNER), ("bob", Role.MEMBER), ("eve", Role.MEMBER))
    write_users(file, [made(name, "correct-horse", role) for name, role in people])
    return file


@pytest.fixture
def opening(services: Services, users: Path) -> Iterator[Opening]:
    opened = open_door(services.settings, Sharing(auth_file=users, allowed_hosts=("testserver",)), {})
    opened.door.is_starting = False
    yield opened
    assert opened.door.store is not None
    opened.door.store.close()


@pytest.fixture
def browse(services: Services, opening: Opening) -> Browse:
    """A browser of somebody who signed in, or of nobody."""
    live = Live(services, Watch(), ())
    app = Starlette(
        routes=[*sharing_routes(services, opening.door), *routes(services.settings, services.journal, live)],
        middleware=guards(opening, services.settings, sign_in_page),
    )

    def client(name: str | None) -> TestClient:
        found = TestClient(app, follow_redirects=False)
        user = opening.door.users.get(name) if name is not None else None
        if user is not None:
            found.cookies.set(opening.door.cookie, opening.door.sign_in(user))
        return found

    return client


@pytest.fixture
def picture(services: Services) -> str:
    """Bob's, by its file's name."""
    (job,) = services.submit(GenerationRequest(prompt=PROMPT), "bob")
    start(services, job)
    return str(finish(services, services.journal.job(job.id)).image)


def link_of(client: TestClient, picture: str) -> str:
    """The path of a new link."""
    answer = client.post(f"/share/picture/{picture}/link")
    assert answer.status_code == 200
    return re.findall(r"http://testserver(/link/[\w-]+)", answer.text)[0]


def test_a_link_shows_one_picture_to_whoever_has_it_and_nothing_else(browse: Browse, picture: str) -> None:
    link, nobody = link_of(browse("bob"), picture), browse(None)
    shown = nobody.get(link)
    assert shown.status_code == 200
    assert PROMPT in shown.text
    content = nobody.get(f"{link}/picture.png").content
    assert content.startswith(b"\x89PNG")
    assert PROMPT.encode() not in content
    for other in ("/live", f"/pictures/{picture}", f"/thumbnails/{picture}", "/account", f"{link}/report.html"):
        assert nobody.get(other).status_code in (401, 404), other
    assert nobody.get(link[:-1]).status_code == 404
    assert "set-cookie" not in shown.headers


@pytest.mark.parametrize("end", ["revoked", "run out", "user removed", "picture deleted"])
def test_a_link_shows_nothing_once_it_is_over(
    end: str,
    services: Services,
    opening: Opening,
    users: Path,
    browse: Browse,
    picture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bob = browse("bob")
    link = link_of(bob, picture)
    if end == "revoked":
        number = re.findall(r"/links/(\d+)/revoke", bob.get("/account").text)[0]
        assert browse("eve").post(f"/links/{number}/revoke").status_code == 404
        assert browse(None).get(link).status_code == 200
        assert bob.post(f"/links/{number}/revoke").status_code == 303
    elif end == "run out":
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + LINK_SECONDS + 1)
    elif end == "user removed":
        write_users(users, [one for one in Users(file=users).all().values() if one.name != "bob"])
    else:
        found = services.journal.picture_named(picture)
        assert found is not None
        services.gallery.delete([found.id])
    for address in (link, f"{link}/picture.png"):
        answer = browse(None).get(address)
        assert answer.status_code == 404
        assert PROMPT not in answer.text


def test_nobody_hands_out_or_shows_what_is_not_theirs(services: Services, browse: Browse, picture: str) -> None:
    eve, bob = browse("eve"), browse("bob")
    for path in ("", "/link", "/all"):
        asked = eve.post if path else eve.get
        assert asked(f"/share/picture/{picture}{path}").status_code == 404
    assert bob.post(f"/share/picture/{picture}/all").status_code == 404, "only the owner of the app shows to all"
    assert bob.get(f"/share/picture/{picture}/link").status_code == 405
    evil = {"Origin": "http://evil.example"}
    assert bob.post(f"/share/picture/{picture}/link", headers=evil).status_code == 403
    assert browse("ada").get("/account").text.count("/revoke") == 0
    assert not services.journal.shared("picture")


def test_the_owner_shows_a_picture_to_all_who_sign_in_and_takes_that_back(browse: Browse, picture: str) -> None:
    ada, eve, nobody = browse("ada"), browse("eve"), browse(None)
    assert eve.get(f"/pictures/{picture}").status_code == 404
    assert ada.post(f"/share/picture/{picture}/all").status_code == 303
    assert eve.get(f"/pictures/{picture}").status_code == 200
    assert nobody.get(f"/pictures/{picture}").status_code == 401
    assert words.NOT_TO_ALL in ada.get(f"/share/picture/{picture}").text
    assert ada.post(f"/share/picture/{picture}/own").status_code == 303
    assert eve.get(f"/pictures/{picture}").status_code == 404


def test_a_session_is_new_at_each_signing_in_and_made_by_nobody_else(opening: Opening, browse: Browse) -> None:
    fixed = browse(None)
    fixed.cookies.set(opening.door.cookie, "f" * 43)
    assert fixed.get("/live").status_code == 401
    user = opening.door.users.get("bob")
    assert user is not None
    first, second = opening.door.sign_in(user), opening.door.sign_in(user)
    assert len({first, second, "f" * 43}) == 3
    fixed.cookies.set(opening.door.cookie, first)
    assert fixed.get("/live").status_code == 200
