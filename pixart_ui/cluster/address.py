"""`--cluster`: which Ray cluster draws. Pure, and without Ray."""

from __future__ import annotations

import ipaddress
import re

from pixart_ui.errors import InputError

# One that is started with the app, for this machine alone.
AUTO = "auto"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def parse_cluster(text: str) -> str:
    """`auto`, or `HOST:PORT` of the cluster's head. Raises InputError.

    >>> parse_cluster(" 192.168.1.10:6379 ")
    '192.168.1.10:6379'
    """
    address = text.strip()
    if address == AUTO:
        return AUTO
    host, _, port = address.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if not (is_port and _HOST.fullmatch(host)):
        raise InputError(
            f"Cluster {text[:60]!r} has no address, it must be auto or HOST:PORT of its head: try 192.168.1.10:6379."
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it."""
    host = address.rpartition(":")[0]
    if address == AUTO or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
