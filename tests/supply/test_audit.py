"""`make audit` never says that all is well where it could not look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.audit import report, verdict
from tests.cli.commands import ROOT

GOOD = {"name": "numpy", "version": "2.4.4", "vulns": []}
BAD = {"name": "pillow", "version": "9.0.0", "vulns": [{"id": "PYSEC-2023-1", "fix_versions": ["9.0.1"]}]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.11.0)"}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        ([GOOD], 0, "1 versions were looked up, none of them with a known hole."),
        ([GOOD, BAD], 1, "pillow 9.0.0: PYSEC-2023-1, mended in 9.0.1"),
        ([GOOD, UNKNOWN], 2, "1 of 2 versions in constraints.txt could not be looked up: torch"),
        ([UNKNOWN], 2, "None of the 1 versions in constraints.txt could be looked up"),
        ([BAD, UNKNOWN], 1, "1 of 2 versions in constraints.txt could not be looked up: torch"),
    ],
)
def test_what_was_found_and_what_could_not_be_asked(found: list[dict[str, object]], code: int, told: str) -> None:
    lines = list(report(found, "constraints.txt"))
    assert any(told in line for line in lines), lines
    assert verdict(found) == code
    assert not (code == 2 and len(found) == 1 and any("none of them" in line for line in lines))


def test_without_a_network_it_says_that_nothing_was_looked_up(tmp_path: Path) -> None:
    (tmp_path / "pinned.txt").write_text("idna==3.11\n")
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.audit", str(tmp_path / "pinned.txt")],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "could not be asked, nothing of" in done.stdout
    assert "Traceback" not in done.stdout
