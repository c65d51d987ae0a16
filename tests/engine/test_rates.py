"""How fast weights are read is measured where they are read, and plans stand on it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pixart_ui.engine import calibration as calibration_module
from pixart_ui.engine.calibration import Calibration, Rates, Reads, Table
from pixart_ui.engine.costs import PROCESSOR_SHARE, Demand, Limits
from pixart_ui.engine.device import open_device
from pixart_ui.engine.layout import Piece, Segment
from pixart_ui.engine.planner import choose_plan
from pixart_ui.engine.planning import Planning
from pixart_ui.engine.reading import CHUNK_BYTES, Reader
from pixart_ui.engine.readmeter import ReadMeter, disk_bytes
from pixart_ui.engine.tensorfile import TensorEntry
from pixart_ui.events import Phase
from pixart_ui.hub import Hub
from tests.engine.conftest import forget_texts, make_requests, open_engine, run
from tests.engine.test_planner import full_demand

MB, GB, GIB = 10**6, 10**9, 2**30


def test_reads_from_the_disk_and_from_the_page_cache_are_told_apart() -> None:
    nothing = Calibration()
    assert nothing.learn_reads(Reads(1000 * MB, 10.0, disk_bytes=1000 * MB)).rates == Rates(disk=100 * MB)
    assert nothing.learn_reads(Reads(1000 * MB, 0.1, disk_bytes=5 * MB)).rates == Rates(host=10 * GB)
    assert nothing.learn_reads(Reads(1000 * MB, 10.0, disk_bytes=600 * MB)).rates == Rates(disk=60 * MB)
    assert nothing.learn_reads(Reads(1000 * MB, 10.0, disk_bytes=1200 * MB)).rates == Rates(disk=100 * MB)  # read ahead


@pytest.mark.parametrize(
    "reads",
    [
        Reads(1000 * MB, 1.0, disk_bytes=None),
        Reads(1000 * MB, 1.0, disk_bytes=200 * MB),
        Reads(10 * MB, 1.0, disk_bytes=10 * MB),
        Reads(1000 * MB, 0.0, disk_bytes=0),
        Reads(0, 0.0, disk_bytes=0),
    ],
)
def test_what_says_little_is_not_learned(reads: Reads) -> None:
    assert Calibration().learn_reads(reads) == Calibration()


def test_reads_side_by_side_count_once() -> None:
    """The clock runs from the first to the last, not once for each."""
    meter = ReadMeter()
    with meter.reading(10), meter.reading(5):
        pass
    with pytest.raises(OSError, match="gone"), meter.reading(7):
        raise OSError("gone")
    found = meter.take()
    assert found.nbytes == 15
    assert 0 < found.seconds < 1
    assert meter.take() == Reads(0, 0.0, 0 if disk_bytes() is not None else None)


def read(reader: Reader, path: Path) -> None:
    """The whole file as one tensor of bytes."""
    nbytes = path.stat().st_size
    entry = TensorEntry("weights", "U8", (nbytes,), path, 0, nbytes)
    for future in reader.read(Segment((Piece(entry, 0, 0, "U8"),), nbytes, nbytes), memoryview(bytearray(nbytes))):
        future.result()


def forget(*paths: Path) -> None:
    """Let the system drop what it holds of the files."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def counts_reads(path: Path) -> bool:
    """Whether this file system has a disk behind it, and the kernel says what came from there."""
    before = disk_bytes()
    forget(path)
    path.read_bytes()
    after = disk_bytes()
    return before is not None and after is not None and after > before


def test_a_real_file_is_read_from_the_disk_once_and_then_from_the_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(5 * CHUNK_BYTES + 3))
    if not counts_reads(path):
        pytest.skip("nobody counts here what comes from the disk")
    reader = Reader(2)
    forget(path)
    reader.meter.take()
    read(reader, path)
    cold = reader.meter.take()
    read(reader, path)
    warm = reader.meter.take()
    reader.close()
    assert cold.nbytes == warm.nbytes == path.stat().st_size
    assert cold.disk_bytes is not None
    assert cold.disk_bytes > 0.9 * cold.nbytes
    assert warm.disk_bytes is not None
    assert warm.disk_bytes < 0.1 * warm.nbytes, "what else this process reads meanwhile is counted too"
    known = Calibration().learn_reads(cold).learn_reads(warm).rates
    assert known.disk == pytest.approx(min(1.0, cold.disk_bytes / cold.nbytes) * cold.nbytes / cold.seconds)
    assert known.host == pytest.approx(warm.nbytes / warm.seconds)


