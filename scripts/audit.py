"""Asks the advisory database about every pinned version, and says plainly what it could not ask. `make audit`.

    python -m scripts.audit [FILE]

pip-audit by itself says that it found nothing where it could look up nothing. Exit codes: 0 all were looked up and none
has a known hole, 1 some have, 2 some or all could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PINNED = "constraints.txt"
MAX_NAMED = 8


def main(arguments: Sequence[str]) -> int:
    file = arguments[0] if arguments else PINNED
    options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "-r", file], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"The advisory database could not be asked, nothing of {file} was looked up:\n  {reason[:300]}")
        return 2
    for line in report(found, file):
        print(line)
    return verdict(found)


def report(found: Sequence[Mapping[str, Any]], file: str) -> Iterator[str]:
    """What to tell of pip-audit's findings."""
    unknown = [entry["name"] for entry in found if "skip_reason" in entry]
    for entry in found:
        for hole in entry.get("vulns", ()):
            mended = ", ".join(hole["fix_versions"]) if hole["fix_versions"] else "no version yet"
            yield f"{entry['name']} {entry['version']}: {hole['id']}, mended in {mended}"
    if len(unknown) == len(found):
        yield f"None of the {len(found)} versions in {file} could be looked up: the advisory database is out of reach."
    elif unknown:
        named = ", ".join(unknown[:MAX_NAMED]) + ("…" if len(unknown) > MAX_NAMED else "")
        yield f"{len(unknown)} of {len(found)} versions in {file} could not be looked up: {named}"
    if len(unknown) < len(found):
        looked_up, bad = len(found) - len(unknown), sum(bool(entry.get("vulns")) for entry in found)
        yield f"{looked_up} versions were looked up, {bad if bad else 'none'} of them with a known hole."


def verdict(found: Sequence[Mapping[str, Any]]) -> int:
    """The exit code."""
    if any(entry.get("vulns") for entry in found):
        return 1
    return 2 if any("skip_reason" in entry for entry in found) or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
