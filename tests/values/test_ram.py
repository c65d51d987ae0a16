"""Limits of control groups, from files as the kernel writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pixart_ui.engine.calibration import Table
from pixart_ui.engine.device import open_device
from pixart_ui.engine.planning import Planning
from pixart_ui.prediction import limits_of
from pixart_ui.ram import Ram, ram

MIB = 2**20
UNLIMITED_1 = "9223372036854771712"


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


@pytest.fixture
def process_file(tmp_path: Path) -> Path:
    return tmp_path / "self"


def write(folder: Path, **files: object) -> None:
    """`memory_max=…` becomes `memory.max`, with the newline that the kernel writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("memory_", "memory.", 1)).write_text(f"{value}\n")


def machine() -> int:
    return int(psutil.virtual_memory().total)


def test_without_control_groups_it_is_what_the_machine_says(process_file: Path, mount: Path) -> None:
    found = ram(process_file, mount)
    assert found.total == machine()
    assert found.available == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_version_2_gives_the_limit_less_what_cannot_be_freed(process_file: Path, mount: Path) -> None:
    process_file.write_text("0::/work/one\n")
    statistics = f"anon {90 * MIB}\nfile {40 * MIB}\nactive_file {10 * MIB}\ninactive_file {25 * MIB}\nshmem {5 * MIB}"
    write(
        mount / "work" / "one",
        memory_max=400 * MIB,
        memory_high="max",
        memory_current=130 * MIB,
        memory_stat=statistics,
    )
    assert ram(process_file, mount) == Ram(available=(400 - 130 + 35) * MIB, total=400 * MIB)


def test_the_lower_one_of_max_and_high_counts(process_file: Path, mount: Path) -> None:
    process_file.write_text("0::/one\n")
    write(mount / "one", memory_max=400 * MIB, memory_high=300 * MIB, memory_current=100 * MIB)
    assert ram(process_file, mount) == Ram(available=200 * MIB, total=300 * MIB)


def test_a_limit_above_the_group_counts_with_what_its_neighbours_use(process_file: Path, mount: Path) -> None:
    process_file.write_text("0::/pod/container\n")
    write(mount / "pod", memory_max=500 * MIB, memory_high="max", memory_current=450 * MIB)
    write(mount / "pod" / "container", memory_max=400 * MIB, memory_high="max", memory_current=20 * MIB)
    assert ram(process_file, mount) == Ram(available=50 * MIB, total=400 * MIB)


def test_a_container_that_sees_its_own_group_as_the_topmost_is_limited_by_it(process_file: Path, mount: Path) -> None:
    process_file.write_text("0::/\n")
    write(mount, memory_max=256 * MIB, memory_high="max", memory_current=56 * MIB)
    assert ram(process_file, mount) == Ram(available=200 * MIB, total=256 * MIB)


def test_version_1_gives_the_limit_less_what_cannot_be_freed(process_file: Path, mount: Path) -> None:
    process_file.write_text("12:cpu,cpuacct:/one\n4:memory:/docker/one\n1:name=systemd:/x\n0::/\n")
    statistics = f"active_file 1\ntotal_active_file {10 * MIB}\ntotal_inactive_file {20 * MIB}"
    write(
        mount / "memory" / "docker" / "one",
        memory_limit_in_bytes=400 * MIB,
        memory_usage_in_bytes=130 * MIB,
        memory_stat=statistics,
    )
    write(mount / "memory", memory_limit_in_bytes=UNLIMITED_1, memory_usage_in_bytes=10**12)
    assert ram(process_file, mount) == Ram(available=300 * MIB, total=400 * MIB)


def test_version_1_in_a_container_has_its_group_at_the_top(process_file: Path, mount: Path) -> None:
    process_file.write_text("4:memory:/docker/0123456789ab\n")
    write(mount / "memory", memory_limit_in_bytes=400 * MIB, memory_usage_in_bytes=100 * MIB)
    assert ram(process_file, mount) == Ram(available=300 * MIB, total=400 * MIB)


def test_both_versions_side_by_side(process_file: Path, mount: Path) -> None:
    process_file.write_text("4:memory:/one\n0::/two\n")
    write(mount / "memory" / "one", memory_limit_in_bytes=UNLIMITED_1, memory_usage_in_bytes=1)
    write(mount / "unified" / "two", memory_max=300 * MIB, memory_current=100 * MIB)
    assert ram(process_file, mount) == Ram(available=200 * MIB, total=300 * MIB)


def test_limits_that_do_not_limit_change_nothing(process_file: Path, mount: Path) -> None:
    process_file.write_text("4:memory:/one\n0::/two\n")
    write(mount / "memory" / "one", memory_limit_in_bytes=UNLIMITED_1, memory_usage_in_bytes=100 * MIB)
    write(mount / "two", memory_max="max", memory_high="max", memory_current=10**15)
    assert ram(process_file, mount).total == machine()
    assert ram(process_file, mount).available > 100 * MIB


def test_a_group_above_its_limit_has_nothing_free(process_file: Path, mount: Path) -> None:
    process_file.write_text("0::/one\n")
    write(mount / "one", memory_max="max", memory_high=100 * MIB, memory_current=130 * MIB)
    assert ram(process_file, mount) == Ram(available=0, total=100 * MIB)


@pytest.mark.parametrize("content", ["", "nonsense", "0::", "0:memory\n4:memory", "\n\n0::/../..\n"])
def test_a_file_that_says_nothing_limits_nothing(content: str, process_file: Path, mount: Path) -> None:
    process_file.write_text(content)
    assert ram(process_file, mount).total == machine()


def test_plans_of_the_engine_and_of_the_page_stand_on_it(
    process_file: Path, mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process_file.write_text("0::/\n")
    write(mount, memory_max=2048 * MIB, memory_high="max", memory_current=548 * MIB)
    limited = ram(process_file, mount)
    for user in ("engine.device", "engine.planning", "prediction"):
        monkeypatch.setattr(f"pixart_ui.{user}.ram", lambda: limited)
    device = open_device("cpu")
    assert device.memory() == (1500 * MIB, 2048 * MIB)
    limits = Planning(device, None).limits(frozenset(), kept_bytes=100 * MIB)
    assert (limits.budget_bytes, limits.ram_bytes) == (1600 * MIB, 2048 * MIB)
    assert limits_of({}, Table()).ram_bytes == 2048 * MIB
    assert limits_of({"ram_bytes": 1024 * MIB}, Table()).ram_bytes == 1024 * MIB


def test_a_real_limit_is_seen() -> None:
    """Where systemd runs."""
    limit = 512 * MIB
    scope = ["systemd-run", "--scope", "--quiet", "-p", f"MemoryMax={limit}"]
    code = "from pixart_ui.ram import ram; found = ram(); print(found.available, found.total)"
    try:
        done = subprocess.run([*scope, sys.executable, "-c", code], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("systemd makes no scopes here")
    available, total = map(int, done.stdout.split())
    assert total == limit
    assert 0 < available < limit
