"""Gradio serves files by their paths. Here that is its own folder of copies, and for nobody anything else.

A copy lies in a folder named by the hash of its content, so that nobody finds one that they do not have. Pictures have
addresses of our own, which ask whose they are.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from pixart_ui.access.http import refuse

PREFIXES = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/")
# What fetches, keeps or tells more than anything here needs.
CLOSED_API = ("proxy=", "deep_link", "vibe", "undo-vibe", "mcp", "runs", "run-history", "dev/", "profiling", "stream/",
              "component_server", "process_recording")  # fmt: skip
CLOSED = ("/monitoring", "/proxy=", *(f"/gradio_api/{path}" for path in CLOSED_API))

# What file systems take; Gradio stumbles over longer ones.
MAX_NAME_BYTES = 255


class FileGuard:
    """`copies` is Gradio's folder."""

    def __init__(self, app: ASGIApp, copies: Path) -> None:
        self._app = app
        self._copies = os.path.realpath(copies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_refused(scope["path"]):
            await refuse(scope, receive, send, "Not found", 404)
            return
        await self._app(scope, receive, send)

    def _is_refused(self, path: str) -> bool:
        if (
            path.startswith(CLOSED)
            or "\0" in path
            or any(len(part.encode()) > MAX_NAME_BYTES for part in path.split("/"))
        ):
            return True
        named = next((path[len(prefix) :] for prefix in PREFIXES if path.startswith(prefix)), None)
        if named is None:
            return False
        if not named.startswith("/"):
            return True
        return not Path(os.path.realpath(named)).is_relative_to(self._copies)
