"""Sessions, events and uploads of Gradio belong to whoever named them first: to others they are not there.

A browser makes up the name of its session, and Gradio answers whoever knows it: what its events say, an event more in
its stream, an end to it. Names stand in addresses, queries and bodies; numbers of events also in answers. Nothing is
refused where one person works alone. Names are forgotten, each viewer's oldest first, so that they take no room.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixart_ui.access import viewer
from pixart_ui.access.http import refuse
from pixart_ui.access.viewer import LOCAL_OWNER

# Browsers with a tab or two; a program that asks for one event after the other needs the latest alone.
MAX_NAMES = 200
MAX_VIEWERS = 2_000
# Gradio's have 11, numbers of events 32.
MAX_NAME_CHARS = 200
REFUSAL = "This session is not known here: reload the page.\n"
FOLDER, UPLOAD = "/gradio_api/", "/gradio_api/upload"
KEYS = ("session_hash", "event_id")
_IN_QUERY = (*KEYS, "upload_id")
_IN_PATH = re.compile(r"/gradio_api/(?:heartbeat|call(?:/v2)?/[^/]+)/([^/]+)/?")
_TELLS = re.compile(r"/gradio_api/(?:call/.+|queue/join/?)")


class Names:
    """Who named what first."""

    def __init__(self, most: int = MAX_NAMES, most_viewers: int = MAX_VIEWERS) -> None:
        self._most, self._most_viewers = most, most_viewers
        self._owners: dict[str, str] = {}
        self._of: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def claim(self, name: str, owner: str) -> bool:
        """False where it is somebody else's, or longer than any name."""
        if len(name) > MAX_NAME_CHARS or self._owners.setdefault(name, owner) != owner:
            return False
        names = self._of.setdefault(owner, OrderedDict())
        self._of.move_to_end(owner)
        names[name] = None
        names.move_to_end(name)
        if len(names) > self._most:
            self._forget(names.popitem(last=False)[0])
        if len(self._of) > self._most_viewers:
            for old in self._of.popitem(last=False)[1]:
                self._forget(old)
        return True

    def _forget(self, name: str) -> None:
        del self._owners[name]


class SessionGuard:
    """Stands behind the sizes, so that a body that it collects is bounded."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = viewer.current().name
        if scope["type"] != "http" or not scope["path"].startswith(FOLDER) or owner == LOCAL_OWNER:
            await self._app(scope, receive, send)
            return
        if not self._are_own(in_address(scope), owner):
            await refuse(scope, receive, send, REFUSAL, 404)
            return
        body, told = bytearray(), bytearray()
        has_names = scope["method"] == "POST" and scope["path"].rstrip("/") != UPLOAD
        is_telling = has_names and _TELLS.fullmatch(scope["path"]) is not None

        async def looked_at() -> Message:
            message = await receive()
            if has_names and message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False) and not self._are_own(in_json(body), owner):
                    raise HTTPException(404, REFUSAL)
            return message

        async def noted(message: Message) -> None:
            if is_telling and message["type"] == "http.response.body":
                told.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._are_own(in_json(told), owner)
            await send(message)

        await self._app(scope, looked_at, noted)

    def _are_own(self, names: Iterable[str], owner: str) -> bool:
        return all(self._names.claim(name, owner) for name in names)


def in_address(scope: Scope) -> list[str]:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    path = _IN_PATH.fullmatch(scope["path"])
    return [*(value for key, value in query if key in _IN_QUERY), *([path[1]] if path is not None else [])]


def in_json(body: bytes | bytearray) -> list[str]:
    """Of what is no JSON object there are none; Gradio refuses it."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found = [values.get(key) for key in KEYS] if isinstance(values, dict) else []
    return [name for name in found if isinstance(name, str)]
