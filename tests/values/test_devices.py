"""`--devices` and `--cluster`: what they may say, and what the settings make of them."""

from __future__ import annotations

from typing import Any

import pytest

from pixart_ui.cluster.address import is_loopback, parse_cluster
from pixart_ui.devices import found_devices, is_processor, parse_devices
from pixart_ui.errors import InputError
from pixart_ui.gpus import num_gpus
from pixart_ui.settings import Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto", ("auto",)),
        ("cpu", ("cpu",)),
        ("cpu,cpu", ("cpu:0", "cpu:1")),
        ("cpu,cpu:0", ("cpu:1", "cpu:0")),
        ("cpu:2", ("cpu:2",)),
        ("cuda", ("cuda:0",)),
        ("cuda:1, cuda:0,cpu", ("cuda:1", "cuda:0", "cpu")),
        ("mps", ("mps",)),
        ("cuda:0+cuda:1", ("cuda:0+cuda:1",)),
        ("cuda:0+cuda:1,cuda:2", ("cuda:0+cuda:1", "cuda:2")),
    ],
)
def test_devices_are_named_one_by_one(text: str, expected: tuple[str, ...]) -> None:
    assert parse_devices(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cuda:0,cuda:0", "cuda:0 is named twice"),
        ("cuda,cuda:0", "cuda:0 is named twice"),
        ("auto,cpu", "give auto alone"),
        ("gpu0", "must be auto, cpu"),
        ("cuda:x", "must be auto, cpu"),
        ("mps:1", "must be auto, cpu"),
        ("cuda:", "must be auto, cpu"),
        ("", "must be auto, cpu"),
        ("cpu,,cpu", "must be auto, cpu"),
        ("cuda:0+cuda:1,cuda:1", "cuda:1 is named twice"),
        ("cuda:0+cuda:0", "is no pair"),
        ("cuda+cuda:1", "is no pair"),
        ("cuda:0+cpu:1", "is no pair"),
        ("cuda:0+cuda:1+cuda:2", "is no pair"),
        ("cuda:0+cuda:x", "must be auto, cpu"),
    ],
)
def test_what_names_no_device_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_devices(text)


def test_auto_is_every_gpu_and_one_worker_where_there_is_none() -> None:
    assert found_devices(("auto",), 3) == ("cuda:0", "cuda:1", "cuda:2")
    assert found_devices(("auto",), 0) == ("auto",)
    assert found_devices(("cuda:1",), 3) == ("cuda:1",)


def test_slots_of_the_processor_are_the_processor() -> None:
    assert [is_processor(name) for name in ("cpu", "cpu:1", "cpu:0@abc", "cuda:0", "GPU-1")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_gpus_that_are_hidden_do_not_count() -> None:
    assert num_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == 0
    assert num_gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0


def test_a_cluster_has_an_address_or_is_this_machine_alone() -> None:
    assert parse_cluster("auto") == "auto"
    assert parse_cluster("node-1.lab:6379") == "node-1.lab:6379"
    assert [is_loopback(address) for address in ("auto", "127.0.0.1:6379", "localhost:1", "10.0.0.1:6379")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", ":6379", "ray://a:1", "a b:1"])
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"must be auto or HOST:PORT"):
        parse_cluster(text)


@pytest.mark.parametrize(
    ("environ", "flags", "devices", "cluster"),
    [
        ({}, {}, (), None),
        ({"PIXART_UI_DEVICES": "cpu,cpu"}, {}, ("cpu:0", "cpu:1"), None),
        ({"PIXART_UI_DEVICES": "cpu,cpu"}, {"device": "cpu"}, (), None),
        ({"PIXART_UI_DEVICES": "cpu,cpu"}, {"cluster": "auto"}, (), "auto"),
        ({"PIXART_UI_CLUSTER": "10.0.0.1:6379"}, {}, (), "10.0.0.1:6379"),
        ({"PIXART_UI_CLUSTER": "10.0.0.1:6379"}, {"devices": "cpu"}, ("cpu",), None),
    ],
)
def test_a_flag_outdoes_the_environment(
    environ: dict[str, str], flags: dict[str, Any], devices: tuple[str, ...], cluster: str | None
) -> None:
    settings = Settings.read({"PIXART_UI_DATA_DIR": "/tmp/x", **environ}, **flags)
    assert (settings.devices, settings.cluster) == (devices, cluster)


def test_two_answers_to_where_are_one_too_many() -> None:
    with pytest.raises(InputError, match="--device and --devices each say where to draw"):
        Settings.read({}, device="cpu", devices="cpu,cpu")
    with pytest.raises(InputError, match="set one of them"):
        Settings.read({"PIXART_UI_DEVICES": "cpu", "PIXART_UI_CLUSTER": "auto"})
