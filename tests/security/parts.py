"""A shared app in its own process, and the people who sign in to it over plain HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.browser.parts import ROOT, Server, wait_for

# The first is the owner, the others are members.
PASSWORDS = {"ada": "correct-horse", "bob": "battery-staple", "eve": "staple-battery", "ian": "horse-correct"}
FIELDS = (
    *("prompt", "negative_prompt", "style", "checkpoint", "precision", "transformer_precision", "numerics"),
    *("compile_blocks", "width", "height", "steps", "guidance_scale", "scheduler", "seed", "num_images", "request"),
)


@dataclass
class SharedServer(Server):
    """`app.py` with sign-in, started from an empty folder."""

    flags: tuple[str, ...] = ()
    environ: dict[str, str] | None = None

    def start(self) -> None:
        where = self.data_dir.parent / "empty"
        where.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        places = ["--port", str(self.port), "--data-dir", str(self.data_dir), "--device", "cpu"]
        command = [sys.executable, str(ROOT / "app.py"), *places, *self.flags]
        with (self.data_dir / "page.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=where, stdout=log, stderr=log, env=self.environ)
        wait_for(lambda: self.get("/healthz") == b"ok", "the page to be served", 90)

    def person(self, name: str | None = None) -> Person:
        """Somebody who has signed in; without a name somebody who has not."""
        person = Person(httpx.Client(base_url=self.url, timeout=60))
        if name is not None:
            answer = person.http.post("/login", data={"username": name, "password": PASSWORDS[name]})
            assert answer.json() == {"success": True}
        return person


@dataclass
class Person:
    """A program with a cookie, or without."""

    http: httpx.Client
    ids: list[int] = field(default_factory=list)

    def call(self, name: str, *data: Any) -> httpx.Response:
        return self.http.post(f"/gradio_api/run/{name}", json={"data": list(data)})

    def submit(self, **fields: Any) -> httpx.Response:
        return self.call("submit", *(fields.get(name) for name in FIELDS))

    def submitted(self, **fields: Any) -> list[int]:
        """The numbers of the jobs."""
        answer = self.submit(**{"steps": 2, **fields})
        assert answer.status_code == 200, answer.text
        ids: list[int] = answer.json()["data"][0]
        self.ids += ids
        return ids

    def status(self, *ids: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("status", list(ids)).json()["data"][0]
        return found

    def wait(self, *ids: int, seconds: float = 120) -> list[dict[str, Any]]:
        """Until all have ended."""
        wait_for(
            lambda: all(job["state"] in ("done", "failed", "cancelled") for job in self.status(*ids)), "jobs", seconds
        )
        return self.status(*ids)


@contextmanager
def sharing(data_dir: Path, *flags: str, environ: dict[str, str] | None = None) -> Iterator[SharedServer]:
    users = [part for name, password in PASSWORDS.items() for part in ("--auth", f"{name}:{password}")]
    server = SharedServer(data_dir, flags=(*users, *flags), environ=environ)
    server.start()
    try:
        yield server
    finally:
        server.stop()
