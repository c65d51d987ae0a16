"""What a process must find in its environment before it imports Ray, and the token that a cluster is entered with.

Pure but for the token's file. What must stay true: nothing is reported to anybody, nobody enters without the token,
which only its owner can read, and on one machine nothing listens but on loopback.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pixart_ui.cluster.address import is_loopback
from pixart_ui.errors import InputError
from pixart_ui.settings import Settings

TOKEN_NAME = "cluster-token"
# Ray's own names, which win over ours where they are set.
TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def ray_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """To add to `environ` for a process that imports Ray. Makes the token if there is none. Raises InputError."""
    added = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        # A call after the end of a connection is an error, not a reason to start a cluster.
        "RAY_ENABLE_AUTO_CONNECT": "0",
    }
    if settings.cluster is not None and is_loopback(settings.cluster):
        # Not about Windows or macOS here: with it off, Ray's servers bind to 127.0.0.1 instead of to every address.
        added["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if not any(name in environ for name in TOKEN_VARIABLES):
        added["RAY_AUTH_TOKEN_PATH"] = str(ensure_token(settings.data_dir / TOKEN_NAME))
    return added


def ensure_token(path: Path) -> Path:
    """The file with the token, made where it is absent. Raises InputError where others can read it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(aside, path)  # not over one that another process made meanwhile
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"The cluster's token {path} can be read by others: run `chmod 600 {path}`.")
    return path
