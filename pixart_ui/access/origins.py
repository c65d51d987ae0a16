"""Requests that a page of somebody else makes in a browser are refused, whatever cookies the browser adds to them.

Browsers say where a request comes from: `Origin` with everything that changes something or can be read by a script,
`Sec-Fetch-Site` with the rest. A link to the page itself may be followed from anywhere; nothing else of it may be used
from elsewhere. A program that is no browser sends neither and passes: it has no cookies of anybody.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pixart_ui.access.http import READING, headers_of, refuse

REFUSAL = "A page of another site asked for this, which is not allowed: open this app itself.\n"


class OriginGuard:
    """Has no state. `frames` are the sites that may show the page in a frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and is_foreign(scope.get("method", "GET"), headers_of(scope)):
            await refuse(scope, receive, send, REFUSAL, 403)
            return
        await self._app(scope, receive, send)


def is_foreign(method: str, headers: Headers) -> bool:
    host = headers.get("host", "").lower()
    if (origin := headers.get("origin")) is not None:
        return _site(origin) != host
    site = headers.get("sec-fetch-site")
    if site in ("cross-site", "same-site"):
        return not (method in READING and headers.get("sec-fetch-mode") == "navigate")
    if site is None and method not in READING and (referer := headers.get("referer")) is not None:
        return _site(referer) != host
    return False


def _site(address: str) -> str | None:
    """Host and port of an http address in small letters; None for any other, so that it equals no host."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None
