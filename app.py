"""The page: flags, settings, services, worker, page. `python app.py --help`."""

from __future__ import annotations

import os
import socket
import sys

from pixart_ui import cli
from pixart_ui.access.opening import open_door
from pixart_ui.access.sharing import Sharing, add_sharing_flags
from pixart_ui.commands.flags import add_cap_flags, add_device_flags, add_fleet_flags, add_worker_flags
from pixart_ui.errors import InputError
from pixart_ui.jobs.fleet import Fleet
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.spaces.bounds import bounded
from pixart_ui.spaces.fetching import fetch_in_background, wanted
from pixart_ui.spaces.kind import SpaceKind, space_kind


def main() -> int:
    parser = cli.Parser(prog="python app.py", description=__doc__, parents=[cli.data_dir_parser()])
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", help="port to listen on (default: 7860)")
    add_device_flags(parser)
    add_fleet_flags(parser)
    add_worker_flags(parser)
    add_cap_flags(parser)
    add_sharing_flags(parser)
    flags = vars(parser.parse_args())
    sharing = Sharing.take(flags)
    settings = Settings.read(os.environ, **flags | {"port": port_number(flags["port"])})
    with cli.unexpected_kept(settings):
        check_port_is_free(settings)
        kind = space_kind(os.environ)
        if kind is not None:
            settings = bounded(settings)
            fetch_in_background(wanted(os.environ), settings)
        if kind is SpaceKind.ZERO_GPU:
            from pixart_ui.spaces.serving import serve_directly

            serve_directly(settings, sharing)
            return 0
        services = Services.open(settings)
        opening = open_door(settings, sharing, os.environ)
        fleet = Fleet(settings, services.journal, os.environ)
        fleet.start()
        try:
            from pixart_ui.ui.build import serve  # gradio takes seconds to import: the worker starts meanwhile
            from pixart_ui.ui.on_space import OnSpace

            on_space = OnSpace(kind) if kind is not None else None
            serve(services, fleet, opening, is_tunnelled=sharing.share, on_space=on_space)
        finally:
            fleet.stop()
    return 0


def port_number(text: str | None) -> int | None:
    if text is not None and not (text.isascii() and text.isdigit()):
        raise InputError(f"Port {text[:40]!r} is not a number, it must be from 1 to 65535: try 7860.")
    return None if text is None else int(text)


def check_port_is_free(settings: Settings) -> None:
    """Before anything is started. Raises InputError."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        other = settings.port + 1 if 1024 <= settings.port < 65535 else 7861
        raise InputError(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}): "
            f"choose another, for example --port {other}."
        ) from None


if __name__ == "__main__":
    sys.exit(cli.at_the_edge(main))
