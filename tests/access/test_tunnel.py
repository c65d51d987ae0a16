"""A public link, where it can be had and where not."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio import networking

from pixart_ui.access.hosts import LOOPBACK, Hosts
from pixart_ui.ui.tunnel import open_tunnel


def test_without_a_network_the_page_stays_on_this_machine_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networking, "GRADIO_API_SERVER", "http://127.0.0.1:9/")
    hosts = Hosts(LOOPBACK)
    told = open_tunnel("127.0.0.1", 7860, hosts, tmp_path)
    assert told.startswith("No share link can be had (")
    assert "the page stays on this machine" in told
    assert not hosts.has("abc.gradio.live")


def test_the_tunnels_own_name_is_answered_to_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "setup_tunnel", lambda **_: "https://abc.gradio.live")
    hosts = Hosts(LOOPBACK)
    assert "https://abc.gradio.live" in open_tunnel("127.0.0.1", 7860, hosts, tmp_path)
    assert hosts.has("abc.gradio.live")
    assert not hosts.has("xyz.gradio.live")
    assert not hosts.has("gradio.live")
