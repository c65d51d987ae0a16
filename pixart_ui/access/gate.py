"""Whoever passes has a viewer: alone on this machine the local owner, on a Space a browser, else who signed in.

Behind it nothing is asked by nobody: a request without a viewer gets the sign-in page, or 401, except for the few
addresses that are open. The viewer is in the request's scope as well, since Gradio calls some handlers later and from
elsewhere; see `events.py`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixart_ui.access import viewer as viewers
from pixart_ui.access.http import NEVER, is_https, refuse, wants_page
from pixart_ui.access.passwords import hashed, matches
from pixart_ui.access.store import Store
from pixart_ui.access.throttle import Throttle
from pixart_ui.access.users import User, Users
from pixart_ui.access.viewer import LOCAL, NOBODY, Role, Viewer, seen_by

SCOPE_KEY = "pixart_ui.viewer"
# Addresses that need no viewer. A link carries its own proof.
OPEN_PATHS = ("/healthz", "/login")
OPEN_FOLDER = "/link/"
# Gradio asks this of itself while it starts.
STARTING_PATH = "/gradio_api/startup-events"
TRIES, TRY_SECONDS = 5, 60.0
SIGN_IN = "Sign in first: at /login in a browser; a program posts its username and password there.\n"


class Mode(StrEnum):
    """How the app is reached: from this machine alone, by people who sign in, or by visitors of a Space."""

    LOCAL = "local"
    SHARED = "shared"
    SPACE = "space"


@dataclass
class Door:
    """What the gate asks: users and sessions. `port` keeps the cookies of two apps on one machine apart."""

    mode: Mode
    port: int
    users: Users = field(default_factory=Users)
    store: Store | None = None
    is_starting: bool = True
    throttle: Throttle = field(default_factory=lambda: Throttle(TRIES, TRY_SECONDS))
    # Names that nobody has are counted apart, so that any number of them makes no other forgotten.
    strangers: Throttle = field(default_factory=lambda: Throttle(TRIES, TRY_SECONDS))
    # Checked for such a name, so that it takes as long; not more often than for one that somebody has.
    decoy: str = field(default_factory=lambda: hashed(secrets.token_hex(8)))
    decoys: Throttle = field(default_factory=lambda: Throttle(TRIES, TRY_SECONDS))
    # How many passwords were really looked at, and how long that took the last time.
    num_checks: int = 0
    check_seconds: float = 0.05

    @property
    def cookie(self) -> str:
        return f"pixart-ui-{self.port}"

    def wait(self, name: str) -> float:
        """Seconds until that name may be tried again, whether somebody has it or not."""
        return (self.throttle if self.users.get(name) is not None else self.strangers).wait(name)

    def check(self, name: str, password: str) -> User | None:
        """Takes as long for a wrong name as for a wrong password."""
        user = self.users.get(name)
        if user is None and self.decoys.wait("") > 0:
            time.sleep(self.check_seconds)
            return None
        self.num_checks += 1
        began = time.perf_counter()
        is_right = matches(password, user.password if user is not None else self.decoy)
        self.check_seconds = time.perf_counter() - began
        if user is None or not is_right:
            return None
        self.throttle.forget(name)
        return user

    def sign_in(self, user: User) -> str:
        """Returns the token for the cookie."""
        return self._store().open_session(user.name, basis_of(user))

    def sign_out(self, token: str) -> None:
        self._store().close_session(token)

    def viewer(self, cookies: Mapping[str, str]) -> Viewer | None:
        """Whoever is asking; None where that is nobody yet."""
        token = cookies.get(self.cookie, "")
        if self.mode is Mode.LOCAL:
            return LOCAL
        if self.mode is Mode.SPACE:
            return visitor(token) if is_token(token) else None
        session = self._store().session(token) if is_token(token) else None
        user = self.users.get(session.user) if session is not None else None
        if session is None or user is None or session.basis != basis_of(user):
            return None
        return user.viewer

    def _store(self) -> Store:
        assert self.store is not None, "only a shared app has sessions"
        return self.store


def basis_of(user: User) -> str:
    return hashlib.sha256(user.line().encode()).hexdigest()


def is_token(text: str) -> bool:
    return 40 <= len(text) <= 64 and text.isascii()


def visitor(token: str) -> Viewer:
    """Whoever has that token is that visitor; the name says nothing of it."""
    return Viewer(f"visitor-{hashlib.sha256(token.encode()).hexdigest()[:16]}", Role.VISITOR)


class Gate:
    """`page` is the sign-in page as HTML."""

    def __init__(self, app: ASGIApp, door: Door, page: Callable[[], str]) -> None:
        self._app = app
        self._door = door
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        viewer = self._door.viewer(HTTPConnection(scope).cookies)
        if viewer is None and self._door.mode is Mode.SPACE and scope["type"] == "http":
            token = secrets.token_urlsafe(32)
            viewer, send = visitor(token), _giving(self._door.cookie, token, send)
        if viewer is None and not self._is_open(scope):
            await self._ask(scope, receive, send)
            return
        scope[SCOPE_KEY] = viewer if viewer is not None else NOBODY
        with seen_by(scope[SCOPE_KEY]):
            await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        if scope["type"] != "http":
            return False
        return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or (self._door.is_starting and path == STARTING_PATH)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and wants_page(scope) and scope["method"] in ("GET", "HEAD"):
            page = HTMLResponse(self._page(), status_code=401, headers=NEVER)
            await page(scope, receive, send)
        else:
            await refuse(scope, receive, send, SIGN_IN, 401)


def _giving(name: str, token: str, send: Send) -> Send:
    """In a frame of another site a cookie needs all of this."""

    async def giving(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{name}={token}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=None; Partitioned"
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return giving


def session_cookie(name: str, token: str, request: Request, seconds: int) -> str:
    secure = "; Secure" if is_https(request) else ""
    return f"{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def only_owner() -> PlainTextResponse | None:
    """A refusal for whoever is not the owner; None for the owner."""
    if viewers.current().is_owner:
        return None
    return PlainTextResponse("Not found", status_code=404, headers=NEVER)
