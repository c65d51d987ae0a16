"""Where things are on the machine is for its owner alone: to others every path is written without its beginning.

Sentences of errors name files and folders, so that whoever runs the app can mend them, and they come out in many
places: lists, the live state, the API, reports. So it is done here, on all text that leaves, also where a path is cut
between two pieces of an answer. Copies of files that Gradio made for a page keep their paths, since the page sends them
back.
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
        places = [form for name in sorted(named, key=len, reverse=True) for form in _forms(name)]
        kept = _forms(str(copies))
        self._forms = [form.encode() for form in (*places, *kept)]
        found = _any(places) if places else "(?!)"
        self._pattern = re.compile(f"(?:{_any(kept)})|({found})(?![\\w.-])".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or viewer.current().is_owner:
            await self._app(scope, receive, send)
            return
        is_text, held = False, b""

        async def told(message: Message) -> None:
            nonlocal is_text, held
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_text = headers.get("content-type", "").startswith(KINDS) and "content-encoding" not in headers
                if is_text and "content-length" in headers:
                    del headers["content-length"]  # it may become shorter: it is sent in pieces
            elif is_text and message["type"] == "http.response.body":
                text = held + message.get("body", b"")
                end = len(text) - (self._num_open(text) if message.get("more_body", False) else 0)
                message, held = {**message, "body": self.without_places(text[:end])}, text[end:]
            await send(message)

        await self._app(scope, receive, told)

    def without_places(self, text: bytes) -> bytes:
        return self._pattern.sub(lambda found: HIDDEN.encode() if found[1] is not None else found[0], text)

    def _num_open(self, text: bytes) -> int:
        """How many of the last bytes may begin a path that the next piece goes on with."""
        ends = ((form, length) for form in self._forms for length in range(1, len(form) + 1))
        return max((length for form, length in ends if text.endswith(form[:length])), default=0)


def places(data_dir: Path) -> tuple[Path, ...]:
    """What an error could name: the data, this program, its Python, and whose account it is."""
    program = Path(__file__).resolve().parent.parent.parent
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path's own fails for an account without a home)
    return (data_dir, data_dir.resolve(), program, Path(sys.prefix), home)


def _forms(path: str) -> list[str]:
    """As it is, in a page, in JSON, and in a page in JSON."""
    forms = (path, escape(path), json.dumps(path)[1:-1], json.dumps(escape(path))[1:-1])
    return list(dict.fromkeys(forms))


def _any(forms: Iterable[str]) -> str:
    return "|".join(map(re.escape, forms))
