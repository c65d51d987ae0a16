"""Which names this server answers to. Any other is refused, so that no foreign name can be made to mean this machine.

A page of a stranger whose name is rebound to 127.0.0.1 still sends its own name as Host: that is what gives it away.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from pixart_ui.access.http import headers_of, refuse
from pixart_ui.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r":[0-9]{1,5}")


class Hosts:
    """The names, without ports. A tunnel's is added once it is known.

    `has_addresses`: any address will do, as a platform asks whether its container lives; only names can be rebound.
    """

    def __init__(self, names: Iterable[str], *, has_addresses: bool = False) -> None:
        self._has_addresses = has_addresses
        self._names = frozenset(name.lower() for name in names)

    def add(self, name: str) -> None:
        self._names |= {name.lower()}

    def has(self, host: str) -> bool:
        """Whether a Host header names one of them, on whatever port."""
        name = without_port(host)
        return name is not None and (name in self._names or (self._has_addresses and is_address(name)))


def without_port(host: str) -> str | None:
    """The name in a Host header, in small letters; None for one that is none."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
    else:
        name, colon, port = host.partition(":")
        bracket, rest = "]", colon + port
    if not bracket or (rest and _PORT.fullmatch(rest) is None):
        return None
    return name.lower()


def host_name(text: str) -> str:
    """A name as `--allowed-host` takes it. Raises InputError."""
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None and not is_address(name):
        raise InputError(
            f"Host {text[:60]!r} is not a host name or address: write it without http:// and port, "
            "for example pictures.example.org."
        )
    return name


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound there."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class HostGuard:
    """Refuses requests under any other name, in `Host` or where a proxy says what was asked for."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = headers_of(scope)
            named = [
                *headers.getlist("host"),
                *headers.getlist("x-forwarded-host"),
                *headers.getlist("x-gradio-server"),
            ]
            foreign = [name for name in named if not self._hosts.has(name)]
            if foreign or not headers.getlist("host"):
                await refuse(scope, receive, send, _refusal(foreign), 400)
                return
        await self._app(scope, receive, send)


def _refusal(foreign: list[str]) -> str:
    shown = "".join(char for char in (foreign or [""])[0][:60] if char.isprintable())
    return (
        f"This server does not answer to the name {shown!r}: use the address that it printed when it started, "
        "or start it with --allowed-host and this name.\n"
    )
