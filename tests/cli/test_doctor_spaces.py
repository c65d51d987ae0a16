"""`doctor --spaces`: on this repository, and on copies of it with one thing wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pixart_ui.commands.doctor_spaces import MAX_PUSHED_BYTES, examine_repository
from pixart_ui.spaces import front_matter
from pixart_ui.spaces.front_matter import ZERO_GPU_TORCHES
from tests.cli.commands import ROOT, run


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("README.md", "requirements.txt", "app.py"):
        shutil.copy(ROOT / name, root)
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def readme(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: edit(root / "README.md", old, new)


def requirements(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: edit(root / "requirements.txt", old, new)


def test_this_repository_would_run_as_it_is() -> None:
    report = examine_repository(ROOT)
    assert report.problems == []
    assert report.torch == list(ZERO_GPU_TORCHES)
    assert report.front_matter["python_version"] == "3.12"


def test_a_sound_copy_has_no_problems(repository: Path) -> None:
    assert examine_repository(repository).problems == []


PROBLEMS: list[tuple[Callable[[Path], None], str]] = [
    (lambda root: (root / "README.md").write_text("# PixArt UI\n"), "has no front matter"),
    (readme("sdk: gradio\n", "sdk: streamlit\n"), "sdk is 'streamlit'"),
    (readme("sdk: gradio\n", ""), "sdk is missing"),
    (readme('python_version: "3.12"', "python_version: 3.12"), "is a number"),
    (readme('python_version: "3.12"', 'python_version: "3.11"'), "not on ZeroGPU"),
    (readme('python_version: "3.12"', 'python_version: "3.10"'), "older than this app needs"),
    (readme("app_file: app.py", "app_file: main.py"), "does not exist"),
    (readme("colorFrom: indigo", "colorFrom: teal"), "not one of the Hub's colours"),
    (readme("short_description: ", "short_description: a very long word before it, "), "shorten it"),
    (readme("  - PixArt-alpha/PixArt-XL-2-1024-MS", "  - https://huggingface.co/x/y"), "is not a repository"),
    (readme("sdk_version: 6.31.0", "sdk_version: 5.49.1"), "does not satisfy"),
    (readme("sdk_version: 6.31.0", "sdk_version: latest"), "is not a version"),
    (requirements("torch>=2.8,<3", "torch==2.13.0"), "No torch of ZeroGPU"),
    (requirements("torch>=2.8,<3", ""), "a Space brings none"),
    (requirements("torch>=2.8,<3", "--extra-index-url https://x\ntorch>=2.8"), "no plain requirement"),
    (requirements("diffusers>=0.42.1,<0.43", "diffusers @ git+https://x/y"), "not from PyPI"),
    (lambda root: (root / "requirements.txt").unlink(), "is missing"),
]


@pytest.mark.parametrize(("harm", "said"), PROBLEMS, ids=[said for _, said in PROBLEMS])
def test_each_mistake_has_its_sentence(repository: Path, harm: Callable[[Path], None], said: str) -> None:
    harm(repository)
    problems = examine_repository(repository).problems
    assert any(said in problem for problem in problems), problems
    assert all("\n" not in problem and problem.endswith(".") for problem in problems)


def test_a_file_too_large_for_git_push_is_worth_a_word(repository: Path) -> None:
    (repository / "weights.safetensors").write_bytes(b"\0" * (MAX_PUSHED_BYTES + 1))
    report = examine_repository(repository)
    assert report.problems == []
    assert any("weights.safetensors" in sentence and "hf upload" in sentence for sentence in report.advice)


def test_a_key_that_the_hub_does_not_know_is_worth_a_word(repository: Path) -> None:
    readme("sdk: gradio", "sdk: gradio\nsdk_versoin: 1")(repository)
    assert any("sdk_versoin" in sentence for sentence in examine_repository(repository).advice)


def test_front_matter_that_is_no_yaml_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\n: [\n---\n", encoding="utf-8")
    assert front_matter.read(tmp_path) is None


def test_the_command_says_so_and_ends_with_its_code(tmp_path: Path) -> None:
    done = run("doctor", "--spaces", "--json", "--data-dir", str(tmp_path / "data"))
    assert done.code == 0, done.err
    assert json.loads(done.out)["would_run"] is True
    assert not (tmp_path / "data").exists()
