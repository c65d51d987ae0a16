"""Which scripts may run: those of Gradio's own page, by their hashes, and no other that stands in an answer."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pixart_ui.access.headers import SecurityHeaders

PAGE = "<!doctype html><script>start()</script><script src='/a.js'></script><p>x</p>"


def test_only_the_scripts_that_stand_in_the_page_itself_may_run() -> None:
    routes = [Route(path, lambda _: HTMLResponse(PAGE)) for path in ("/", "/account", "/gradio_api/file=/x.html")]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)]))
    assert client.get("/").headers["content-security-policy"].count("'sha256-") == 1
    for path in ("/account", "/gradio_api/file=/x.html"):
        answer = client.get(path)
        assert answer.text == PAGE
        assert "sha256-" not in answer.headers["content-security-policy"]
