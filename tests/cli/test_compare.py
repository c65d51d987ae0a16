"""`compare`, from the prompt to the report, with the real engine and PixArt-Tiny."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pixart_ui import cli
from pixart_ui.compare import report
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.sweep import Sweep, parse_axis
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from tests.cli.commands import ROOT, Ended
from tests.jobs.waiting import wait_until

SMALL = ("--checkpoint", "tiny", "--steps", "2", "--size", "64x64")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def made(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on two precisions."""
    out = tmp_path_factory.mktemp("report")
    arguments = ["a red circle", *SMALL, "--axis", "precision=fp16,nf4", "--no-noise-floor", "--out", str(out)]
    assert cli.main(["compare", *arguments, "--name", "two", "--device", "cpu", "--data-dir", str(data_dir)]) == 0
    return out


def compare(*arguments: str, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Ended:
    """In this process, so that torch is loaded once for all tests."""
    capsys.readouterr()
    code = cli.main(["compare", *arguments, "--device", "cpu", "--data-dir", str(data_dir)])
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def test_a_report_has_all_of_its_files(made: Path) -> None:
    comparison = report.read(made)
    assert comparison.name == "two"
    assert [result.label for result in comparison.results] == ["fp16", "nf4"]
    assert all(result.is_done for result in comparison.results)
    assert "data:image/" in (made / "report.html").read_text(encoding="utf-8")
    rows = list(csv.DictReader((made / "report.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [row["run"] for row in rows] == ["fp16", "nf4"]
    for name in ("figure.png", *(str(result.image) for result in comparison.results)):
        with Image.open(made / name) as picture:
            picture.load()


def test_it_says_what_it_will_do_and_what_came_of_it(
    data_dir: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axis = "transformer-precision=fp16,nf4"
    ended = compare("a", *SMALL, "--axis", axis, "--out", str(tmp_path), data_dir=data_dir, capsys=capsys)
    assert ended.code == 0, "what cannot run here is a result"
    lines = ended.err.splitlines()
    assert lines[0] == "1 prompt × transformer-precision (fp16, nf4): 4 runs, with the noise floor"
    assert lines[1].startswith("predicted: about ")
    assert "4/4 nf4 transformer" in lines
    assert lines[-1].startswith("nf4 transformer cannot run here: ")
    assert ended.out == f"{tmp_path / 'report.html'}\n"


def test_a_report_is_repeated_with_the_same_pictures(
    data_dir: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = compare("--from", str(made / "report.json"), "--json", data_dir=data_dir, capsys=capsys)
    assert ended.code == 0
    old, new = report.read(made), Comparison.model_validate(json.loads(ended.out))
    assert [result.pixels_sha256 for result in new.results] == [result.pixels_sha256 for result in old.results]
    assert [result.quality for result in new.results] == [result.quality for result in old.results]
    assert new.sweep == old.sweep
    assert "picture is another one" not in ended.err


def test_a_repeated_report_says_what_changed(
    data_dir: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = report.read(made)
    changed = old.results[1].model_copy(update={"pixels_sha256": "0" * 64})
    report.save_json(
        old.model_copy(update={"results": (old.results[0], changed), "versions": {**old.versions, "torch": "1.0"}}),
        tmp_path,
    )
    ended = compare("--from", str(tmp_path), "--json", data_dir=data_dir, capsys=capsys)
    assert "Version of torch: " in ended.err
    assert "nf4: the picture is another one" in ended.err


def test_comparisons_are_listed_and_deleted(
    data_dir: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = json.loads(compare("list", "--json", data_dir=data_dir, capsys=capsys).out)["comparisons"]
    mine = next(entry for entry in reversed(listed) if entry["name"] == "two")
    assert (mine["num_done"], mine["num_runs"]) == (2, 2)
    assert f"{mine['id']}  2/2  two" in compare("list", data_dir=data_dir, capsys=capsys).out
    assert compare("delete", mine["id"], data_dir=data_dir, capsys=capsys).code == 0
    assert mine["id"] not in compare("list", data_dir=data_dir, capsys=capsys).out


@pytest.mark.long
def test_ctrl_c_reports_and_keeps_what_is_measured_and_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir, out = tmp_path / "data", tmp_path / "out"
    axis = "strategy=staged,diffusers:staged"
    command = [sys.executable, "-m", "pixart_ui", "compare", "a", *SMALL, "--axis", axis, "--no-noise-floor"]
    command += ["--out", str(out), "--data-dir", str(data_dir), "--device", "cpu"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    services = Services.open(Settings(data_dir=data_dir, device="cpu"))
    try:
        wait_until(lambda: any(entry.num_done for entry in services.comparisons()), "a run is measured", 180)
        own = psutil.Process(process.pid)
        wait_until(lambda: any("bench.cell" in child.cmdline() for child in own.children()), "diffusers runs", 180)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to every process that it started
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    (entry,) = services.comparisons()
    assert process.returncode == 1
    assert f"compare resume {entry.id}" in err
    assert "Traceback" not in err
    assert (entry.num_done, entry.num_runs) == (1, 2), "what was cut off is neither done nor failed"
    assert not services.journal.has_open()
    services.journal.close()
    begun = report.read(out)
    assert len(begun.results) == entry.num_done
    assert "still to be run" in (out / "report.html").read_text(encoding="utf-8")
    assert compare("resume", entry.id, "--out", str(out), data_dir=data_dir, capsys=capsys).code == 0
    assert not report.read(out).missing


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "The prompt is missing"),
        (("a", "--axis", "precision="), "Axis precision has no values"),
        (("a", "--axis", "seed=" + ",".join(map(str, range(10_000)))), "runs"),
        (("a", "--axis", "strategy=stagd"), "Unknown strategy 'stagd', did you mean 'staged'?"),
        (("a", "--axis", "colour=red"), "Unknown axis 'colour'"),
        (("a", "--axis", "checkpoint=nothing,tiny", "--out", "OUT"), "Unknown checkpoint 'nothing'"),
        (("--from", "OTHER"), "has format 2, this version reads 1"),
        (("a", "--prompts", "x.txt"), "PROMPT and --prompts cannot go together"),
        (("a", "b"), "one argument too many"),
        (("a",), "The report needs a folder"),
        (("--from", "nothing.json"), "does not exist"),
        (("delete",), "The comparison to delete is missing"),
        (("delete", "../x"), "is not kept here"),
        (("a", "--from", "REPORT"), "PROMPT cannot go with --from"),
    ],
)
def test_wrong_input_gets_one_sentence_and_nothing_is_started(
    arguments: tuple[str, ...],
    sentence: str,
    data_dir: Path,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = compare("list", data_dir=data_dir, capsys=capsys).out
    document = json.loads((made / "report.json").read_text(encoding="utf-8"))
    (tmp_path / "report.json").write_text(json.dumps({**document, "format": 2}), encoding="utf-8")
    places = {"REPORT": made, "OTHER": tmp_path, "OUT": tmp_path}
    given = [str(places.get(argument, argument)) for argument in arguments]
    ended = compare(*given, data_dir=data_dir, capsys=capsys)
    assert ended.code == 2
    assert ended.is_one_sentence
    assert sentence in ended.err
    assert compare("list", data_dir=data_dir, capsys=capsys).out == before


def test_a_report_with_a_path_that_points_outside_is_refused(
    data_dir: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (made / "report.json").read_text(encoding="utf-8")
    name = str(report.read(made).results[0].image)
    (tmp_path / "report.json").write_text(text.replace(name, "images/../../secret.png"), encoding="utf-8")
    ended = compare("--from", str(tmp_path), "--json", data_dir=data_dir, capsys=capsys)
    assert ended.code == 2
    assert "not a file in its own images/" in ended.err


def test_shipped_prompts_are_a_choice(data_dir: Path) -> None:
    from pixart_ui.cli import _parser
    from pixart_ui.commands.compare import _sweep

    services = Services.open(Settings(data_dir=data_dir, device="cpu"))
    args = _parser().parse_args(["compare", "--prompt-set", "--axis", "steps=2,4", "--no-noise-floor"])
    found = _sweep(services, args)
    assert len(found.prompts) == 24
    assert found.num_runs == 48
    assert found == Sweep(found.request, (parse_axis("steps=2,4"),), found.prompts, has_noise_floor=False)
    services.journal.close()
