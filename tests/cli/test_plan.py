"""`plan`: arithmetic for a card that need not be there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pixart_ui import cli
from pixart_ui.byte_size import GIB, MIB, parse_bytes, show_at_least, show_bytes
from pixart_ui.engine.calibration import Calibration, Table, device_key
from pixart_ui.errors import InputError
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT, run
from tests.cli.test_imports import modules_after

TINY = ROOT / "pixart_ui" / "tiny" / "weights"


def plan(data_dir: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run in this process, for speed; returns what it prints."""
    assert cli.main(["plan", *arguments, "--data-dir", str(data_dir)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def plan_json(data_dir: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(plan(data_dir, capsys, *arguments, "--json"))
    return value


def test_a_plan_in_another_process_says_phases_and_reasons(tmp_path: Path) -> None:
    ended = run("plan", "--checkpoint", "sigma-1024", "--vram", "1GiB", "--data-dir", str(tmp_path))
    assert (ended.code, ended.err) == (0, "")
    assert "sigma-1024, 1 picture of 1024×1024, 20 steps, guidance 4.5, fp16, fast" in ended.out
    assert "denoise: streamed: 16 of 28 blocks pass through 2 slots" in ended.out
    assert "nothing was measured here yet" in ended.out
    assert list(tmp_path.iterdir()) == []


def test_it_brings_in_no_torch(tmp_path: Path) -> None:
    loaded = modules_after(
        f"from pixart_ui import cli; assert cli.main(['plan', '--vram', '2GiB', '--data-dir', {str(tmp_path)!r}]) == 0"
    )
    assert "pixart_ui.engine.planner" in loaded
    assert not loaded & {"torch", "diffusers", "transformers", "gradio"}


def test_json_holds_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = plan_json(tmp_path, capsys, "--vram", "6GiB", "--images", "4")
    assert value["budget_bytes"] == 6 * GIB
    assert value["is_estimate"] is True
    assert value["num_images"] == 4
    phases = value["phases"]
    assert [entry["phase"] for entry in phases] == ["encode", "denoise", "decode"]
    assert [entry["residency"] for entry in phases] == ["streamed", "resident", "resident"]
    assert set(phases[0]) == {
        "phase",
        "residency",
        "reason",
        "predicted_peak_bytes",
        "predicted_seconds",
        "kept_units",
        "slots",
        "tile",
        "is_beside",
    }
    assert value["predicted_peak_bytes"] == max(entry["predicted_peak_bytes"] for entry in phases) <= 6 * GIB
    assert value["predicted_seconds"] == pytest.approx(sum(entry["predicted_seconds"] for entry in phases))


def test_what_was_asked_is_what_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = plan_json(tmp_path, capsys, "--vram", "24GiB")
    fewer = plan_json(tmp_path, capsys, "--vram", "24GiB", "--steps", "10")
    assert fewer["phases"][1]["predicted_seconds"] < 0.6 * base["phases"][1]["predicted_seconds"]
    unguided = plan_json(tmp_path, capsys, "--vram", "24GiB", "--guidance", "0")
    assert unguided["phases"][1]["predicted_seconds"] < 0.6 * base["phases"][1]["predicted_seconds"]
    quantized = plan_json(tmp_path, capsys, "--vram", "24GiB", "--precision", "nf4")
    assert quantized["phases"][0]["predicted_peak_bytes"] < 0.6 * base["phases"][0]["predicted_peak_bytes"]
    exact = plan_json(tmp_path, capsys, "--vram", "24GiB", "--numerics", "exact")
    assert exact["phases"][0]["predicted_peak_bytes"] > base["phases"][0]["predicted_peak_bytes"]
    wide = plan_json(tmp_path, capsys, "--vram", "24GiB", "--size", "2048x1024")
    assert (wide["bin_width"], wide["bin_height"]) == (1408, 704)
    slow = plan_json(tmp_path, capsys, "--vram", "2GiB", "--ram", "8GiB")
    quick = plan_json(tmp_path, capsys, "--vram", "2GiB", "--ram", "32GiB")
    assert slow["predicted_seconds"] > quick["predicted_seconds"]
    processor = plan_json(tmp_path, capsys, "--vram", "64GB", "--device", "cpu")
    assert processor["phases"][1]["predicted_seconds"] > 50 * base["phases"][1]["predicted_seconds"]


def test_a_transformer_below_16_bits_is_planned_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = plan_json(tmp_path, capsys, "--vram", "2GiB")
    fp8 = plan_json(tmp_path, capsys, "--vram", "2GiB", "--transformer-precision", "fp8")
    assert (usual["transformer_precision"], fp8["transformer_precision"]) == ("fp16", "fp8")
    assert fp8["phases"][0]["predicted_peak_bytes"] == usual["phases"][0]["predicted_peak_bytes"]
    assert fp8["phases"][1]["predicted_peak_bytes"] < 1300 * MIB
    assert "fp16, transformer fp8, fast" in plan(tmp_path, capsys, "--vram", "2GiB", "--transformer-precision", "fp8")
    small = plan_json(tmp_path, capsys, "--vram", "800MiB")
    assert small["phases"][1]["residency"] == "streamed"


def test_a_local_folder_is_planned_by_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(TINY, folder)
    named = plan_json(tmp_path, capsys, "--checkpoint", "tiny", "--vram", "1GiB")
    local = plan_json(tmp_path, capsys, "--checkpoint", str(folder), "--vram", "1GiB")
    assert local["phases"] == named["phases"]
    assert local["predicted_peak_bytes"] < 200 * MIB


def test_without_a_budget_it_tells_what_fits_in_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = plan(tmp_path, capsys).splitlines()
    rows = {line.split(" GiB")[0].strip(): line for line in lines if " GiB" in line}
    assert "streamed" in rows["1.0"]
    assert "512 px" in rows["1.0"]
    assert rows["24.0"].split()[-3:] == ["resident"] * 3
    entries = plan_json(tmp_path, capsys, "--checkpoint", "sigma-2k")["budgets"]
    assert [entry["budget_bytes"] // GIB for entry in entries] == [1, 2, 3, 4, 6, 8, 12, 24]
    assert "1024×1024" in entries[0]["problem"]
    assert entries[1]["predicted_peak_bytes"] <= 2 * GIB


def test_the_only_measured_device_lends_its_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = plan_json(tmp_path, capsys, "--vram", "24GiB")
    path = Settings.read({}, data_dir=str(tmp_path)).calibration_path
    known = Calibration().learn(
        "denoise/1152x28/fp16/fast/batch2", 1024 * 1024, activation_bytes=250 * MIB, seconds=0.04, formula=lambda x: 1.0
    )
    table = Table().having(device_key("Card", 24 * GIB, "2.11"), known)
    table.save(path)
    after = plan_json(tmp_path, capsys, "--vram", "24GiB")
    assert after["phases"][1]["predicted_seconds"] < 2.0 < before["phases"][1]["predicted_seconds"]
    assert "estimated from runs on Card" in plan(tmp_path, capsys, "--vram", "24GiB")
    table.having("Another | 1 | 2", known).save(path)
    assert plan_json(tmp_path, capsys, "--vram", "24GiB") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vram", "300MiB"], ["300 MiB", "needs at least", "1024×1024"]),
        (["--vram", "1GiB", "--checkpoint", "sigma-2k"], ["1.5 GiB", "600 MiB would do for 1024×1024"]),
        (["--vram", "6"], ["--vram '6'", "no unit", "6GiB"]),
        (["--vram", "much"], ["'much'", "6GiB"]),
        (["--vram", "0GiB"], ["out of range"]),
        (["--vram=-1GiB"], ["'-1GiB'", "6GiB"]),
        (["--vram", "2GiB", "--ram", "x"], ["--ram 'x'"]),
        (["--checkpoint", "sigma-1025"], ["did you mean 'sigma-1024'"]),
        (["--checkpoint", "./absent"], ["not a folder"]),
        (["--size", "big"], ["'big'", "1024x768"]),
        (["--size", "4096x4096"], ["too large"]),
        (["--precision", "fp8"], ["'fp8'"]),
        (["--transformer-precision", "fp4"], ["Transformer precision 'fp4'", "fp8, int8, nf4"]),
        (["--vram", "800MiB", "--transformer-precision", "fp8"], ["with the transformer in fp8 needs at least"]),
        (["--steps", "0"], ["Steps"]),
        (["--images", "65"], ["Number of images"]),
        (["--guidance", "inf"], ["Guidance"]),
        (["--device", "tpu"], ["'tpu'"]),
        (["a prompt"], ["a prompt", "--help"]),
    ],
)
def test_wrong_input_gets_one_sentence(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plan", *arguments, "--data-dir", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    assert [word for word in words if word not in err] == [], err


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("6GiB", 6 * GIB),
        ("6g", 6 * GIB),
        ("6 GB", 6_000_000_000),
        ("512MiB", 512 * MIB),
        ("512mb", 512_000_000),
        ("0.5GiB", GIB // 2),
        (" 1.5 gib ", 3 * GIB // 2),
        ("2TiB", 2048 * GIB),
        ("100kB", 100_000),
        ("100b", 100),
    ],
)
def test_amounts_of_memory_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "6", "6XB", "GiB", "-6GiB", "0GiB", "1e9GiB", "9999TiB", "1,5GiB", "nan", "٣GiB"])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^Memory .*\.$"):
        parse_bytes(text)


def test_an_amount_that_is_said_to_do_is_rounded_up() -> None:
    assert (show_bytes(GIB + 1), show_at_least(GIB + 1)) == ("1.0 GiB", "1.1 GiB")
    assert (show_bytes(10 * MIB + 1), show_at_least(10 * MIB + 1)) == ("10 MiB", "11 MiB")
    assert (show_at_least(GIB), show_at_least(2 * MIB)) == ("1.0 GiB", "2 MiB")
