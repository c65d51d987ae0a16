"""Every address that the running app has, found by asking the app: for nobody, with a wrong cookie, for another member.

A new address is asked by itself. What is open to everybody is named here, and nothing else may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from pixart_ui.jobs.journal import Journal
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.security.conftest import LOCAL_STYLE
from tests.security.parts import Person, SharedServer

SECRET = "a purple teapot that nobody else may know of"
OPEN = {"/healthz", "/login", "/login/", "/link/{token}", "/link/{token}/picture.png", "/link/{token}/report.html"}
REFUSED = (401, 403, 404)


@pytest.fixture(scope="module")
def all_routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Method and address of every route of the app that is served, put together as `serve` does."""
    from pixart_ui.access.opening import open_door
    from pixart_ui.access.sharing import Sharing
    from tests.security.walking import routes_of

    services = Services.open(Settings(data_dir=tmp_path_factory.mktemp("walked")))
    opening = open_door(services.settings, Sharing(auth=("ada:correct-horse",)), {})
    return routes_of(services, opening)


def filled(path: str, values: dict[str, str]) -> str:
    """The address with something in each of its places."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values.get(found[1], "1"), path)


def test_there_are_many_addresses(all_routes: list[tuple[str, str]]) -> None:
    paths = {path for _, path in all_routes}
    assert len(paths) > 80
    assert {"/live", "/pictures/{name}", "/gradio_api/queue/join", "/archive.zip", "/account"} <= paths


def test_nobody_gets_anything_without_signing_in(
    shared: SharedServer, bob: Person, all_routes: list[tuple[str, str]]
) -> None:
    (job_id,) = bob.submitted(prompt=SECRET)
    (job,) = bob.wait(job_id)
    name = job["image"].partition("?")[0].rpartition("/")[2]
    wrong = {f"pixart-ui-{shared.port}": "x" * 43, "access-token": "x" * 22}
    for cookies in ({}, wrong):
        person = shared.person()
        person.http.cookies.update(cookies)
        asked = 0
        for method, path in all_routes:
            if path in OPEN:
                continue
            address = filled(path, {"name": name, "id": "1", "path": f"/{name}", "path_or_url": f"/{name}"})
            answer = person.http.request(method, address)
            assert answer.status_code in REFUSED, (method, address, answer.status_code)
            assert SECRET not in answer.text
            assert "gradio_config" not in answer.text
            asked += 1
        assert asked > 100


def everything_of(person: Person, shared: SharedServer) -> Iterator[tuple[str, str]]:
    """What a member asks that is about others: the app's own addresses, with the names of another's things."""
    (job_id,) = person.ids[-1:]
    (job,) = person.status(job_id)
    image = job["image"].partition("?")[0]
    name = image.rpartition("/")[2]
    yield from (
        (image, "the picture"),
        (f"/thumbnails/{name}", "its thumbnail"),
        (f"/gallery/pictures/{name}", "the picture in the gallery"),
        (f"/gallery/thumbnails/{name}", "its thumbnail there"),
        (f"/share/picture/{name}", "sharing it"),
        (f"/gallery.zip?pictures={picture_id(shared, name)}", "an archive of it"),
        (f"/archive.zip?jobs={job_id}", "an archive of its job"),
        (f"/gradio_api/file=/{name}", "Gradio's way to it"),
    )


def picture_id(shared: SharedServer, name: str) -> int:
    """The number of a picture in the gallery, which is not its job's."""
    with closing(Journal(shared.settings.journal_path)) as journal:
        picture = journal.picture_named(name)
    assert picture is not None
    return picture.id


def test_a_member_finds_nothing_of_another(shared: SharedServer, bob: Person, eve: Person, ada: Person) -> None:
    if not bob.ids:
        bob.wait(*bob.submitted(prompt=SECRET))
    for address, what in everything_of(bob, shared):
        answer = eve.http.get(address)
        assert answer.status_code in REFUSED, (what, answer.status_code)
        assert bob.http.get(address).status_code == 200 or "file=" in address, what
        assert ada.http.get(address).status_code == 200 or "file=" in address, what
    job_id = bob.ids[-1]
    for path in (shared.settings.images_dir, shared.data_dir / "journal.sqlite3"):
        assert eve.http.get(f"/gradio_api/file={path}").status_code in REFUSED
        assert ada.http.get(f"/gradio_api/file={path}").status_code in REFUSED
    for call, data in (("status", [job_id]), ("result", job_id)):
        answer = eve.call(call, data)
        assert "is unknown" in answer.text
        assert SECRET not in answer.text
    assert eve.call("cancel", [job_id]).json()["data"] == [[]]
    assert eve.call("list", None, SECRET, 50, 0).json()["data"][0]["total"] == 0


@pytest.mark.parametrize("address", ["/export/queue.csv?state=all", "/export/queue.json?state=all"])
def test_exports_hold_ones_own_jobs_alone(address: str, bob: Person, eve: Person) -> None:
    bob.submitted(prompt=SECRET)
    assert SECRET in bob.http.get(address).text
    assert SECRET not in eve.http.get(address).text
    assert SECRET not in eve.http.get(f"{address}&jobs={bob.ids[-1]}").text


