"""Where things are on the machine is for its owner alone: to others every path is written without its beginning.

Sentences of errors name files and folders, so that whoever runs the app can mend them, and they come out in many
places: lists, the live state, the API, reports. So it is done here, on all text that leaves. Copies of files that
Gradio made for a page keep their paths, since the page sends them back.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixart_ui.access import viewer

HIDDEN = "…"
KINDS = ("application/json", "text/plain", "text/html", "text/event-stream")
# `/data` or `/root` say nothing of anybody, and could be part of an address.
LEAST_PARTS = 3


class Discretion:
    """`folders` are written as an ellipsis, the longest first; what lies in `copies` stays."""

    def __init__(self, app: ASGIApp, folders: Iterable[Path], copies: Path) -> None:
        self._app = app
        named = {str(folder) for folder in folders if len(folder.parts) >= LEAST_PARTS}
        found = "|".join(form for name in sorted(named, key=len, reverse=True) for form in _forms(name))
        kept = "|".join(_forms(str(copies)))
        self._pattern = re.compile(f"(?:{kept})|({found if found else '(?!)'})(?![\\w.-])".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or viewer.current().is_owner:
            await self._app(scope, receive, send)
            return
        is_text = False

        async def told(message: Message) -> None:
            nonlocal is_text
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_text = headers.get("content-type", "").startswith(KINDS) and "content-encoding" not in headers
                if is_text and "content-length" in headers:
                    del headers["content-length"]  # it may become shorter: it is sent in pieces
            elif is_text and message["type"] == "http.response.body":
                message = {**message, "body": self.without_places(message.get("body", b""))}
            await send(message)

        await self._app(scope, receive, told)

    def without_places(self, text: bytes) -> bytes:
        return self._pattern.sub(lambda found: HIDDEN.encode() if found[1] is not None else found[0], text)


def places(data_dir: Path) -> tuple[Path, ...]:
    """What an error could name: the data, this program, its Python, and whose account it is."""
    program = Path(__file__).resolve().parent.parent.parent
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path's own fails for an account without a home)
    return (data_dir, data_dir.resolve(), program, Path(sys.prefix), home)


def _forms(path: str) -> list[str]:
    """As it is, in a page, in JSON, and in a page in JSON; as patterns."""
    forms = (path, escape(path), json.dumps(path)[1:-1], json.dumps(escape(path))[1:-1])
    return [re.escape(form) for form in dict.fromkeys(forms)]
