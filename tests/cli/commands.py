"""Running the command line as a person does: another process, its two outputs, its exit code."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def is_one_sentence(self) -> bool:
        """One line on stderr, no traceback, nothing on stdout."""
        return self.out == "" and self.err.count("\n") == 1 and self.err.endswith(".\n") and "Traceback" not in self.err


def run(*arguments: str, script: str = "", environ: dict[str, str] | None = None, timeout: float = 120) -> Ended:
    """`python -m pixart_ui …`, or the script of that name."""
    start = [str(ROOT / script)] if script else ["-m", "pixart_ui"]
    done = subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
