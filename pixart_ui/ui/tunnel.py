"""A public link through Gradio's tunnel. Where it cannot be had, the page stays on this machine and says so."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from gradio import networking
from gradio.exceptions import ChecksumMismatchError, ShareCertificateWriteError

from pixart_ui.access.hosts import Hosts
from pixart_ui.ui.words import access as words

FAILURES = (RuntimeError, OSError, ValueError, httpx.HTTPError, ChecksumMismatchError, ShareCertificateWriteError)


def open_tunnel(host: str, port: int, hosts: Hosts, temp_dir: Path) -> str:
    """What to tell whoever started it. The tunnel's own name is answered to from then on."""
    # Gradio would write it into whatever folder the app was started from.
    networking.CERTIFICATE_PATH = str(temp_dir / "tunnel-certificate.pem")
    try:
        address = networking.setup_tunnel(
            local_host=host,
            local_port=port,
            share_token=secrets.token_urlsafe(32),
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except FAILURES as error:
        return words.NO_TUNNEL.format(why=str(error).splitlines()[0][:200].rstrip(".") or type(error).__name__)
    name = urlsplit(address).hostname or ""
    hosts.add(name)
    return words.SHARED_AT.format(url=f"https://{name}")
