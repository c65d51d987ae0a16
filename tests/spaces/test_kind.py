"""Which Space this is, from its environment alone."""

from __future__ import annotations

import pytest

from pixart_ui.spaces.kind import SpaceKind, frame_ancestors, is_space, space_hosts, space_kind

SPACE = {"SPACE_ID": "someone/pixart", "SPACE_HOST": "someone-pixart.hf.space"}


def test_a_machine_of_ones_own_is_no_space() -> None:
    assert not is_space({})
    assert space_kind({"SPACE_ID": ""}) is None
    assert space_hosts({"SPACE_HOST": "someone-pixart.hf.space"}) == ()
    assert frame_ancestors({}) == ()


def test_a_space_has_hardware_of_its_own_unless_it_says_zero_gpu() -> None:
    assert space_kind(SPACE) is SpaceKind.DEDICATED
    assert space_kind(SPACE | {"SPACES_ZERO_GPU": "false"}) is SpaceKind.DEDICATED
    assert space_kind(SPACE | {"SPACES_ZERO_GPU": "true"}) is SpaceKind.ZERO_GPU


@pytest.mark.parametrize("value", ["true", "True", "1", "t"])
def test_zero_gpu_is_read_as_the_spaces_package_reads_it(value: str) -> None:
    from spaces.config import boolean

    assert boolean(value)
    assert space_kind({"SPACES_ZERO_GPU": value}) is SpaceKind.ZERO_GPU


def test_its_hosts_are_its_own_and_a_custom_domain() -> None:
    assert space_hosts(SPACE) == ("someone-pixart.hf.space",)
    two = "someone-pixart.hf.space, Pictures.Example.org"
    assert space_hosts(SPACE | {"SPACE_HOST": two}) == ("someone-pixart.hf.space", "pictures.example.org")


@pytest.mark.parametrize(
    "host", ["", "*", "*.hf.space", "a b.hf.space", "a.hf.space/path", "a.hf.space\r\nX: y", "-.hf"]
)
def test_what_is_no_host_name_is_no_host(host: str) -> None:
    assert space_hosts(SPACE | {"SPACE_HOST": host}) == ()


def test_the_hub_may_show_it_in_a_frame() -> None:
    assert frame_ancestors(SPACE) == ("https://huggingface.co",)
