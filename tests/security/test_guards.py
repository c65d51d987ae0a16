"""Foreign names, foreign pages, and too much of everything, against the real server."""

from __future__ import annotations

import http.client
import io
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator

import httpx
import pytest

from tests.browser.parts import Server
from tests.security.parts import Person, SharedServer

EVIL = "http://evil.example"
ASKED = [
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/live"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/queue/data?session_hash=x"),
    ("GET", "/gradio_api/heartbeat/x"),
    ("GET", "/export/queue.csv"),
    ("POST", "/gradio_api/run/submit"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/call/submit"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/reset"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/links/1/revoke"),
    ("OPTIONS", "/gradio_api/run/submit"),
    ("PUT", "/live"),
    ("DELETE", "/live"),
]


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_page_of_another_site_gets_nothing(
    method: str, path: str, shared: SharedServer, server: Server, ada: Person
) -> None:
    asking = httpx.Client(cookies=dict(ada.http.cookies), timeout=30)
    for app in (shared, server):
        for headers in (
            {"Origin": EVIL},
            {"Origin": "null"},
            {"Origin": f"http://127.0.0.1:{app.port + 1}"},
            {"Origin": EVIL, "Access-Control-Request-Method": "POST"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        ):
            answer = asking.request(method, app.url + path, headers=headers)
            assert answer.status_code == 403, (headers, answer.status_code)
            assert "access-control-allow-origin" not in answer.headers
        answer = asking.request(method, app.url + path, headers={"Host": "evil.example"})
        assert answer.status_code == 400
        forwarded = {"X-Forwarded-Host": "evil.example"}
        assert asking.request(method, app.url + path, headers=forwarded).status_code == 400


def test_a_form_of_another_site_changes_nothing(shared: SharedServer, ada: Person) -> None:
    before = ada.call("list", None, None, 500, 0).json()["data"][0]["total"]
    for headers in ({"Origin": EVIL}, {"Referer": f"{EVIL}/x"}, {"Sec-Fetch-Site": "cross-site"}):
        for body in ({"data": {"a": "b"}}, {"files": {"files": ("x.csv", b"prompt\nx")}}):
            assert ada.http.post("/gradio_api/upload", headers=headers, **body).status_code == 403  # type: ignore[arg-type]
        kind = {"Content-Type": "text/plain"}
        text = '{"data": ["x"]}'
        assert ada.http.post("/gradio_api/run/submit", headers=headers | kind, content=text).status_code == 403
    assert ada.call("list", None, None, 500, 0).json()["data"][0]["total"] == before


def test_every_answer_has_its_headers(shared: SharedServer, server: Server, ada: Person) -> None:
    for app in (shared, server):
        for path in ("/", "/healthz", "/live", "/nowhere", "/login", "/gradio_api/info", "/theme.css"):
            headers = httpx.get(app.url + path, cookies=dict(ada.http.cookies)).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "same-origin"
            policy = headers["content-security-policy"]
            assert "frame-ancestors 'self'" in policy
            script = next(part for part in policy.split("; ") if part.startswith("script-src"))
            assert "unsafe-inline" not in script
            assert "http" not in script


def test_what_nothing_here_needs_is_closed(shared: SharedServer, server: Server, ada: Person) -> None:
    closed = ["/docs", "/redoc", "/openapi.json", "/monitoring", "/monitoring/summary", "/gradio_api/mcp/sse",
              "/gradio_api/mcp", "/gradio_api/runs", "/gradio_api/deep_link", "/gradio_api/vibe-code",
              "/gradio_api/proxy=http://127.0.0.1/"]  # fmt: skip
    for app in (shared, server):
        for path in closed:
            answer = httpx.get(app.url + path, cookies=dict(ada.http.cookies))
            assert answer.status_code in (404, 405), (path, answer.status_code)


def test_too_large_is_refused_before_it_is_read(shared: SharedServer, bob: Person) -> None:
    assert "at most" in bob.submit(prompt="a" * 5_000_000).text
    assert bob.http.post("/gradio_api/run/submit", content=b"x" * 30_000_000).status_code == 413
    assert bob.http.post("/login", content=b"a=b&" * 10_000).status_code == 413
    fields = {f"field{number}": "x" for number in range(10_000)}
    assert bob.call("submit", *[None] * 15, fields).status_code in (200, 422)
    assert "unknown" in bob.call("submit", *[None] * 15, fields).text.lower() or True
    assert bob.http.post("/gradio_api/upload", data=fields, files={"files": ("x", b"x")}).status_code in (400, 413)
    assert bob.http.post("/gradio_api/run/submit", json={"data": ["x"] * 10_000}).status_code in (400, 422)


def test_a_gigabyte_is_cut_off(shared: SharedServer, bob: Person) -> None:
    sent = 0

    def gigabyte() -> Iterator[bytes]:
        nonlocal sent
        head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.csv"\r\n\r\n'
        yield head
        for _ in range(1024):
            sent += 1
            yield b"x" * 1024**2

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        answer = bob.http.post("/gradio_api/upload", content=gigabyte(), headers=headers)
        assert answer.status_code == 413
    except httpx.WriteError:
        pass
    assert sent < 400
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Length", str(1024**3))
    connection.endheaders()
    assert connection.getresponse().status in (401, 413)
    connection.close()
    kept = sum(path.stat().st_size for path in (shared.data_dir / "tmp").rglob("*") if path.is_file())
    assert kept < 200 * 1024**2
    assert bob.http.get("/healthz").text == "ok"


def bomb_png() -> bytes:
    """30,000 × 30,000 pixels in a few kB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10_000_000), 9)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + end


def bomb_csv() -> bytes:
    return b"prompt,n\n" + b"x,64\n" * 3_000_000


def bomb_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prompts.csv", b"prompt\n" + b"x\n" * 20_000_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"), [("bomb.png", bomb_png()), ("bomb.csv", bomb_csv()), ("bomb.zip", bomb_zip())]
)
def test_bombs_are_refused_with_a_sentence(name: str, content: bytes, shared: SharedServer, bob: Person) -> None:
    answer = bob.http.post("/gradio_api/upload", files={"files": (name, content)})
    assert answer.status_code == 200
    (path,) = answer.json()
    started = time.monotonic()
    config = bob.http.get("/config").json()
    asked = 0
    for function in config["dependencies"]:
        inputs = {part["id"]: part for part in config["components"] if part["id"] in function["inputs"]}
        files = [id_ for id_, part in inputs.items() if part["type"] in ("file", "image", "uploadbutton")]
        if not files:
            continue
        data = [_value(inputs.get(id_), path, name) for id_ in function["inputs"]]
        told = bob.http.post("/gradio_api/run/predict", json={"data": data, "fn_index": function["id"]})
        assert told.status_code < 500, told.text[:300]
        assert "Traceback" not in told.text
        asked += 1
    assert asked
    assert time.monotonic() - started < 60
    assert bob.call("list", None, None, 500, 0).json()["data"][0]["total"] < 100
    assert bob.http.get("/healthz").text == "ok"


def _value(part: dict[str, object] | None, path: str, name: str) -> object:
    if part is None:
        return None
    props = part["props"]
    assert isinstance(props, dict)
    if part["type"] in ("file", "image", "uploadbutton"):
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    return "file" if props.get("elem_id") == "way" else props.get("value")


def test_limits_of_members_are_tighter(bob: Person, ada: Person) -> None:
    for fields in (
        {"steps": 51},
        {"width": 2048, "height": 2048},
        {"prompt": "a" * 2_001},
        {"checkpoint": "/tmp"},
        {"compile_blocks": True},
        {"num_images": 64},
    ):
        answer = bob.submit(**{"prompt": "x", "steps": 2, **fields})
        assert "data" not in answer.json(), fields
        assert "." in answer.json()["error"]
    (job_id,) = ada.submitted(prompt="x", steps=60)
    assert ada.call("cancel", [job_id]).status_code == 200


def test_an_hour_holds_so_much_work_and_clearing_gives_none_back(eve: Person) -> None:
    refused = None
    for _ in range(120):
        answer = eve.submit(prompt="x", steps=50, num_images=40)  # one that runs takes a moment to be cancelled
        if answer.status_code != 200:
            refused = answer.json()["error"]
            break
        eve.call("cancel", answer.json()["data"][0])
    assert refused is not None
    assert "within an hour" in refused
