"""Signing in and out. A browser gets pages, a program the status and a cookie: Gradio's own client posts to /login.

The password is checked in a thread, since that takes long on purpose, and not at all once a name was tried too often.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pixart_ui.access.gate import Door, Mode, session_cookie
from pixart_ui.access.http import NEVER, wants_page
from pixart_ui.access.store import SESSION_SECONDS
from pixart_ui.ui.plain_page import sign_in_page
from pixart_ui.ui.words import access as words

# A name and a password, whatever they are written in.
MAX_FORM_BYTES = 16 * 1024
Handler = Callable[[Request], Awaitable[Response]]


def sign_in_routes(door: Door) -> list[BaseRoute]:
    """None where nobody signs in."""
    if door.mode is not Mode.SHARED:
        return []
    return [
        Route("/login", _page, methods=["GET"]),
        Route("/login", _sign_in(door), methods=["POST"]),
        Route("/login/", _sign_in(door), methods=["POST"]),
        Route("/logout", _sign_out(door), methods=["POST"]),
    ]


async def _page(_: Request) -> Response:
    return HTMLResponse(sign_in_page(), headers=NEVER)


def _sign_in(door: Door) -> Handler:
    async def answer(request: Request) -> Response:
        fields = await _fields(request)
        if fields is None:
            return PlainTextResponse("A name and a password are all that is needed.\n", 413, headers=NEVER)
        name, password = fields
        seconds = door.wait(name)
        if seconds > 0:
            told = words.TOO_OFTEN.format(seconds=math.ceil(seconds))
            return _refusal(request, name, told, 429, {"Retry-After": str(math.ceil(seconds))})
        user = await run_in_threadpool(door.check, name, password)
        if user is None:
            return _refusal(request, name, words.WRONG, 401)
        token = await run_in_threadpool(door.sign_in, user)
        done: Response = (
            RedirectResponse("/", status_code=303) if wants_page(request.scope) else JSONResponse({"success": True})
        )
        done.headers.append("Set-Cookie", session_cookie(door.cookie, token, request, SESSION_SECONDS))
        done.headers["Cache-Control"] = "no-store"
        return done

    return answer


def _sign_out(door: Door) -> Handler:
    async def answer(request: Request) -> Response:
        await run_in_threadpool(door.sign_out, request.cookies.get(door.cookie, ""))
        done = RedirectResponse("/login", status_code=303, headers=NEVER)
        done.headers.append("Set-Cookie", session_cookie(door.cookie, "", request, 0))
        return done

    return answer


async def _fields(request: Request) -> tuple[str, str] | None:
    """Name and password; None where the form is too large to be one."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        found = parse_qs(body.decode(), max_num_fields=8)
    except ValueError:
        return "", ""
    return found.get("username", [""])[0][:200], found.get("password", [""])[0]


def _refusal(
    request: Request, name: str, sentence: str, status: int, headers: dict[str, str] | None = None
) -> Response:
    every = {**NEVER, **(headers or {})}
    if wants_page(request.scope):
        return HTMLResponse(sign_in_page(name, sentence), status_code=status, headers=every)
    return PlainTextResponse(sentence + "\n", status_code=status, headers=every)
