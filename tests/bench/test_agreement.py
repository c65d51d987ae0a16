"""A comparison beside an independent measurement: who is too far off is named, and the other script is independent."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import agreement
from pixart_ui.compare import report
from pixart_ui.compare.comparison import Comparison, State
from pixart_ui.compare.sweep import Cell
from tests.compare.parts import comparison, done, ended, sweep
from tests.toy import make_toy_checkpoint

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "bench" / "independent.py"
NAMES = ("staged", "diffusers:resident", "diffusers:staged-nf4", "diffusers:balanced", "diffusers:compile")


def measured_here() -> Comparison:
    def outcome(cell: Cell) -> Any:
        if cell.strategy == "diffusers:balanced":
            return ended(cell, State.UNAVAILABLE, "RuntimeError: needs 2 GPUs, this machine has 1")
        gib = {"staged": 11.0, "diffusers:resident": 16.4, "diffusers:staged-nf4": 5.8, "diffusers:compile": 16.4}
        return done(cell, gib[cell.strategy])

    return comparison(sweep(f"strategy={','.join(NAMES)}"), outcome)


def measured_there(**gib: float | str) -> dict[str, Any]:
    return {
        "strategies": {
            name.replace("_", "-"): {"error": value, "peak_reserved_bytes": 1}
            if isinstance(value, str)
            else {"error": None, "peak_reserved_bytes": round(value * agreement.GIB)}
            for name, value in gib.items()
        }
    }


def test_each_strategy_of_both_is_laid_beside_the_other() -> None:
    there = measured_there(resident=16.0, staged_nf4=6.0, balanced="RuntimeError: another sentence")
    found = {pair.strategy: pair for pair in agreement.pairs(measured_here(), there)}
    assert list(found) == ["resident", "staged-nf4", "balanced"], "ours has no other hand, compile was not measured"
    assert found["resident"].difference == pytest.approx(0.025)
    assert found["staged-nf4"].difference == pytest.approx(-0.2 / 6)
    assert [found[name].agrees for name in found] == [True, False, True]
    text = agreement.plain(list(found.values()))
    assert "+2.50%" in text
    assert "-3.33%  TOO FAR" in text
    assert "1 of 2 within 3%, 3.33% at most; 1 of 1 without a figure raise the same." in text


def test_another_exception_or_one_in_one_of_them_alone_is_no_agreement() -> None:
    there = measured_there(resident="OSError: gone", balanced="ValueError: not balanced")
    assert [pair.agrees for pair in agreement.pairs(measured_here(), there)] == [False, False]


def test_it_ends_with_1_where_one_is_too_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.save_json(measured_here(), tmp_path)
    file = tmp_path / "independent.json"
    file.write_text(json.dumps(measured_there(resident=16.4)))
    agreement.main([str(tmp_path), str(file)])
    assert "1 of 1 within 3%" in capsys.readouterr().out
    file.write_text(json.dumps(measured_there(resident=17.4)))
    with pytest.raises(SystemExit) as exit_:
        agreement.main([str(tmp_path), str(file)])
    assert exit_.value.code == 1
    with pytest.raises(SystemExit, match="does not exist"):
        agreement.main([str(tmp_path / "nothing"), str(file)])


def test_the_independent_script_imports_nothing_of_this_project_and_knows_its_names() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.partition(".")[0] in ("bench", "pixart_ui", "tests")}
    from bench import independent, peers

    assert set(independent.STRATEGIES) <= set(peers.STRATEGIES)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_independent_script_draws_or_says_why_not(tmp_path: Path) -> None:
    folder, out = make_toy_checkpoint(tmp_path / "toy"), tmp_path / "independent.json"
    command = [sys.executable, str(SCRIPT), str(folder), "--device", "cpu", "--size", "64", "--steps", "1"]
    command += ["--only", "staged", "--only", "staged-load-in-8bit", "--at-once", "2", "--out", str(out)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=280)
    found = json.loads(out.read_text())["strategies"]
    assert found["staged"] == {"peak_allocated_bytes": None, "peak_reserved_bytes": None, "error": None} | {
        "seconds": found["staged"]["seconds"]
    }
    assert found["staged-load-in-8bit"]["error"].startswith("TypeError")
