"""A small Hub: repositories in memory, served over HTTP as the real one does, with troubles that can be switched on.

Speaks what the client library asks for: model info with file metadata, the tree of a revision, and `resolve` with
ETag, commit and ranges; large files are redirected to another path, as the real Hub redirects to its store.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE_SUFFIXES = (".safetensors", ".bin", ".model")


@dataclass
class Request:
    method: str
    path: str
    first_byte: int = 0
    sent: int = 0


@dataclass
class FakeHub:
    """`commits` maps repository -> commit -> path -> bytes; `main` repository -> commit."""

    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    main: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    # Troubles.
    gated: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    broken_with: int | None = None
    cut_after: dict[str, int] = field(default_factory=dict)
    resets: bool = False
    # (file, bytes, event): stand still after so many bytes of that file, and say so.
    hold: tuple[str, int, threading.Event] | None = None
    ignores_ranges: bool = False
    seconds_per_chunk: float = 0.0
    wrong_content: Callable[[str, bytes], bytes] | None = None
    endpoint: str = ""

    def push(self, repo: str, files: dict[str, bytes]) -> str:
        """Make `files` the newest commit of the repository."""
        number = len(self.commits.setdefault(repo, {}))
        commit = hashlib.sha1(f"{repo} {number}".encode()).hexdigest()
        self.commits[repo][commit] = dict(files)
        self.main[repo] = commit
        return commit

    def fetched(self) -> list[str]:
        """The files whose bytes were asked for, as `repository/path`, in order."""
        result = []
        for request in self.requests:
            match = re.fullmatch(r"/(.+?)/resolve/\w+/(.+)", request.path)
            if match is not None and request.method == "GET":
                result.append(f"{match[1]}/{match[2]}")
        return result

    def bytes_sent(self, name: str) -> int:
        """How many bytes of files with that name left the server."""
        return sum(request.sent for request in self.requests if request.path.endswith(f"/{name}"))

    def find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.commits.get(repo, {})
        commit = self.main.get(repo, "") if revision == "main" else revision
        return (commit, commits[commit]) if commit in commits else None


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.request_seen = Request(self.command, path)
        self.hub.requests.append(self.request_seen)
        if self.hub.broken_with is not None:
            return self._error(self.hub.broken_with, "", "trouble")
        routes: tuple[tuple[str, Callable[..., None]], ...] = (
            (r"/api/models/(.+)/revision/(\w+)", self._info),
            (r"/api/models/(.+)/tree/(\w+)", self._tree),
            (r"/store/(.+)@(\w+)/(.+)", self._store),
            (r"/(.+?)/resolve/(\w+)/(.+)", self._resolve),
        )
        for pattern, route in routes:
            match = re.fullmatch(pattern, path)
            if match is not None:
                return self._routed(route, *match.groups())
        return self._error(404, "", "no such route")

    def _routed(self, route: Callable[..., None], repo: str, revision: str, *rest: str) -> None:
        if repo in self.hub.gated:
            return self._error(401, "GatedRepo", "Access to this model is restricted")
        if repo in self.hub.forbidden:
            return self._error(403, "", "Forbidden")
        if repo not in self.hub.commits:
            return self._error(404, "RepoNotFound", "Repository not found")
        found = self.hub.find(repo, revision)
        if found is None:
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        return route(repo, *found, *rest)

    def _info(self, repo: str, commit: str, files: dict[str, bytes]) -> None:
        siblings = [
            {"rfilename": path, "size": len(data), "blobId": _git_blob(data), "lfs": _lfs(path, data, "sha256")}
            for path, data in files.items()
        ]
        self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "private": False, "tags": []})

    def _tree(self, repo: str, commit: str, files: dict[str, bytes]) -> None:
        self._json(
            [
                {
                    "type": "file",
                    "path": path,
                    "size": len(data),
                    "oid": _git_blob(data),
                    "lfs": _lfs(path, data, "oid"),
                }
                for path, data in files.items()
            ]
        )

    def _resolve(self, repo: str, commit: str, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            return self._error(404, "EntryNotFound", "Entry not found")
        data = files[path]
        if _is_large(path):
            self.send_response(302)
            self.send_header("Location", f"/store/{repo}@{commit}/{path}")
            self.send_header("X-Repo-Commit", commit)
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Linked-ETag", f'"{_sha256(data)}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self._send_file(path, data, commit, _git_blob(data))

    def _store(self, repo: str, commit: str, files: dict[str, bytes], path: str) -> None:
        self._send_file(path, files[path], commit, _sha256(files[path]))

    def _send_file(self, path: str, data: bytes, commit: str, etag: str) -> None:
        if self.hub.wrong_content is not None:
            data = self.hub.wrong_content(path, data)
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is not None and not self.hub.ignores_ranges:
            start = int(asked[1])
        self.request_seen.first_byte = start
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "GET":
            self._send_bytes(path, data[start:])

    def _send_bytes(self, path: str, data: bytes) -> None:
        limit = self.hub.cut_after.get(path)
        for at in range(0, len(data), 4096):
            chunk = data[at : at + 4096]
            self._stand_still(path, at)
            if limit is not None and at + len(chunk) > limit:
                return self._cut(chunk[: max(0, limit - at)])
            self.wfile.write(chunk)
            self.request_seen.sent += len(chunk)
            if self.hub.seconds_per_chunk:
                time.sleep(self.hub.seconds_per_chunk)
        return None

    def _stand_still(self, path: str, sent: int) -> None:
        hold = self.hub.hold
        if hold is not None and hold[0] == path and sent >= hold[1]:
            hold[2].set()
            while self.hub.hold is hold:
                time.sleep(0.02)

    def _cut(self, last: bytes) -> None:
        """End the connection before the file has ended."""
        self.wfile.write(last)
        self.request_seen.sent += len(last)
        self.wfile.flush()
        self.close_connection = True
        if self.hub.resets:
            time.sleep(0.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _error(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _is_large(path: str) -> bool:
    return path.endswith(LARGE_SUFFIXES)


def _lfs(path: str, data: bytes, hash_key: str) -> dict[str, Any] | None:
    if not _is_large(path):
        return None
    return {hash_key: _sha256(data), "size": len(data), "pointerSize": 134}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
