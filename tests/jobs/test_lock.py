"""One device, one worker, whoever starts it and however the other one ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pixart_ui.jobs.lock import DeviceTaken, device_lock, lock_path

HOLD = """
import sys
from pathlib import Path
from pixart_ui.jobs.lock import device_lock
with device_lock(sys.argv[1], Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(device: str, data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, device, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_worker_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with hold_elsewhere("cpu", tmp_path) as other:
        with pytest.raises(DeviceTaken, match="Device cpu already has a worker"), device_lock("cpu", tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with device_lock("cpu", tmp_path):
            pass


def test_a_gpu_is_locked_for_the_machine_a_cpu_for_its_data_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert lock_path("GPU-00000000-test", here) == lock_path("GPU-00000000-test", there)
    assert lock_path("GPU-00000000-test", here) != lock_path("GPU-00000001-test", here)
    assert lock_path("cpu", here) != lock_path("cpu", there)


def test_a_device_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    assert lock_path("../../x", tmp_path).parent == lock_path("GPU-1", tmp_path).parent
