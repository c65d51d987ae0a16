"""Security headers on every answer, and a content security policy that fits Gradio.

Gradio compiles small functions from text (`unsafe-eval`) and writes style attributes (`unsafe-inline` for styles). Its
page holds four inline scripts of its own: these are allowed by their hashes, and they are put together before anybody
asks; no inline script of any other answer is. So no other script, no `onerror` and no `javascript:` address runs,
whatever text ever reached a page unescaped. An answer that has a policy of its own keeps it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
# Where Gradio's page is.
PAGE = "/"
# Far above it.
MAX_PAGE_BYTES = 32 * 1024**2


class SecurityHeaders:
    """`frames` are sources that may show the page in a frame, beside itself."""

    def __init__(self, app: ASGIApp, frames: Sequence[str] = ()) -> None:
        self._app = app
        self._frames = tuple(frames)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                self._add(headers)
                if "Content-Security-Policy" in headers:
                    await send(message)
                elif scope["path"] == PAGE and _is_page(headers):
                    held.append(message)  # its scripts are known once all of it is
                else:
                    headers["Content-Security-Policy"] = self._policy(())
                    await send(message)
            elif held and message["type"] == "http.response.body":
                held.append(message)
                if not message.get("more_body", False):
                    await self._send_page(held, send)
                    held.clear()
            else:
                await send(message)

        await self._app(scope, receive, guarded)

    async def _send_page(self, held: list[Message], send: Send) -> None:
        start, body = held[0], b"".join(message.get("body", b"") for message in held[1:])
        scripts = [match.group(1) for match in _INLINE.finditer(body[:MAX_PAGE_BYTES])]
        MutableHeaders(scope=start)["Content-Security-Policy"] = self._policy(scripts)
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _add(self, headers: MutableHeaders) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
        if not self._frames:
            headers["X-Frame-Options"] = "SAMEORIGIN"
        # Gradio lets any origin read answers under a public name; nobody else is to read any.
        for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"):
            if name in headers:
                del headers[name]

    def _policy(self, scripts: Sequence[bytes]) -> str:
        hashes = "".join(f" '{_hash(script)}'" for script in scripts)
        return "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' 'unsafe-eval'{hashes}",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "font-src 'self' data:",
                "connect-src 'self'",
                "media-src 'self' blob:",
                "worker-src 'self' blob:",
                "manifest-src 'self'",
                "frame-src 'self'",
                "form-action 'self'",
                "base-uri 'self'",
                " ".join(("frame-ancestors 'self'", *self._frames)),
            )
        )


def _is_page(headers: MutableHeaders) -> bool:
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers


def _hash(script: bytes) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"
