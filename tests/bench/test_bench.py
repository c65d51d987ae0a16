"""The measurements measure: every strategy draws or says why not, a run that was cut off goes on, results are shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import compare, figure, job, results, table
from bench.compare import Cell
from bench.job import CellJob
from tests.bench.rows import all_rows, asked, peer
from tests.toy import make_toy_checkpoint

OURS = "ours@2GiB"
ROOT = Path(__file__).resolve().parent.parent.parent
# What needs a GPU, a stream, several GPUs, a package that is not asked for, or a call that is gone; and the beginning
# of what it raises where that is the same everywhere.
MAY_FAIL = {
    "attention-backend": "",
    "attention-cudnn": "",
    "attention-efficient": "",
    "attention-flash": "",
    "attention-xformers": "ModuleNotFoundError",
    "balanced": "RuntimeError: needs 2 GPUs",
    "balanced-max-memory": "RuntimeError: needs 2 GPUs",
    "compile-blocks": "",
    "group-block-stream": "ValueError",
    "group-block-t5": "ValueError",
    "group-leaf-low-cpu": "ValueError",
    "group-leaf-record": "ValueError",
    "group-leaf-stream": "ValueError",
    "group-leaf-tiling": "ValueError",
    "model-offload": "",
    "pipeline-auto": "NotImplementedError: auto not supported",
    "quantized-fp4": "RuntimeError",
    "quantized-int8": "RuntimeError",
    "quantized-nf4": "RuntimeError",
    "sequential-offload": "",
    "staged-load-in-8bit": "TypeError",
    "traced": "",
}
SAME_LATENTS = ("resident", "sharded", "staged", "staged-latents", "staged-max-memory", "vae-tiling")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every strategy's row."""
    folder = tmp_path_factory.mktemp("strategies")
    command = [sys.executable, "-m", "tests.bench.each", str(folder)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))


def test_every_strategy_draws_or_says_why_not(measured: dict[str, Any]) -> None:
    for name in measured.keys() - {OURS}:
        row = measured[name]
        if row["error"] is None:
            assert row["pictures"] == ["0-00.png", "0-01.png"], name
            assert len(row["latents_sha256"]) == len(row["image_seconds"]) == 2, name
            assert 0 < row["first_image_seconds"] <= row["wall_seconds"], name
        else:
            assert name in MAY_FAIL, (name, row["error"])
            assert row["error"].startswith(MAY_FAIL[name]), (name, row["error"])
            assert "\n" not in row["error"]


def test_our_engine_draws_a_cold_group_and_a_warm_one(measured: dict[str, Any]) -> None:
    row = measured[OURS]
    assert row["error"] is None
    assert row["pictures"] == ["0-00.png", "0-01.png", "1-00.png", "1-01.png", "2-00.png", "3-00.png"]
    assert len(row["image_seconds"]) == len(row["warm"]["image_seconds"]) == 2
    assert set(row["latents_sha256"]).isdisjoint(row["warm"]["latents_sha256"])
    assert {"load", "encode", "denoise", "decode"} == set(row["phases"])
    assert row["numerics"] == "fast"
    assert row["details"]["cold"]["predicted"]["predicted_seconds"] > 0
    assert [phase["is_cached"] for phase in row["details"]["next_cached_prompt"]["phases"]] == [True, False, False]
    assert not row["details"]["next_new_prompt"]["phases"][0]["is_cached"]
    assert row["details"]["next_cached_prompt_seconds"] > 0


def test_a_row_says_where_and_with_what_it_was_measured(measured: dict[str, Any]) -> None:
    row = measured["staged"]
    assert row["device_type"] == "cpu"
    assert row["peak_allocated_bytes"] is row["peak_reserved_bytes"] is None
    assert row["peak_rss_bytes"] > 2**20
    assert (row["numerics"], row["details"]) == ("stock", {"dtype": "float32"})
    assert row["versions"]["diffusers"]
    assert {"load", "encode", "denoise", "decode", "write"} == set(row["phases"])
    assert row["cached_fraction"] in (None, 1.0)


def test_where_the_weights_are_does_not_change_the_latents(measured: dict[str, Any]) -> None:
    assert len({tuple(measured[name]["latents_sha256"]) for name in SAME_LATENTS}) == 1


