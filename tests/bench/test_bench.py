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

from bench import cells, compare, disk, figure, goals, limited, names, surroundings, table
from bench.cells import Cell
from bench.compare import Place
from bench.job import CellJob, is_ours, makes_pictures
from bench.results import Results
from tests.bench.rows import GIB, LEAKS, NUM_RUNS, OURS, all_rows, asked, figure_rows, peer
from tests.toy import make_toy_checkpoint

# Forty strategies one after the other: a minute, or several where other tests run beside them.
PATIENCE_SECONDS = 400
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 20)
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
SAME_LATENTS = ("resident", "sharded", "staged", "staged-latents", "staged-max-memory", "staged-tiling", "vae-tiling")


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The row of every strategy of stock diffusers."""
    return run_each(tmp_path_factory.mktemp("stock"), "peers")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Ours, and T5 alone."""
    return run_each(tmp_path_factory.mktemp("ours"), "ours")


def run_each(folder: Path, which: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.each", str(folder), which]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))


@pytest.mark.long  # ours are measured in the same way, and comparisons draw with stock diffusers
def test_every_strategy_draws_or_says_why_not(stock: dict[str, Any]) -> None:
    for name, row in stock.items():
        if row["error"] is None:
            assert row["pictures"] == ["0-00.png", "0-01.png"], name
            assert len(row["latents_sha256"]) == len(row["image_seconds"]) == 2, name
            assert 0 < row["first_image_seconds"] <= row["wall_seconds"], name
        else:
            assert name in MAY_FAIL, (name, row["error"])
            assert row["error"].startswith(MAY_FAIL[name]), (name, row["error"])
            assert "\n" not in row["error"]


@pytest.mark.long
def test_ours_draws_in_every_precision_and_numerics(measured: dict[str, Any]) -> None:
    for name in filter(makes_pictures, measured.keys() - {OURS}):
        row = measured[name]
        assert (row["error"], row["pictures"]) == (None, ["0-00.png", "0-01.png"]), name
        assert row["numerics"] == ("exact" if "exact" in name else "fast")


@pytest.mark.long
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


@pytest.mark.long
def test_a_row_says_where_and_with_what_it_was_measured(stock: dict[str, Any]) -> None:
    row = stock["staged"]
    assert row["device_type"] == "cpu"
    assert row["peak_allocated_bytes"] is row["peak_reserved_bytes"] is None
    assert row["peak_rss_bytes"] > 2**20
    assert (row["numerics"], row["details"]) == ("stock", {"dtype": "float32"})
    assert row["versions"]["diffusers"]
    assert {"load", "encode", "denoise", "decode", "write"} == set(row["phases"])
    assert row["cached_fraction"] in (None, 1.0)


@pytest.mark.long
def test_where_the_weights_are_does_not_change_the_latents(stock: dict[str, Any]) -> None:
    assert len({tuple(stock[name]["latents_sha256"]) for name in SAME_LATENTS}) == 1


@pytest.mark.long
def test_t5_alone_is_measured_streamed_whole_and_as_transformers_has_it(measured: dict[str, Any]) -> None:
    for name, count in (("ours-t5", 7), ("stock-t5", 3)):
        parts = measured[name]["parts"]
        assert [part["error"] for part in parts] == [None] * count
        assert all(part["warm_seconds"] > 0 for part in parts)
    whole = {part["name"]: part for part in measured["ours-t5"]["parts"]}["nf4 whole"]
    assert whole["first"]["seconds"] > 0
    assert whole["first"]["weight_bytes"] > 0
    assert measured["stock-t5"]["parts"][0]["load_seconds"] > 0


@pytest.mark.long
def test_many_runs_say_what_each_left_behind(measured: dict[str, Any]) -> None:
    runs = measured[LEAKS]["runs"]
    assert len(runs) == NUM_RUNS
    assert [run["error"] for run in runs] == [None] * NUM_RUNS
    assert {run["precision"] for run in runs} == {"fp16", "nf4", "int8"}
    assert runs[0]["precision"] == runs[7]["precision"]
    assert [run["was_cancelled"] for run in runs].count(True) == 1
    assert all(run["rss_bytes"] > 2**20 for run in runs)


def test_every_strategy_has_a_cell_and_every_cell_a_strategy() -> None:
    from bench.peers import STRATEGIES  # brings in torch

    peers = {cell.strategy for cell in cells.PEERS}
    assert peers == set(STRATEGIES)
    assert {cell.strategy for cell in cells.FIGURES if not is_ours(cell.strategy)} <= peers | {"stock-t5"}
    assert peers | {"stock-t5"} == set(names.STOCK)
    assert peers >= names.SLOW
    assert set(figure.LABELS) <= peers
    assert len(cells.ROWS["matrix"]) == 27
    assert len({cell.key for cell in cells.FIGURES}) == len(cells.FIGURES)


def test_naming_strategies_and_cells_brings_in_no_torch() -> None:
    code = "import sys, bench.names, bench.compare, bench.cell; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.long
def test_a_run_that_was_killed_goes_on_with_the_next_cell(tmp_path: Path) -> None:
    toy, out = make_toy_checkpoint(tmp_path / "toy"), tmp_path / "results.json"
    command = [
        *(sys.executable, "-m", "bench", "compare", "--folder", str(toy), "--out", str(out), "--resume"),
        *("--rows", "peers", "--only", "resident", "--only", "pipeline-auto"),
        *("--device", "cpu", "--size", "128", "--steps", "1", "--images", "1"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 90
    while not Results.read(out).rows and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (first,) = Results.read(out).rows
    subprocess.run(command, cwd=ROOT, check=True, timeout=90)
    rows = Results.read(out).rows
    assert rows[0] == first
    assert [row["strategy"] for row in rows] == ["resident", "pipeline-auto"]
    assert first["error"] is None
    assert rows[1]["error"].startswith("NotImplementedError")


def test_no_cell_starts_after_the_time_is_over(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    found = compare.compare([Cell("resident")], Place(tmp_path, "cpu"), out, seconds=0.0, cell_seconds=60.0)
    assert found.rows == []


@pytest.mark.long
def test_what_is_predicted_is_in_the_file_before_the_first_run(tmp_path: Path) -> None:
    toy, out = make_toy_checkpoint(tmp_path / "toy"), tmp_path / "results.json"
    command = [
        *(sys.executable, "-m", "bench", "compare", "--folder", str(toy), "--out", str(out)),
        *("--rows", "figures", "--only", OURS, "--device", "cpu", "--size", "128", "--steps", "1", "--images", "1"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (before := Results.read(out)).predictions and time.monotonic() < deadline:
        time.sleep(0.02)
    printed, told = process.communicate(timeout=120)
    assert before.rows == []
    (row,) = Results.read(out).rows
    prediction = before.predictions[row["key"]]
    assert prediction["predicted_peak_bytes"] > 0
    assert prediction["predicted_at"] < row["details"]["cold"]["predicted"]["predicted_at"]
    assert "next image, warm, new prompt, 2GiB" not in printed  # of one picture, not of a queue of four
    assert f"remove them when you are done: {toy}-weights" in told


@pytest.mark.long
def test_a_small_machine_is_a_limit_on_ram_and_an_empty_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, groups = make_toy_checkpoint(tmp_path / "toy"), tmp_path / "groups"
    groups.mkdir()
    (groups / "cgroup.controllers").touch()
    monkeypatch.setattr(limited, "ROOT", groups)
    monkeypatch.setattr(limited, "_remove", lambda group: None)  # in a real one the kernel's files go with the folder
    row = compare.measure(
        Cell(OURS, num_images=1, steps=1, size=128, ram="12GB"), Place(toy, "cpu"), 120, calibration=None
    )
    assert row["error"] is None
    assert row["ram_limit"] == "control group, 12,000,000,000 bytes"
    (group,) = groups.glob("pixart-ui-bench-*")
    assert (group / "memory.max").read_text() == "12000000000"
    assert int((group / "cgroup.procs").read_text()) > 1
    assert row["disk_bytes_a_second"] > 0
    assert row["cached_fraction"] in (None, 0.0)


def test_a_machine_where_nothing_limits_ram_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "ROOT", tmp_path / "absent")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with limited.memory(12 * GIB) as limit:
        assert limit.prefix == ()
        assert (
            limit.words
            == f"none ({tmp_path / 'absent' / 'memory'} cannot be written: No such file or directory; no systemd-run)"
        )
    with limited.memory(None) as limit:
        assert limit == limited.Limit((), "")


def test_files_leave_the_page_cache_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(2**22))
    disk.drop([file])
    assert surroundings.cached_fraction([file]) in (None, 0.0)
    assert disk.sequential_rate([file])
    surroundings.read_once([file])
    assert surroundings.cached_fraction([file]) in (None, 1.0)


def test_a_peer_decodes_in_the_pieces_that_ours_took() -> None:
    cell = next(cell for cell in cells.FIGURES if cell.tile_of is not None)
    phases = [{"phase": "denoise", "tile": None}, {"phase": "decode", "tile": 384}]
    details = {"cold": {"predicted": {"phases": phases}}}
    other = asked("ours@1.5GiB", "1.5GiB")
    assert compare._tile(cell, [other, other | {"size": 2048, "is_2k": True, "details": details}]) == 384
    assert compare._tile(cell, [other]) is None
    assert compare._tile(Cell("vae-tiling"), [other]) is None


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
    row = compare.measure(Cell("resident", num_images=1), Place(tmp_path, "cpu"), limit_seconds)
    assert row["error"] == said
    assert (row["strategy"], row["num_images"]) == ("resident", 1)


def test_every_group_has_prompts_of_its_own() -> None:
    job = CellJob("resident", Path(), Path(), "cpu", num_images=32)
    prompts = [*job.prompts(0), *job.prompts(1)]
    assert len(set(prompts)) == len(prompts) == 64


def test_results_become_a_picture_and_a_table(tmp_path: Path) -> None:
    file, picture, readme = tmp_path / "results.json", tmp_path / "images" / "frontier.png", tmp_path / "README.md"
    Results(all_rows()).write(file)
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


def test_the_figures_come_from_the_rows(tmp_path: Path) -> None:
    results = Results(figure_rows())
    found = {figure.what: (figure.peer, figure.ours) for figure in goals.figures(results)}
    assert found["smallest peak reserved, latents against staged"] == ("1.98 GiB", "0.57 GiB, equal")
    assert found["queue of 4, cold, 2GiB"] == ("18.2 s in 1.98 GiB", "6.00 s in 1.90 GiB")
    assert found["next image, warm, new prompt, 2GiB"] == ("3.03 s", "1.20 s")
    assert found["next image, warm, cached prompt, exact"] == ("1.15 s", "0.80 s")
    assert found["T5 of 4 new prompts, fp16, fast, warm"] == ("0.53 s in 9.31 GiB", "0.30 s in 1.07 GiB")
    assert found["T5 in nf4, streamed in the least"] == ("0.61 s in 6.20 GiB", "0.35 s in 0.55 GiB")
    assert found["T5 in int8 ready, whole"] == ("6.10 s", "0.90 s")
    assert found["2K, fast: peak, each next image"] == ("9.00 GiB, 7.00 s", "1.45 GiB, 7.70 s, 1.10 ×")
    assert found["queue of 1 / 4 / 32"] == ("–", "2.5 / 5.0 / 33.0 s, one is +25.0% off the line")
    assert found["queue of 4, 4-bit T5"] == ("7.50 s in 6.20 GiB", "5.00 s in 6.00 GiB")
    assert found["laptop: 12 GB RAM, from disk, 4GiB"][1] == (
        "15.0 s in 3.50 GiB; disk 1.50 GB/s, 12.9 GB read (8.6 s of it); RAM: control group"
    )
    assert found["latents of 11 rows, fast"] == ("–", "equal")
    assert found["latents of 3 rows, exact and stock"] == ("–", "equal")
    assert (
        found["VRAM after the first and the last of 50 mixed runs"][1]
        == "1500 then 1508 MiB, RSS +40 MiB since the tenth"
    )
    predicted = "-5.0% (ours-exact@24GiB, cold) to +1.0% (ours-exact@24GiB, warm)"
    assert found["measured peak against predicted"][1] == predicted
    assert "| queue of 4, cold, 2GiB | 18.2 s in 1.98 GiB | 6.00 s in 1.90 GiB | 5.2 s |" in goals.markdown(results)
    assert goals.plain(Results()) == ""


def test_budgets_by_queues_are_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    four = [row for row in all_rows() if str(row["strategy"]).startswith("ours@")]
    details = {"next_new_prompt_seconds": 1.5, "next_cached_prompt_seconds": 0.75}
    many = [row | {"num_images": 32, "wall_seconds": 40.0, "key": f"{row['key']}, 32"} for row in four[:2]]
    Results([row | {"details": details} for row in [*many, *four, *all_rows()[-1:]]]).write(tmp_path / "matrix.json")
    figure.main([str(tmp_path / "matrix.json"), "--matrix", "--picture", str(tmp_path / "none.png")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| budget | reserved GiB | queue of 4, cold / warm s | queue of 32, cold / warm s |")
    assert lines[2] == "| 1GiB | 0.97 | 7.90 / 7.00 | 40.0 / 7.00 | 1.50 | 0.75 |"
    assert lines[4].startswith("| 2GiB | 1.90 | 6.00 / 5.20 | – |")
    assert len(lines) == 2 + len(four)
    assert not (tmp_path / "none.png").exists()


def test_figures_that_are_not_there_are_left_out() -> None:
    """After any number of rows, as a run that was cut off leaves them."""
    rows = figure_rows()
    texts = [goals.plain(Results(rows[:count])) for count in range(len(rows) + 1)]
    assert texts[0] == ""
    assert [len(text) for text in texts] == sorted(len(text) for text in texts), "more rows never tell less"
    assert not any("None" in text or "nan" in text for text in texts)


def test_a_row_with_other_settings_says_so() -> None:
    row = peer("sequential-offload", None, 5.1, 2.4, 2.6) | {"num_images": 1, "steps": 4, "next_image_seconds": []}
    assert "| sequential offload (1 picture, 4 steps) | 5.10 |" in table.markdown([row])


def test_results_of_two_devices_are_not_mixed(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    Results([*all_rows(), asked("other", None) | {"device": "NVIDIA Other", "error": "x"}]).write(file)
    with pytest.raises(SystemExit, match="one device"):
        figure.main([str(file), "--picture", str(tmp_path / "frontier.png")])


def test_a_readme_without_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("text\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="add the two lines"):
        figure.splice(readme, "table")
    assert readme.read_text(encoding="utf-8") == "text\n"
