from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from pixart_ui.byte_size import GIB, MIB
from pixart_ui.catalog import Catalog, hub_checkpoints, tiny
from pixart_ui.commands import doctor
from pixart_ui.engine.calibration import Calibration, Table, device_key
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings
from tests.hub.parts import write_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound checkpoint in place of the one that comes with the app, and no NVIDIA card whatever this machine has."""
    folder = write_folder(tmp_path / "tiny")
    monkeypatch.setattr(doctor, "catalog", lambda: Catalog([tiny(folder), *hub_checkpoints()]))
    monkeypatch.setattr(doctor, "_nvidia", lambda: (None, []))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def run(settings: Settings, *, as_json: bool = False) -> int:
    return doctor.run(settings, argparse.Namespace(json=as_json, spaces=False))


def test_a_sound_installation_can_make_pictures(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings) == 0

    text = capsys.readouterr().out
    assert f"torch            {metadata.version('torch')}" in text
    assert "no NVIDIA driver found; the CPU is used" in text
    assert "\nCheckpoints on this disk\n  tiny             200.9 kB\n" in text
    assert "sigma-1024       python -m pixart_ui models download sigma-1024" in text
    assert text.endswith("\nPictures can be made.\n")


def test_json_holds_the_same(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings, as_json=True) == 0

    value = json.loads(capsys.readouterr().out)
    assert value["can_make_pictures"] is True
    assert value["packages"]["diffusers"] == metadata.version("diffusers")
    assert value["checkpoints"][0]["is_on_disk"] is True
    assert value["memory_bytes"] >= value["free_memory_bytes"] > 0
    assert value["free_disk_bytes"] > 0


def test_looking_changes_nothing(settings: Settings) -> None:
    run(settings)

    assert not settings.data_dir.exists()


def test_a_damaged_only_checkpoint_is_a_problem(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "vae/config.json").unlink()

    assert run(settings) == 1
    text = capsys.readouterr().out
    assert f"{folder / 'vae'} lacks config.json: copy the whole checkpoint again." in text
    assert text.endswith("\nPictures cannot be made yet.\n")


def test_a_file_in_place_of_the_data_folder_is_a_problem(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.data_dir.write_text("in the way")

    assert run(settings) == 1
    assert f"Data folder {settings.data_dir} cannot be written (Not a directory): choose" in capsys.readouterr().out


def test_a_full_disk_is_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))

    assert run(settings) == 1
    assert "has 5.0 MB free, at least 100.0 MB are needed: make room" in capsys.readouterr().out


def test_a_package_without_which_nothing_works_is_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "torch" else "1.0")

    assert run(settings) == 1
    assert "torch is not installed, no picture can be made without it: run `pip install -r" in capsys.readouterr().out


def test_a_package_that_some_precisions_need_is_advice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "bitsandbytes" else "1.0")

    assert run(settings) == 0
    assert "bitsandbytes is not installed, the precisions int8, nf4 and fp4 will not" in capsys.readouterr().out


def test_little_memory_is_advice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = psutil.virtual_memory()._replace(available=700_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)

    assert run(settings) == 0
    assert "Only 700.0 MB of memory are free" in capsys.readouterr().out


def test_a_card_that_was_asked_for_and_is_not_there_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Settings(data_dir=tmp_path / "data", device="cuda:0")) == 1
    assert "Device cuda:0 was asked for, but no NVIDIA driver was found: install" in capsys.readouterr().out


def test_a_card_is_shown_and_the_wrong_torch_for_it_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = doctor.Card("NVIDIA GeForce RTX 2070", 8_000_000_000, 7_200_000_000)
    monkeypatch.setattr(doctor, "_nvidia", lambda: ("580.10", [card]))
    monkeypatch.setattr(doctor, "_version", lambda package: "2.13.0+cpu")

    assert run(settings) == 0
    text = capsys.readouterr().out
    assert "NVIDIA GeForce RTX 2070: 7.2 GB of 8.0 GB are free" in text
    assert "NVIDIA driver 580.10" in text
    assert "torch 2.13.0+cpu is the build for the CPU, though an NVIDIA card is here: install the CUDA build" in text


def test_what_plans_stand_on_is_a_line_each(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings) == 0
    text = capsys.readouterr().out
    assert "0 bytes of converted weights are kept in the data folder" in text
    assert "\n  budget: none, it is for GPUs only\n" in text
    assert "nothing was measured yet: the first predictions are estimates" in text

    settings.weights_dir.mkdir(parents=True)
    name = f"text_encoder-nf4-{'0' * 16}.safetensors.part"
    (settings.weights_dir / name).write_bytes(b"x" * 5000)
    known = Calibration().learn("denoise/1x1/fp16", 1, activation_bytes=1, seconds=1.0, formula=lambda x: 1.0)
    Table().having(device_key("NVIDIA GeForce RTX 2070", 8, "2.13"), known).save(settings.calibration_path)
    assert run(Settings(data_dir=settings.data_dir, vram_budget=6 * GIB)) == 0
    text = capsys.readouterr().out
    assert "5.0 kB of converted weights" in text
    assert "the 6.0 GiB that are set are left aside" in text
    assert "kinds of work measured on NVIDIA GeForce RTX 2070: 1\n" in text


def test_on_a_card_a_running_worker_says_its_budget_and_context(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = doctor.Card("NVIDIA GeForce RTX 2070", 8_000_000_000, 7_200_000_000)
    monkeypatch.setattr(doctor, "_nvidia", lambda: ("580.10", [card]))
    limited = Settings(data_dir=settings.data_dir, vram_budget=6 * GIB)
    assert run(limited) == 0
    text = capsys.readouterr().out
    assert "budget: 6.0 GiB of the GPU" in text
    assert "CUDA context, beside the budget: not known until a worker runs" in text

    settings.data_dir.mkdir()
    journal = Journal(settings.journal_path)
    info = {"device": "cuda:0", "budget_bytes": None, "context_bytes": 400 * MIB}
    journal.register_worker("one", device="GPU-1", pid=1, info=info)
    journal.close()
    assert run(limited, as_json=True) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["budget_bytes"], value["context_bytes"]) == (None, 400 * MIB), "as it really runs"
    assert run(settings) == 0
    text = capsys.readouterr().out
    assert "budget: all that is free on the GPU" in text
    assert "CUDA context, beside the budget: 400 MiB" in text


def test_the_command_runs_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from pixart_ui.cli import main; code = main(['doctor', '--json'])\n"
        "heavy = {'torch', 'transformers', 'diffusers', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PIXART_UI_DATA_DIR": str(tmp_path / "data")},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert json.loads(done.stdout)["can_make_pictures"] is (done.returncode == 0)
