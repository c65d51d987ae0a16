"""What the flags say about who may reach the app: beside the settings, since only the page has to do with it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixart_ui.access.hosts import host_name

FLAGS = ("share", "auth", "auth_file", "allowed_host")


@dataclass(frozen=True)
class Sharing:
    """`auth` are credentials as they were typed, `user:password`."""

    share: bool = False
    auth: tuple[str, ...] = field(default=(), repr=False)
    auth_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()

    @classmethod
    def take(cls, flags: dict[str, Any]) -> Sharing:
        """Out of parsed flags, which keep the others. Raises InputError."""
        share, auth, file, hosts = (flags.pop(name) for name in FLAGS)
        return cls(
            share=share,
            auth=tuple(auth or ()),
            auth_file=Path(file).expanduser().resolve() if file is not None else None,
            allowed_hosts=tuple(host_name(name) for name in hosts or ()),
        )


def add_sharing_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--share", action="store_true", help="ask for a public link (gradio.live); everybody has to sign in"
    )
    parser.add_argument(
        "--auth",
        action="append",
        metavar="USER:PASSWORD",
        help="somebody who may sign in; the first is the owner, others are members (others on this machine can read it "
        "while the app runs: --auth-file hides it)",
    )
    parser.add_argument(
        "--auth-file", metavar="FILE", help="those who may sign in, as `python -m pixart_ui users add` wrote them"
    )
    parser.add_argument(
        "--allowed-host", action="append", metavar="NAME", help="a name that this server is reached under"
    )
