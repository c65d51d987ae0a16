"""The guards in their order, from the outside: headers, hosts, origins, gate, discretion, sizes, files, sessions."""

from __future__ import annotations

from collections.abc import Callable

from starlette.middleware import Middleware

from pixart_ui.access.discretion import Discretion, places
from pixart_ui.access.files import FileGuard
from pixart_ui.access.gate import Gate
from pixart_ui.access.headers import SecurityHeaders
from pixart_ui.access.hosts import HostGuard
from pixart_ui.access.opening import Opening
from pixart_ui.access.origins import OriginGuard
from pixart_ui.access.sessions import Names, SessionGuard
from pixart_ui.access.sizes import UPLOADS_AN_HOUR, SizeGuard
from pixart_ui.access.throttle import Throttle
from pixart_ui.settings import Settings


def guards(opening: Opening, settings: Settings, page: Callable[[], str]) -> list[Middleware]:
    """`page` is the sign-in page."""
    copies = settings.temp_dir / "gradio"
    return [
        Middleware(SecurityHeaders, frames=opening.frames),
        Middleware(HostGuard, hosts=opening.hosts),
        Middleware(OriginGuard),
        Middleware(Gate, door=opening.door, page=page),
        Middleware(Discretion, folders=places(settings.data_dir), copies=copies),
        Middleware(SizeGuard, uploads=Throttle(UPLOADS_AN_HOUR, 3600)),
        Middleware(FileGuard, copies=copies),
        Middleware(SessionGuard, names=Names()),
    ]
