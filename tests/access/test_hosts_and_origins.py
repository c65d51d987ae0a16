"""Names that the server answers to, and requests that another site's page made."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from pixart_ui.access.hosts import LOOPBACK, Hosts, host_name, is_loopback
from pixart_ui.access.origins import is_foreign
from pixart_ui.errors import InputError


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1:1", "[::1]:7860", "[::1]"])
def test_this_machine_is_known_by_its_own_names(host: str) -> None:
    assert Hosts(LOOPBACK).has(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7860", "localhost:7860:1", "[::1", "::1",
     "localhost:", "localhost:x", "localhost@evil.example", "127.0.0.2", "0.0.0.0", "localhost, evil.example"],
)  # fmt: skip
def test_any_other_name_is_foreign(host: str) -> None:
    assert not Hosts(LOOPBACK).has(host)


def test_a_tunnel_is_known_once_it_is_open() -> None:
    hosts = Hosts(LOOPBACK)
    hosts.add("abc.gradio.live")
    assert hosts.has("abc.gradio.live")
    assert not hosts.has("abd.gradio.live")


@pytest.mark.parametrize("name", ["http://a.example", "a.example/x", "a b", "", "*", "a.example:80"])
def test_a_name_with_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        host_name(name)


def test_addresses_are_loopback_or_not() -> None:
    assert is_loopback("localhost")
    assert is_loopback("127.8.8.8")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("::")
    assert not is_loopback("example.org")


OWN = {"host": "localhost:7860"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"origin": "http://evil.example"}),
        ("GET", {"origin": "http://evil.example"}),
        ("GET", {"origin": "null"}),
        ("POST", {"origin": "http://localhost:7861"}),
        ("POST", {"origin": "http://localhost"}),
        ("POST", {"origin": "http://localhost:7860.evil.example"}),
        ("POST", {"origin": "file://localhost:7860"}),
        ("POST", {"origin": "http://[::1"}),
        ("POST", {"referer": "http://evil.example/localhost:7860"}),
        ("POST", {"sec-fetch-site": "cross-site"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
    ],
)
def test_what_another_sites_page_asks_is_foreign(method: str, headers: dict[str, str]) -> None:
    assert is_foreign(method, Headers(OWN | headers))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("POST", {}),
        ("POST", {"origin": "http://localhost:7860", "sec-fetch-site": "same-origin"}),
        ("POST", {"origin": "http://LOCALHOST:7860"}),
        ("GET", {"referer": "http://elsewhere.example/"}),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
    ],
)
def test_the_page_itself_a_followed_link_and_a_program_are_not(method: str, headers: dict[str, str]) -> None:
    assert not is_foreign(method, Headers(OWN | headers))
