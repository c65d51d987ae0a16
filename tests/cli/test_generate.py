"""`generate`, from the prompt to the file, with the real engine and a checkpoint of random weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from pixart_ui import cli
from pixart_ui.commands.generate import _differences
from pixart_ui.gallery import images
from pixart_ui.jobs.job import JobState
from pixart_ui.jobs.journal import Journal
from tests.cli.commands import ROOT, Ended, run


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def generate(*arguments: str, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Ended:
    """In this process, so that torch is loaded once for all tests."""
    code = cli.main(["generate", *arguments, "--device", "cpu", "--data-dir", str(data_dir)])
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def are_same_pixels(one: Path, other: Path) -> bool:
    with Image.open(one) as first, Image.open(other) as second:
        return ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getbbox() is None


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_prompt_becomes_a_file_and_its_json(
    data_dir: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "circle.png"
    arguments = ["a red circle", "--checkpoint", str(toy), "--steps", "3", "--seed", "0", "--guidance", "0"]
    ended = generate(*arguments, "--size", "256x256", "--out", str(out), "--json", data_dir=data_dir, capsys=capsys)
    assert ended.code == 0, ended.err
    (image,) = json.loads(ended.out)["images"]
    assert image["path"] == str(out)
    assert image["seed"] == 0, "seed 0 is a seed"
    assert image["request"]["guidance_scale"] == 0
    assert image["request"]["steps"] == 3
    assert set(image["measurements"]) == {"encode", "denoise", "decode"}
    assert set(ended.err.split()) & {"waiting", "encode", "denoise", "decode"}, "progress is on stderr"
    with Image.open(out) as picture:
        assert picture.size == (256, 256)
    made = data_dir / "images" / f"{time.strftime('%Y%m%d')}-{image['job']:06d}-0.png"
    assert made.read_bytes() == out.read_bytes()


def test_several_pictures_have_following_seeds_and_numbered_files(
    data_dir: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["a", "--checkpoint", str(toy), "--steps", "2", "--seed", "7", "--num-images", "3"]
    ended = generate(*arguments, "--out", str(tmp_path / "a.png"), data_dir=data_dir, capsys=capsys)
    assert ended.code == 0, ended.err
    paths = [Path(line) for line in ended.out.splitlines()]
    assert [path.name for path in paths] == ["a-1.png", "a-2.png", "a-3.png"]
    assert [images.read_request(path).seed for path in paths] == [7, 8, 9]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_picture_is_made_again_from_its_own_file(
    data_dir: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, folder = tmp_path / "first.png", tmp_path / "again"
    arguments = ["a", "--checkpoint", str(toy), "--steps", "2", "--precision", "int8", "--negative", "b"]
    assert generate(*arguments, "--out", str(first), data_dir=data_dir, capsys=capsys).code == 0
    ended = generate("--from", str(first), "--out", str(folder), data_dir=data_dir, capsys=capsys)
    assert ended.code == 0, ended.err
    (again,) = folder.iterdir()
    assert ended.out == f"{again}\n"
    assert images.read_request(again) == images.read_request(first)
    assert are_same_pixels(first, again)
    assert "differs" not in ended.err


def test_from_goes_with_nothing_that_would_change_the_picture(
    data_dir: Path, tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    arguments = ["a", "--checkpoint", str(toy), "--steps", "1", "--out", str(picture)]
    assert generate(*arguments, data_dir=data_dir, capsys=capsys).code == 0
    for extra in (["a prompt"], ["--steps", "3"], ["--seed", "0"], ["--compile"]):
        ended = generate("--from", str(picture), *extra, data_dir=data_dir, capsys=capsys)
        assert ended.code == 2
        assert "cannot go with --from" in ended.err


def test_what_changed_since_a_picture_was_made_is_named(
    data_dir: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, older = tmp_path / "a.png", tmp_path / "older.png"
    arguments = ["a", "--checkpoint", str(toy), "--steps", "1", "--out", str(picture)]
    assert generate(*arguments, data_dir=data_dir, capsys=capsys).code == 0
    facts = images.read_facts(picture)
    request = images.read_request(picture)
    facts = {key: value for key, value in facts.items() if key not in ("format", "request")}
    facts["versions"] = facts["versions"] | {"torch": "1.0"}
    facts["components"] = facts["components"] | {"vae": "0" * 64}
    with Image.open(picture) as image:
        images.save(image.copy(), older, request, facts)
    ended = generate("--from", str(older), "--out", str(tmp_path / "b.png"), data_dir=data_dir, capsys=capsys)
    assert ended.code == 0
    assert "version of torch differs (1.0 then" in ended.err
    assert "content of the vae differs" in ended.err
    assert ended.err.count("differs") == 2


def test_differences_are_empty_for_equal_facts() -> None:
    assert list(_differences({"a": 1}, {"a": 1})) == []
    assert list(_differences(None, {"a": 1})) == [("a", "unknown", 1)]


def test_a_damaged_checkpoint_is_one_sentence_and_leaves_no_job(
    data_dir: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(toy, broken)
    (weights,) = (broken / "vae").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    ended = generate("a", "--checkpoint", str(broken), data_dir=data_dir, capsys=capsys)
    assert ended.code == 1
    assert ended.is_one_sentence, ended.err
    assert weights.name in ended.err
    journal = Journal(data_dir / "journal.sqlite3")
    assert all(job.state is JobState.DONE for job in journal.jobs())
    journal.close()


def test_cuda_asked_for_and_absent_is_one_sentence(toy: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    ended = run(
        "generate", "a", "--checkpoint", str(toy), "--device", "cuda", "--data-dir", str(tmp_path), environ=environ
    )
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.splitlines()[-1].startswith("Device cuda was asked for, but")
    assert "Traceback" not in ended.err
    journal = Journal(tmp_path / "journal.sqlite3")
    assert [job.state for job in journal.jobs()] == [JobState.CANCELLED], "it must not surprise a later worker"
    journal.close()


def test_ctrl_c_cancels_its_jobs(toy: Path, tmp_path: Path) -> None:
    arguments = ["generate", "a", "--checkpoint", str(toy), "--steps", "150", "--num-images", "20"]
    with subprocess.Popen(
        [sys.executable, "-m", "pixart_ui", *arguments, "--device", "cpu", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "denoise" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert err.endswith("Stopped.\n")
    assert "Traceback" not in err
    journal = Journal(tmp_path / "journal.sqlite3")
    assert {job.state for job in journal.jobs()} <= {JobState.CANCELLED, JobState.DONE}
    assert journal.counts()[JobState.CANCELLED] > 0
    assert journal.workers() == ()
    journal.close()


def test_a_paused_queue_is_waited_for_and_said_so(toy: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    journal.pause("the disk is full")
    arguments = ["generate", "a", "--checkpoint", str(toy), "--steps", "1", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "pixart_ui", *arguments, "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "the queue is paused (the disk is full): waiting for `queue resume`\n"
        journal.resume()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert Path(out.strip()).is_file()
    journal.close()


@pytest.mark.long
def test_jobs_that_somebody_clears_meanwhile_have_ended(toy: Path, tmp_path: Path) -> None:
    arguments = ["generate", "a", "--checkpoint", str(toy), "--steps", "20", "--num-images", "2", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "pixart_ui", *arguments, "--data-dir", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        journal = Journal(tmp_path / "journal.sqlite3")
        while process.poll() is None:
            journal.clear_finished()
            time.sleep(0.005)
        _, err = process.communicate(timeout=60)
    journal.clear_finished()
    assert "Traceback" not in err
    assert process.returncode == (1 if "was cleared from the list" in err else 0)
    assert len(list((tmp_path / "images").iterdir())) == 2, "the pictures stay"
    assert journal.jobs() == ()
    journal.close()
