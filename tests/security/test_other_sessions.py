"""What Gradio keeps under names that browsers choose (sessions, events, uploads) is for whoever named it first."""

from __future__ import annotations

import secrets
import time

import httpx
import pytest

from tests.security.parts import Person

SECRET = "an amber kettle that nobody else may know of"
API = "/gradio_api"


def number_of(person: Person, endpoint: str) -> int:
    """A function of the page by the name of its endpoint."""
    found = [each["id"] for each in person.http.get("/config").json()["dependencies"] if each["api_name"] == endpoint]
    return int(found[0])


def joined(person: Person, session: str, endpoint: str, *data: object) -> httpx.Response:
    """Ask for an endpoint through Gradio's own queue, under the name of a session."""
    body = {"data": list(data), "fn_index": number_of(person, endpoint), "session_hash": session}
    return person.http.post(f"{API}/queue/join", json=body)


def heard(person: Person, session: str, seconds: float = 20) -> str:
    """What the event stream of a session says until it closes."""
    told = ""
    with person.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as answer:
        end = time.monotonic() + seconds
        for line in answer.iter_lines():
            told += line
            if "close_stream" in line or time.monotonic() > end:
                break
    return told


@pytest.fixture
def session(bob: Person) -> str:
    """Bob's, with an answer in it that he has not read."""
    if not bob.ids:
        bob.submitted(prompt=SECRET)
    name = secrets.token_hex(6)
    assert joined(bob, name, "list", None, None, 50, 0).status_code == 200
    return name


def test_nobody_else_hears_the_events_of_a_session(session: str, bob: Person, eve: Person, ada: Person) -> None:
    for other in (eve, ada):
        answer = other.http.get(f"{API}/queue/data", params={"session_hash": session})
        assert answer.status_code == 404
        assert SECRET not in answer.text
    assert SECRET in heard(bob, session)


def test_nobody_else_puts_events_into_a_session(session: str, bob: Person, eve: Person) -> None:
    assert joined(eve, session, "list", None, "planted", 50, 0).status_code == 404
    assert heard(bob, session).count("process_completed") == 1


def test_nobody_else_hears_an_event_by_its_number(bob: Person, eve: Person) -> None:
    bob.submitted(prompt=SECRET)
    event = bob.http.post(f"{API}/call/list", json={"data": [None, None, 50, 0]}).json()["event_id"]
    for address in (f"{API}/call/list/{event}", f"{API}/call/v2/list/{event}"):
        answer = eve.http.get(address)
        assert answer.status_code == 404
        assert SECRET not in answer.text
    assert SECRET in bob.http.get(f"{API}/call/list/{event}").text


def test_nobody_else_cancels_or_ends_a_session(session: str, bob: Person, eve: Person) -> None:
    event = joined(bob, session, "list", None, None, 50, 0).json()["event_id"]
    function = number_of(bob, "list")
    for body in (
        {"session_hash": session, "fn_index": function, "event_id": event},
        {"session_hash": "another", "fn_index": function, "event_id": event},
        {"session_hash": session, "fn_index": function, "event_id": "another"},
    ):
        for verb in ("cancel", "reset"):
            assert eve.http.post(f"{API}/{verb}", json=body).status_code == 404, (verb, body)
    assert eve.http.get(f"{API}/heartbeat/{session}").status_code == 404
    assert heard(bob, session).count("process_completed") == 2


def test_nobody_else_runs_a_function_in_a_session(session: str, bob: Person, eve: Person) -> None:
    body = {"data": [None, None, 50, 0], "session_hash": session}
    for way in ("run", "api"):
        assert eve.http.post(f"{API}/{way}/list", json=body).status_code == 404
        assert bob.http.post(f"{API}/{way}/list", json=body).status_code == 200


def test_a_heartbeat_of_ones_own_goes_on(session: str, bob: Person) -> None:
    with bob.http.stream("GET", f"{API}/heartbeat/{session}") as answer:
        assert answer.status_code == 200
        assert "ALIVE" in next(answer.iter_lines())


def test_nobody_else_follows_an_upload(bob: Person, eve: Person) -> None:
    upload = secrets.token_hex(6)
    sent = bob.http.post(f"{API}/upload", params={"upload_id": upload}, files={"files": ("bobs.csv", b"prompt\nx")})
    assert sent.status_code == 200
    answer = eve.http.get(f"{API}/upload_progress", params={"upload_id": upload})
    assert answer.status_code == 404
    assert "bobs.csv" not in answer.text


@pytest.mark.parametrize("person", ["eve", "bob", "ada"])
def test_functions_of_components_are_closed(person: str, session: str, request: pytest.FixtureRequest) -> None:
    asking: Person = request.getfixturevalue(person)
    parts = [part["id"] for part in asking.http.get("/config").json()["components"]]
    for part in parts[:: max(len(parts) // 6, 1)]:
        for name in ("ls", "accept_blobs", "preprocess", "get_config", "__init__"):
            body = {"data": "/", "component_id": part, "session_hash": session, "fn_name": name}
            assert asking.http.post(f"{API}/component_server", json=body).status_code == 404
            assert asking.http.post(f"{API}/component_server/", data=body).status_code == 404
