"""Every wrong input gets one sentence and exit code 2, before anything is loaded or written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import app
from pixart_ui import cli
from pixart_ui.byte_size import GIB
from pixart_ui.commands.generate import Target, _check_budget
from pixart_ui.errors import InputError
from pixart_ui.jobs.journal import Journal
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT, Ended, run


def refuse(arguments: list[str], data_dir: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run in this process, for speed; returns the sentence."""
    assert cli.main([*arguments, "--data-dir", str(data_dir)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, f"one sentence: {err}"
    assert err.endswith(".\n")
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], ["prompt is empty"]),
        (["   "], ["prompt is empty"]),
        ([], ["prompt is missing", "--from"]),
        (["x" * 1_000_000], ["1,000,000 characters", "10,000", "shorten"]),
        (["a\x07b"], ["U+0007", "position 2"]),
        (["a\x00b"], ["U+0000"]),
        (["a\udc80b"], ["U+DC80"]),
        (["a", "--negative", "\x1b[31m"], ["Negative prompt", "U+001B"]),
        (["a", "--checkpoint", "tiney"], ["'tiney'", "did you mean 'tiny'"]),
        (["a", "--checkpoint", "./absent"], ["absent", "not a folder"]),
        (["a", "--precision", "fp8"], ["'fp8'", "int8"]),
        (["a", "--transformer-precision", "fp4"], ["Transformer precision 'fp4'", "fp8, int8, nf4"]),
        (["a", "--compile", "--numerics", "exact"], ["Compiled blocks", "exact numerics", "choose fast"]),
        (["a", "--compile", "--transformer-precision", "nf4"], ["Compiled blocks", "nf4", "fp16 or bf16"]),
        (["a", "--numerics", "quick"], ["'quick'", "exact"]),
        (["a", "--scheduler", "heun"], ["'heun'", "dpm++"]),
        (["a", "--size", "8x8"], ["8", "64"]),
        (["a", "--size", "9999x256"], ["9999", "4096"]),
        (["a", "--size", "256"], ["'256'", "1024x768"]),
        (["a", "--size", "x"], ["1024x768"]),
        (["a", "--steps", "0"], ["Steps", "1 to 150"]),
        (["a", "--steps", "1000"], ["1000", "1 to 150"]),
        (["a", "--steps", "many"], ["'many'", "whole number"]),
        (["a", "--guidance", "nan"], ["Guidance", "0 to 30"]),
        (["a", "--guidance", "-1"], ["Guidance", "-1"]),
        (["a", "--guidance=-inf"], ["Guidance", "0 to 30"]),
        (["a", "--seed", "-1"], ["Seed", "-1", "18446744073709551615"]),
        (["a", "--seed", str(2**64)], ["Seed", str(2**64)]),
        (["a", "--num-images", "0"], ["Number of images", "1 to 64"]),
        (["a", "--device", "tpu"], ["'tpu'", "cuda:N"]),
        (["a", "--vram-budget", "6"], ["Budget '6'", "no unit", "6GiB"]),
        (["a", "--vram-budget", "much"], ["Budget 'much'", "6GiB"]),
        (["a", "--vram-budget", "0GiB"], ["out of range"]),
        (["a", "--out", "picture.jpg"], ["picture.jpg", ".png"]),
        (["a", "--stepz", "3"], ["--stepz", "--help"]),
        (["a", "b"], ["b", "--help"]),
        (["a", "--steps"], ["--steps", "--help"]),
        (["--from", "absent.png"], ["absent.png", "does not exist"]),
        (["--from", __file__], ["not a readable PNG"]),
    ],
)
def test_generate_refuses(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refuse(["generate", *arguments], tmp_path, capsys)
    assert [word for word in words if word not in sentence] == [], sentence
    assert len(sentence) < 500


def test_an_unknown_style_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: Path) -> None:
    sentence = refuse(["generate", "a", "--checkpoint", str(toy), "--style", "cinematik"], tmp_path, capsys)
    assert "'cinematik'" in sentence
    assert "choose one of" in sentence.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["COMMAND", "--help"]),
        (["paint"], ["paint", "generate"]),
        (["worker", "--device", "tpu"], ["'tpu'"]),
        (["worker", "--vram-budget", "6"], ["Budget '6'", "no unit"]),
    ],
)
def test_a_wrong_command_is_refused(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refuse(arguments, tmp_path, capsys)
    assert [word for word in words if word not in sentence] == [], sentence


def test_the_process_returns_the_same() -> None:
    ended = run("generate", "a", "--steps", "0")
    assert ended.code == 2
    assert ended.is_one_sentence
    assert run("--help").code == 0


def test_a_wrong_budget_in_the_environment_is_refused_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXART_UI_VRAM_BUDGET", "plenty")
    assert "Budget 'plenty'" in refuse(["generate", "a"], tmp_path, capsys)


@pytest.mark.parametrize(("has", "words"), [(None, "with no budget"), (4 * GIB, "with a budget of 4.0 GiB")])
def test_a_worker_that_runs_keeps_its_budget(
    has: int | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    info = {"device": "cuda:0", "name": "Card", "budget_bytes": has}
    journal.register_worker("one", device="GPU-1", pid=1, info=info)
    sentence = refuse(["generate", "a", "--vram-budget", "6GiB"], tmp_path, capsys)
    assert "Budget 6.0 GiB was asked for" in sentence
    assert words in sentence
    for same in ({"budget_bytes": 6 * GIB}, {"device": "cpu"}):
        journal.register_worker("one", device="GPU-1", pid=1, info=info | same)
        settings = Settings.read({}, data_dir=str(tmp_path), vram_budget="6GiB")
        _check_budget(settings, journal.workers())
    assert journal.jobs() == ()
    journal.close()


# Where pictures go


def test_a_folder_for_the_copies_is_checked_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: Path
) -> None:
    data_dir = tmp_path / "data"
    out = tmp_path / "absent" / "a.png"
    sentence = refuse(["generate", "a", "--checkpoint", str(toy), "--out", str(out)], data_dir, capsys)
    assert "does not exist" in sentence
    assert list((data_dir / "images").iterdir()) == []
    (tmp_path / "file").write_text("")
    sentence = refuse(["generate", "a", "--checkpoint", str(toy), "--out", f"{tmp_path}/file/"], data_dir, capsys)
    assert "cannot be written" in sentence


def test_what_out_means(tmp_path: Path) -> None:
    (tmp_path / "dotted.folder").mkdir()
    assert Target.parse(None) == Target()
    assert Target.parse("a/b.PNG") == Target(Path("a"), Path("a/b.PNG"))
    assert Target.parse("a/b") == Target(Path("a/b"))
    assert Target.parse(f"{tmp_path}/dotted.folder") == Target(tmp_path / "dotted.folder")
    with pytest.raises(InputError, match=r"'b\.jpg'"):
        Target.parse("a/b.jpg")


# The data folder


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("generate", "a", "--data-dir", str(tmp_path / "file" / "data"))
    assert ended.code == 2
    assert ended.is_one_sentence
    assert "cannot be written" in ended.err


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_read_only_data_folder_is_refused() -> None:
    """As another user where we are root, who may write everywhere."""
    program = """
import os, sys
from pixart_ui.cli import main
if os.geteuid() == 0:
    os.setuid(65534)
sys.exit(main(["generate", "a", "--data-dir", sys.argv[1]]))
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=False
        )
        Path(folder).chmod(0o755)
    assert done.returncode == 2
    assert "cannot be written (Permission denied)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_journal_that_is_none_is_refused(tmp_path: Path, toy: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"no database " * 500)
    ended = run("generate", "a", "--checkpoint", str(toy), "--data-dir", str(tmp_path))
    assert ended.code == 2
    assert ended.is_one_sentence
    assert "move it away" in ended.err


def test_the_data_folder_may_stand_before_or_after_the_command(tmp_path: Path, toy: Path) -> None:
    for number, arguments in enumerate(
        (
            ["--data-dir", f"{tmp_path}/0", "worker", "--device", "tpu"],
            ["worker", "--device", "tpu", "--data-dir", f"{tmp_path}/1"],
        )
    ):
        args = cli._parser().parse_args(arguments)
        assert args.data_dir == f"{tmp_path}/{number}"
    assert not hasattr(cli._parser().parse_args(["doctor"]), "data_dir")


# The page's own flags


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "0"], ["Port 0", "1 to 65535"]),
        (["--port", "65536"], ["Port 65536"]),
        (["--port", "http"], ["'http'"]),
        (["--device", "tpu"], ["'tpu'"]),
        (["--vram-budget", "6"], ["Budget '6'", "no unit"]),
        (["--auth", "ada"], ["--auth has no password"]),
        (["--host", "no.such.host.invalid"], ["no.such.host.invalid"]),
    ],
)
def test_the_app_refuses(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", *arguments, "--data-dir", str(tmp_path)])
    code = cli.at_the_edge(app.main)
    ended = Ended(code, *capsys.readouterr())
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert [word for word in words if word not in ended.err] == [], ended.err


def test_a_port_in_use_is_refused_before_a_worker_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = run("--port", str(port), "--data-dir", str(tmp_path), script="app.py")
    assert ended.code == 2
    assert ended.is_one_sentence, ended.err
    assert f"Port {port}" in ended.err
    assert f"--port {port + 1}." in ended.err
    assert not (tmp_path / "logs").exists()


# What nobody foresaw


def test_an_unexpected_exception_is_one_sentence_and_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("detail")

    monkeypatch.setattr("pixart_ui.commands.generate._asked", explode)
    assert cli.main(["generate", "a", "--data-dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ZeroDivisionError" in err
    log = tmp_path / "logs" / "errors.log"
    assert str(log) in err
    assert "detail" in log.read_text()
