"""Small ASGI parts that the guards share: headers of a request, and an answer that ends it there."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

NEVER = {"Cache-Control": "no-store"}
READING = ("GET", "HEAD", "OPTIONS")


def headers_of(scope: Scope) -> Headers:
    return Headers(scope=scope)


async def refuse(scope: Scope, receive: Receive, send: Send, sentence: str, status: int) -> None:
    """One sentence as plain text, and nothing else; a websocket is closed before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:100]})
        return
    await PlainTextResponse(sentence, status_code=status, headers=NEVER)(scope, receive, send)


def is_https(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to the tunnel or proxy before us."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").startswith("https")


def wants_page(scope: Scope) -> bool:
    """Whether a person looks at the answer, and not a script."""
    return "text/html" in headers_of(scope).get("accept", "")
