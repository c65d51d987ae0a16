"""More than 500 ways to name a file that is not meant, on everything that takes a name, by the owner herself.

They are sent as they stand, which clients would tidy up. What may come back is a refusal, never a byte of a file.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from itertools import cycle
from urllib.parse import quote

import pytest

from tests.security.parts import Person, SharedServer

MARKS = (b"root:x:0:0", b"SQLite format 3", b"canary-of-this-test")
DOTS = (
    "..", "%2e%2e", "%252e%252e", ".%2e", "%2e.", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "..;", "....", "%uff0e%uff0e",
    "\u2025", "\uff0e\uff0e", "..%00", "..%0d%0a", ".. ", "..%20", "...", "%2e%2e%00",
)  # fmt: skip
SLASHES = ("/", "%2f", "%252f", "\\", "%5c", "%255c", "//", "/./", "%c0%af", "\u2215")
TARGETS = ("etc/passwd", "journal.sqlite3", "canary.png")
PLACES = (
    "/pictures/{}", "/thumbnails/{}", "/previews/{}", "/gallery/pictures/{}", "/gallery/thumbnails/{}", "/look/{}",
    "/comparisons/{}/report.html", "/comparisons/20260101-000000-abcdef/images/{}", "/gradio_api/file={}", "/static/{}",
    "/gradio_api/file/{}", "/assets/{}", "/link/{}", "/link/{}/picture.png", "/share/picture/{}", "/svelte/{}",
    "/share/comparison/{}", "/comparisons/{}/pair?first=a&second=b",
)  # fmt: skip


def corpus(data_dir: str) -> list[str]:
    """Steps upwards in every writing, whole paths, other file systems' names, and names that end in nothing."""
    made = [
        "".join(f"{dots}{slash}" for _ in range(depth)) + target
        for dots in DOTS
        for slash in SLASHES
        for depth, target in ((1, "canary.png"), (4, "journal.sqlite3"), (9, "etc/passwd"))
    ]
    whole = ["/etc/passwd", f"{data_dir}/journal.sqlite3", f"{data_dir}/canary.png", f"{data_dir}/tmp/../canary.png"]
    forms = [form for path in whole for form in (path, quote(path, safe=""), quote(quote(path, safe=""), safe=""))]
    odd = [
        "file:///etc/passwd", "C:\\Windows\\win.ini", "\\\\server\\share\\x", "//etc/passwd", "/proc/self/environ",
        "/proc/self/cwd/app.py", "~/.ssh/id_rsa", ".env", "con", "a.png%00.html", "%00", "%", "%ff", "x" * 300 + ".png",
        "images", "", ".", "..", "*", "?", "~", "-rf", "|id", ";id", "$(id)", "http://127.0.0.1/", "http://[::1]/",
    ]  # fmt: skip
    return [*made, *forms, *odd]


def test_the_corpus_is_large(shared: SharedServer) -> None:
    assert len(set(corpus(str(shared.data_dir)))) >= 500


def asked(connection: http.client.HTTPConnection, shared: SharedServer, cookie: str, address: str) -> tuple[int, bytes]:
    """The status and the body of an address that is sent as it stands."""
    # `http.client` refuses spaces and line ends in an address, as no server would take them.
    line = address.encode("utf-8").decode("latin-1").replace(" ", "%20")
    connection._validate_path = lambda _: None  # type: ignore[attr-defined]
    connection._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
    connection.putrequest("GET", line, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{shared.port}")
    connection.putheader("Cookie", cookie)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_each_text_in_one_of_the_places_gives_no_file(shared: SharedServer, ada: Person) -> None:
    texts = [*corpus(str(shared.data_dir)), *("link.png" for _ in PLACES)]
    looked_up(shared, ada, [PLACES[index % len(PLACES)].format(text) for index, text in enumerate(texts)])


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", PLACES)
def test_each_text_in_each_place_gives_no_file(place: str, shared: SharedServer, ada: Person) -> None:
    looked_up(shared, ada, [place.format(text) for text in [*corpus(str(shared.data_dir)), "link.png"]])


def looked_up(shared: SharedServer, ada: Person, addresses: list[str]) -> None:
    (shared.data_dir / "canary.png").write_bytes(b"canary-of-this-test")
    (shared.settings.images_dir / "link.png").unlink(missing_ok=True)
    (shared.settings.images_dir / "link.png").symlink_to(shared.data_dir / "canary.png")
    cookie = "; ".join(f"{name}={value}" for name, value in ada.http.cookies.items())
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
    for address in addresses:
        status, body = asked(connection, shared, cookie, address)
        assert not any(mark in body for mark in MARKS), address
        assert status < 500, (address, status, body[:200])
    connection.close()


def texts_to_send(data_dir: str) -> Iterator[str]:
    for text in corpus(data_dir):
        yield text.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\").replace("%00", "\0")


FIELDS = ("checkpoint", "style", "result", "file")


@pytest.mark.long
def test_each_text_in_one_of_the_fields_that_take_a_name_gives_no_file(shared: SharedServer, bob: Person) -> None:
    filled_in(shared, bob, zip(dict.fromkeys(texts_to_send(str(shared.data_dir))), cycle(FIELDS), strict=False))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("field", FIELDS)
def test_each_text_in_each_field_that_takes_a_name_gives_no_file(field: str, shared: SharedServer, bob: Person) -> None:
    filled_in(shared, bob, ((text, field) for text in dict.fromkeys(texts_to_send(str(shared.data_dir)))))


def filled_in(shared: SharedServer, bob: Person, values: Iterable[tuple[str, str]]) -> None:
    (shared.data_dir / "canary.png").write_bytes(b"canary-of-this-test")
    for text, field in values:
        if field == "result":
            answer = bob.call("result", text)
        elif field == "file":
            reference = {"path": text, "meta": {"_type": "gradio.FileData"}}
            answer = bob.call("submit", reference, *[None] * 15)
        else:
            answer = bob.submit(prompt="x", **{field: text})
        assert not any(mark in answer.content for mark in MARKS), text
        assert "data" not in answer.json() or not text, (field, text, answer.text)


def test_uploads_go_nowhere_else(shared: SharedServer, ada: Person) -> None:
    for text in dict.fromkeys(texts_to_send(str(shared.data_dir))):
        name = text.replace("\0", "").replace('"', "")
        answer = ada.http.post("/gradio_api/upload", files={"files": (name or "x", b"uploaded")})
        assert answer.status_code < 500, (name, answer.status_code)
        if answer.status_code == 200:
            for path in json.loads(answer.text):
                assert path.startswith(str(shared.data_dir / "tmp" / "gradio")), (name, path)
    found = [path for path in shared.data_dir.rglob("*") if path.is_file() and path.read_bytes() == b"uploaded"]
    assert found
    assert all(path.is_relative_to(shared.data_dir / "tmp" / "gradio") for path in found)
