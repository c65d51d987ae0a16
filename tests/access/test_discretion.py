"""Sentences that name places on the machine, as its owner reads them and as others do."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pixart_ui.access.discretion import Discretion, places
from pixart_ui.access.viewer import LOCAL, Role, Viewer, seen_by

DATA = Path("/home/ada & co/pixart-ui")
COPIES = DATA / "tmp" / "gradio"
SENTENCE = f"7.png does not fit on the disk of {DATA / 'images'}: free some space, then resume the queue."
MEMBER = Viewer("bob", Role.MEMBER)


def pieces(text: str, at: int) -> Response:
    return StreamingResponse(iter([text[:at], text[at:]]), media_type="text/plain")


def app() -> Starlette:
    def stream(_: Request) -> Response:
        return StreamingResponse(iter([f"data: {json.dumps(SENTENCE)}\n\n"] * 2), media_type="text/event-stream")

    routes = [
        Route("/pieces", lambda asked: pieces(SENTENCE, int(asked.query_params["at"]))),
        Route("/copy-pieces", lambda asked: pieces(str(COPIES / "0a" / "x.png"), int(asked.query_params["at"]))),
        Route("/beside-pieces", lambda asked: pieces(f"{DATA}-of-others", int(asked.query_params["at"]))),
        Route("/plain", lambda _: PlainTextResponse(SENTENCE)),
        Route("/html", lambda _: HTMLResponse(f"<p>{escape(SENTENCE)}</p>")),
        Route("/json", lambda _: JSONResponse({"regions": {"stage": f"<p>{escape(SENTENCE)}</p>"}})),
        Route("/stream", stream),
        Route("/copy", lambda _: JSONResponse([str(COPIES / "0a" / "x.png")])),
        Route("/file", lambda _: Response(SENTENCE.encode(), media_type="image/png")),
        Route("/beside", lambda _: PlainTextResponse(f"{DATA}-of-others")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Discretion, folders=places(DATA), copies=COPIES)])


def told(path: str, viewer: Viewer) -> str:
    with seen_by(viewer):
        answer = TestClient(app()).get(path)
    return answer.content.decode()


@pytest.mark.parametrize("path", ["/plain", "/html", "/json", "/stream"])
def test_others_read_the_sentence_without_where_it_is(path: str) -> None:
    shown = told(path, MEMBER)
    assert "…/images: free some space" in shown
    assert "ada" not in shown
    assert "…" not in told(path, LOCAL)
    assert "ada" in told(path, LOCAL)


def test_a_path_that_is_cut_in_two_is_hidden_as_well() -> None:
    whole = told("/plain", MEMBER)
    for at in range(1, len(SENTENCE)):
        assert told(f"/pieces?at={at}", MEMBER) == whole
        assert told(f"/copy-pieces?at={at}", MEMBER) == str(COPIES / "0a" / "x.png")
        assert told(f"/beside-pieces?at={at}", MEMBER) == f"{DATA}-of-others"


def test_what_a_page_sends_back_stays() -> None:
    assert told("/copy", MEMBER) == told("/copy", LOCAL)


def test_pictures_and_other_names_are_left_alone() -> None:
    assert told("/file", MEMBER) == SENTENCE
    assert told("/beside", MEMBER) == f"{DATA}-of-others"


def test_this_program_and_whose_account_it_is_are_places_too() -> None:
    found = {str(place) for place in places(DATA)}
    assert str(Path(__file__).resolve().parent.parent.parent) in found
    assert str(Path.home()) in found