@pytest.mark.parametrize("tab", ["single", "queue", "compare", "gallery", "system"])
def test_the_live_state_shows_no_prompt_of_another(tab: str, bob: Person, eve: Person) -> None:
    bob.submitted(prompt=SECRET, steps=50)
    for state in ("open", "all", "done"):
        query = {"tab": tab, "state": state, "folds": "done,failed", "job": str(bob.ids[-1])}
        for text in ("", "teapot"):
            shown = eve.http.get("/live", params={**query, "text": text})
            assert shown.status_code == 200
            assert "teapot" not in shown.text.replace("data-total", "").replace(f"“{text}”", "") or text
            assert SECRET not in shown.text
    batch = bob.http.get("/live", params={"tab": "queue"}).text.partition('data-batch=\\"')[2][:16]
    assert batch
    assert SECRET not in eve.http.get("/live", params={"batch": batch}).text
    if tab == "queue":
        assert "somebody else" in eve.http.get("/live", params={"tab": "queue"}).text


@pytest.mark.parametrize("verb", ["cancel", "retry", "duplicate", "first", "restore"])
def test_another_members_job_cannot_be_changed(verb: str, shared: SharedServer, bob: Person, eve: Person) -> None:
    (job_id,) = bob.submitted(prompt=SECRET, steps=50)
    told = acted(shared, eve, f"{verb}:{job_id}")
    assert "not" in told or "unknown" in told or "over" in told
    (job,) = bob.status(job_id)
    assert job["state"] in ("queued", "running", "done")
    assert not job["is_cancel_requested"]
    assert eve.call("list", None, None, 500, 0).json()["data"][0]["total"] == 0


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_only_the_owner_pauses_the_queue(verb: str, shared: SharedServer, eve: Person) -> None:
    assert "Only the owner" in acted(shared, eve, verb)


def acted(shared: SharedServer, person: Person, target: str) -> str:
    """What a button of the queue's list answers."""
    config = person.http.get("/config").json()
    textboxes = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    for function in config["dependencies"]:
        ids = [textboxes.get(target_id) for target_id, _ in function["targets"]]
        if "do-queue" in ids and function["inputs"]:
            body = {"data": [target] * len(function["inputs"]), "fn_index": function["id"]}
            answer = person.http.post("/gradio_api/run/predict", json=body)
            assert answer.status_code == 200, answer.text
            return answer.text
    raise AssertionError("no button for the queue")


def queued(person: Person, name: str, *data: object) -> str:
    """What an endpoint answers through Gradio's own queue, where no request is at hand when it is called."""
    event = person.http.post(f"/gradio_api/call/{name}", json={"data": list(data)}).json()["event_id"]
    return person.http.get(f"/gradio_api/call/{name}/{event}").text


def test_gradios_queue_knows_who_asks(bob: Person, eve: Person) -> None:
    told = queued(bob, "submit", SECRET, *[None] * 9, 2, *[None] * 5)
    assert "event: complete" in told
    job_id = int(re.findall(r"\[\[(\d+)\]\]", told)[0])
    assert bob.status(job_id)[0]["owner"] == "bob"
    assert SECRET in queued(bob, "list", None, None, 50, 0)
    assert SECRET not in queued(eve, "list", None, None, 50, 0)
    assert "event: error" in queued(eve, "status", [job_id])
    assert "[[]]" in queued(eve, "cancel", [job_id])


def test_what_was_kept_before_the_app_was_shared_is_on_nobodys_page(bob: Person, ada: Person) -> None:
    """The page is put together once, for all, by a process in which nobody asks."""
    for person in (bob, ada):
        config = person.http.get("/config").text
        assert "Watercolour" in config
        assert LOCAL_STYLE not in config
        assert LOCAL_STYLE not in person.http.get("/").text


def test_others_read_why_nothing_is_drawn_without_where_it_is(shared: SharedServer, bob: Person, ada: Person) -> None:
    journal = Journal(shared.settings.journal_path)
    journal.pause(f"1.png does not fit on the disk of {shared.settings.images_dir}: free some space, then resume it")
    try:
        assert str(shared.data_dir) in ada.http.get("/live").text
        told = bob.http.get("/live").text
        assert "/images: free some space" in told
        assert str(shared.data_dir) not in told
    finally:
        journal.resume()
        journal.close()


def test_no_button_of_the_page_gives_another_members_things(shared: SharedServer, bob: Person, eve: Person) -> None:
    """Every function of the page by its number, also those that only its script runs, for somebody else's things."""
    if not bob.ids:
        bob.wait(*bob.submitted(prompt=SECRET))
    job_id = bob.ids[0]
    picture = picture_id(shared, bob.status(job_id)[0]["image"].partition("?")[0].rpartition("/")[2])
    config = eve.http.get("/config").json()
    parts = {part["id"]: part for part in config["components"]}
    verbs = [
        verb.format(number)
        for number in (job_id, picture)
        for verb in ("{}", "cancel:{}", "delete:{}", "purge:{}", "reuse:{}", "vary:{}:1")
    ]
    for function in config["dependencies"]:
        texts = [id_ for id_ in function["inputs"] if parts[id_]["type"] == "textbox"]
        for verb in verbs if texts else verbs[:1]:
            data = [verb if id_ in texts else parts[id_]["props"].get("value") for id_ in function["inputs"]]
            body = {"data": data, "fn_index": function["id"], "session_hash": "anything"}
            answer = eve.http.post("/gradio_api/run/predict", json=body)
            assert answer.status_code in (200, 422), (function["id"], verb, answer.text[:300])
            assert SECRET not in answer.text, (function["id"], verb)
    assert "Traceback" not in shared.log()
    assert bob.status(job_id)[0]["state"] == "done"
    assert bob.http.get(bob.status(job_id)[0]["image"]).status_code == 200