def test_an_engine_learns_both_from_its_own_phases(
    hub: Hub, tmp_path: Path, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_module, "MIN_READ_BYTES", 1)
    engine, requests = open_engine(hub, tmp_path), make_requests(toys["sigma"], steps=1)
    engine.prepare(requests)
    files = sorted(tmp_path.glob("*.safetensors"))
    if not counts_reads(files[0]):
        pytest.skip("nobody counts here what comes from the disk")
    engine._components.reads()
    forget(*files)
    run(engine, requests)
    assert engine._planning._calibration.rates.disk is not None
    engine._components.keep_only(())
    forget_texts(engine)
    run(engine, requests)
    assert engine._planning._calibration.rates.host is not None
    engine.close()


def demand() -> Demand:
    return full_demand(num_images=1)


def test_predicted_seconds_follow_the_disk_and_its_speed_is_named_where_it_decides() -> None:
    slow = Calibration(rates=Rates(link=12e9, disk=150e6, host=10e9))
    limits = Limits(2 * GIB, ram_bytes=8 * GIB, calibration=slow)
    plan = choose_plan(demand(), limits)
    encode = plan.phase(Phase.ENCODE)
    nbytes = demand().shape(Phase.ENCODE).total_bytes
    assert encode.predicted_seconds == pytest.approx(nbytes / 150e6, rel=0.05)
    assert encode.reason.endswith("; its weights come from the disk at 150 MB/s")
    assert plan.phase(Phase.DENOISE).reason.endswith("from the disk at 150 MB/s")
    faster = replace(limits, calibration=slow.learn_rates(disk=3.2e9))
    assert "from the disk at 3.2 GB/s" in choose_plan(demand(), faster).phase(Phase.ENCODE).reason


def test_the_disk_is_not_named_where_nothing_waits_for_it() -> None:
    slow = Calibration(rates=Rates(link=12e9, disk=150e6, host=10e9))
    in_ram = Limits(2 * GIB, ram_bytes=32 * GIB, calibration=slow)
    behind_a_slow_link = Limits(2 * GIB, ram_bytes=8 * GIB, calibration=replace(slow, rates=Rates(link=1e8, disk=2e9)))
    for limits in (in_ram, behind_a_slow_link):
        assert all("disk" not in entry.reason for entry in choose_plan(demand(), limits).phases)
    there = Limits(40 * GIB, ram_bytes=8 * GIB, calibration=slow, on_device=frozenset({"transformer"}))
    reasons = {entry.phase: entry.reason for entry in choose_plan(replace(demand(), num_texts=0), there).phases}
    assert "disk" not in reasons[Phase.ENCODE]
    assert "disk" not in reasons[Phase.DENOISE]
    assert "disk" in reasons[Phase.DECODE]


def test_a_processor_is_measured_before_its_first_picture_and_the_page_finds_it_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    planning = Planning(open_device("cpu"), path)
    known = Table.load(path).of(planning.key)
    assert known.rates.compute is not None
    assert 1e9 < known.rates.compute < 1e14
    Planning(open_device("cpu"), path)
    assert Table.load(path).of(planning.key) == known


def test_the_first_prediction_follows_what_the_processor_reaches() -> None:
    def seconds(rate: float) -> float:
        limits = Limits(64 * GIB, is_cpu=True, calibration=Calibration().learn_compute(rate))
        return choose_plan(demand(), limits).phase(Phase.DENOISE).predicted_seconds

    assert seconds(1e11) == pytest.approx(10 * seconds(1e12), rel=0.2)
    least = 20 * 13.27e12 / (PROCESSOR_SHARE * 1e11)  # FLOP of a step at 1024 x 1024
    assert seconds(1e11) == pytest.approx(least, rel=0.2)


def test_a_rate_is_taken_only_before_anything_else_is_known() -> None:
    """Paces are measured over what the rate made expect: another rate would make them wrong."""
    known = Calibration().learn("denoise/a/b", 10, activation_bytes=None, seconds=2.0, formula=float)
    assert known.learn_compute(1e11) == known
    first = Calibration().learn_compute(1e11)
    assert first.learn_compute(2e11) == first
