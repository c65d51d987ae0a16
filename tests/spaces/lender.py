"""ZeroGPU without its GPUs: the real `spaces` package in its ZeroGPU mode, and a server that lends as the Hub's does.

`spaces` is imported with torch out of sight, which it is made for: everything but CUDA is then as on a Space. It forks
a worker for each call or takes a warm one, pickles what goes in and what comes out, and asks the server for each GPU.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit


class Lender:
    """`calls` are what it was asked, in order: (what, parameters). `refusal` is (status, JSON) for the next asking."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.refusal: tuple[int, str] | None = None
        self.keeps_warm = True
        self._num_lent = 0
        lender = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                address = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(address.query).items()}
                status, body = lender.answer(address.path, query)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Nothing to the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        self.calls.append((path.strip("/"), query))
        if path != "/schedule":
            return 200, ""
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            return refusal
        self._num_lent += 1
        idle = "true" if self.keeps_warm else "false"
        token = f"token-{self._num_lent}"
        return 200, f'{{"idle": {idle}, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "{token}"}}'

    def asked(self, what: str) -> list[dict[str, str]]:
        return [query for path, query in self.calls if path == what]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def import_spaces(lender: Lender, folder: Path) -> ModuleType:
    """The real package as on ZeroGPU. In a process that has not imported it before."""
    assert "spaces" not in sys.modules, "spaces reads its settings when it is imported"
    cgroup = folder / "cgroup"
    cgroup.write_text("0::/space\n")
    os.environ |= {
        "SPACE_ID": "someone/pixart",
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": lender.url,
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup),
    }
    with _out_of_sight("torch"):
        import spaces
        import spaces.zero
    return spaces


@contextmanager
def _out_of_sight(name: str) -> Iterator[None]:
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