def test_every_strategy_has_a_cell_and_every_cell_a_strategy(measured: dict[str, Any]) -> None:
    peers = {cell.strategy for cell in compare.PEERS}
    assert peers | {OURS} == set(measured)
    assert {cell.strategy for cell in compare.FIGURES if not job.is_ours(cell.strategy)} <= peers
    assert set(figure.LABELS) <= peers
    assert len(compare.ROWS["matrix"]) == 27


def test_a_run_that_was_killed_goes_on_with_the_next_cell(tmp_path: Path) -> None:
    toy, out = make_toy_checkpoint(tmp_path / "toy"), tmp_path / "results.json"
    command = [
        *(sys.executable, "-m", "bench", "compare", "--folder", str(toy), "--out", str(out), "--resume"),
        *("--rows", "peers", "--only", "resident", "--only", "pipeline-auto"),
        *("--device", "cpu", "--size", "128", "--steps", "1", "--images", "1"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 90
    while not results.read(out) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (first,) = results.read(out)
    subprocess.run(command, cwd=ROOT, check=True, timeout=90)
    rows = results.read(out)
    assert rows[0] == first
    assert [row["strategy"] for row in rows] == ["resident", "pipeline-auto"]
    assert first["error"] is None
    assert rows[1]["error"].startswith("NotImplementedError")


def test_no_cell_starts_after_the_time_is_over(tmp_path: Path) -> None:
    arguments = {"device": "cpu", "seconds": 0.0, "cell_seconds": 60.0}
    assert compare.compare([Cell("resident")], tmp_path, tmp_path / "results.json", **arguments) == []


@pytest.mark.parametrize(
    ("code", "limit_seconds", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", 60, "The process ended with code -9."),
        ("raise SystemExit('no such device')", 60, "The process ended with code 1. no such device"),
        ("import time; time.sleep(60)", 1, "It ran longer than 1 s."),
    ],
)
def test_a_process_that_dies_is_a_row(
    code: str, limit_seconds: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_command", lambda *_: [sys.executable, "-c", code])
    row = compare.measure(Cell("resident", num_images=1), tmp_path, "cpu", limit_seconds)
    assert row["error"] == said
    assert (row["strategy"], row["num_images"]) == ("resident", 1)


def test_every_group_has_prompts_of_its_own() -> None:
    job = CellJob("resident", Path(), Path(), "cpu", num_images=32)
    prompts = [*job.prompts(0), *job.prompts(1)]
    assert len(set(prompts)) == len(prompts) == 64


def test_results_become_a_picture_and_a_table(tmp_path: Path) -> None:
    file, picture, readme = tmp_path / "results.json", tmp_path / "images" / "frontier.png", tmp_path / "README.md"
    results.write(file, all_rows())
    readme.write_text(f"before\n{figure.START}\nWHAT WAS THERE\n{figure.END}\nafter\n", encoding="utf-8")
    figure.main([str(file), "--picture", str(picture), "--readme", str(readme)])
    with Image.open(picture) as image:
        assert image.width >= 1200
        assert len(image.convert("RGB").getcolors(2**24) or ()) > 100
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "WHAT WAS THERE" not in text
    assert "Measured on NVIDIA Test, driver 570.1; pixart-ui 0.1.0, torch 2.11.0, diffusers 0.42.1." in text
    assert "| 1.5GiB | 4 | 6.40 | 5.60 | 3.20 | 1.07 | 1.40 | 1.40 |" in text
    assert "| staged max memory, cap 8GiB | 9.30 | 2.00 | 4.65 | 1.55 | 7.65 | 7.50 | 12.0 | equal |" in text
    assert "| staged nf4 | 7.50 | 2.00 | 3.75 | 1.25 | 6.20 | 6.06 | 12.0 | differ |" in text
    assert "| attention xformers | ModuleNotFoundError: No module named 'xformers' \\| pip |" in text


def test_a_row_with_other_settings_says_so() -> None:
    row = peer("sequential-offload", None, 5.1, 2.4, 2.6) | {"num_images": 1, "steps": 4, "next_image_seconds": []}
    assert "| sequential offload (1 picture, 4 steps) | 5.10 |" in table.markdown([row])


def test_results_of_two_devices_are_not_mixed(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    results.write(file, [*all_rows(), asked("other", None) | {"device": "NVIDIA Other", "error": "x"}])
    with pytest.raises(SystemExit, match="one device"):
        figure.main([str(file), "--picture", str(tmp_path / "frontier.png")])


def test_a_readme_without_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("text\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="add the two lines"):
        figure.splice(readme, "table")
    assert readme.read_text(encoding="utf-8") == "text\n"
