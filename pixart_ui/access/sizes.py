"""How large a request may be. Counted as it comes, whatever its length header says.

Gradio reads a whole JSON body into memory before anything looks at it, and bounds uploads alone.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixart_ui.access import viewer
from pixart_ui.access.http import headers_of, refuse
from pixart_ui.access.throttle import Throttle

MIB = 1024**2
# Texts of a form, as many lines as a queue may be given at a time; uploads have bounds of their own.
MAX_BODY_BYTES = 20 * MIB
MAX_UPLOAD_BYTES = 128 * MIB
# Of everybody but the owner: a queue's file, or a picture to read the settings of.
MEMBER_UPLOAD_BYTES = 24 * MIB
UPLOADS_AN_HOUR = 120
UPLOAD = "/gradio_api/upload"
TOO_MANY = "More files were sent within an hour than this server takes: wait a while.\n"
REFUSAL = "More was sent than this server takes: send less at a time.\n"


class SizeGuard:
    """Refuses what is too large: at once where the header says so, else as soon as it is."""

    def __init__(self, app: ASGIApp, uploads: Throttle) -> None:
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asking, is_upload = viewer.current(), scope["path"].rstrip("/") == UPLOAD
        most = MAX_BODY_BYTES
        if is_upload:
            most = MAX_UPLOAD_BYTES if asking.is_owner else MEMBER_UPLOAD_BYTES
            if not asking.is_owner and self._uploads.wait(asking.name) > 0:
                await refuse(scope, receive, send, TOO_MANY, 429)
                return
        said = headers_of(scope).get("content-length", "0")
        if not said.isdecimal() or int(said[:19]) > most:
            await refuse(scope, receive, send, REFUSAL, 413)
            return
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > most:
                raise HTTPException(413, REFUSAL)
            return message

        async def told(message: Message) -> None:
            """Whoever still sends is cut off."""
            if num_bytes > most and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, counted, told)
