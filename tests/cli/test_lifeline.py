"""What a process does whose lifeline ends: leaves at once while it owns nothing, and in good order afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.commands import ROOT

PROGRAM = """
import threading
from pixart_ui.commands.lifeline import leaving_at_once, stop_event

stop = stop_event(has_lifeline=True)
with leaving_at_once(stop):
    print("there", flush=True)
    if {is_starting}:
        threading.Event().wait()
stop.wait()
print("put away", flush=True)
"""


@pytest.mark.parametrize(("is_starting", "last"), [(True, "there"), (False, "put away")])
def test_only_what_still_starts_leaves_without_a_word(is_starting: bool, last: str) -> None:
    program = PROGRAM.format(is_starting=is_starting)
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert ("there\n" + out).splitlines()[-1] == last
