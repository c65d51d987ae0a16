"""The guards in their order, from the outside: headers, hosts, origins, the gate, sizes, Gradio's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.middleware import Middleware

from pixart_ui.access.files import FileGuard
from pixart_ui.access.gate import Gate
from pixart_ui.access.headers import SecurityHeaders
from pixart_ui.access.hosts import HostGuard
from pixart_ui.access.opening import Opening
from pixart_ui.access.origins import OriginGuard
from pixart_ui.access.sizes import UPLOADS_AN_HOUR, SizeGuard
from pixart_ui.access.throttle import Throttle


def guards(opening: Opening, copies: Path, page: Callable[[], str]) -> list[Middleware]:
    """`copies` is where Gradio keeps its copies of files, `page` the sign-in page."""
    return [
        Middleware(SecurityHeaders, frames=opening.frames),
        Middleware(HostGuard, hosts=opening.hosts),
        Middleware(OriginGuard),
        Middleware(Gate, door=opening.door, page=page),
        Middleware(SizeGuard, uploads=Throttle(UPLOADS_AN_HOUR, 3600)),
        Middleware(FileGuard, copies=copies),
    ]
