"""When an engine counts as hung, and when it is only slow: plain numbers, and a file that is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.events import Phase, PhasePlan, PhaseStarted, Plan, Planned, Residency, StepDone
from pixart_ui.jobs.deadline import COMPILING_SECONDS, FACTOR, SPARE_SECONDS, UNPLANNED_SECONDS
from pixart_ui.jobs.watchdog import LOADING_BYTES, Watchdog

PREDICTED = 3.0
ALLOWED = SPARE_SECONDS + FACTOR * PREDICTED
PLANNED = Planned(Plan((PhasePlan(Phase.DENOISE, Residency.STAGED, "", predicted_seconds=PREDICTED),)))


class Looking:
    """A watchdog with a clock of its own, looked at once a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dog = Watchdog(1.0, lambda: self.now)

    def for_seconds(self, seconds: float) -> str | None:
        found = None
        for _ in range(round(seconds)):
            self.now += 1.0
            found = self.dog.look()
            if found is not None:
                break
        return found


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_without_a_group_nothing_is_overdue(looking: Looking) -> None:
    assert looking.for_seconds(10 * UNPLANNED_SECONDS) is None
    with looking.dog.group():
        pass
    assert looking.for_seconds(10 * UNPLANNED_SECONDS) is None


def test_a_phase_of_which_nothing_comes_is_overdue_and_is_named(looking: Looking) -> None:
    with looking.dog.group():
        looking.dog.see(PLANNED)
        looking.dog.see(PhaseStarted(Phase.DENOISE, 0))
        assert looking.for_seconds(ALLOWED) is None
        assert looking.for_seconds(2) == (
            "The worker said nothing for 90 s in the phase denoise, far longer than predicted."
        )


def test_what_another_process_does_is_not_overdue(looking: Looking) -> None:
    with looking.dog.group():
        looking.for_seconds(UNPLANNED_SECONDS - 1)
        with looking.dog.elsewhere():
            assert looking.for_seconds(10 * UNPLANNED_SECONDS) is None
        assert looking.for_seconds(UNPLANNED_SECONDS) is None, "it has its time from then on"
        assert looking.for_seconds(2) is not None


def test_compiling_is_waited_for(looking: Looking) -> None:
    with looking.dog.group(is_compiled=True):
        looking.dog.see(PLANNED)
        looking.dog.see(PhaseStarted(Phase.DENOISE, 0))
        assert looking.for_seconds(COMPILING_SECONDS) is None
        assert looking.for_seconds(FACTOR * PREDICTED + 2) is not None


def test_an_engine_that_goes_on_may_take_as_long_as_it_likes(looking: Looking) -> None:
    with looking.dog.group():
        looking.dog.see(PLANNED)
        looking.dog.see(PhaseStarted(Phase.DENOISE, 0))
        for step in range(1, 21):
            assert looking.for_seconds(ALLOWED - 1) is None
            looking.dog.see(StepDone(0, step, 20))


def test_a_process_that_was_stopped_and_goes_on_has_not_hung(looking: Looking) -> None:
    with looking.dog.group():
        looking.dog.see(PLANNED)
        looking.dog.see(PhaseStarted(Phase.DENOISE, 0))
        looking.now += 10_000
        assert looking.dog.look() is None
        assert looking.for_seconds(ALLOWED) is not None, "it is asked for what it did since"


def test_who_reads_from_a_slow_disk_is_loading(looking: Looking, tmp_path: Path) -> None:
    (path := tmp_path / "weights").write_bytes(bytes(2 * LOADING_BYTES))
    with looking.dog.group():
        looking.dog.see(PLANNED)
        looking.dog.see(PhaseStarted(Phase.DENOISE, 0))
        for _ in range(3):
            assert looking.for_seconds(ALLOWED - 1) is None
            path.read_bytes()
            assert looking.for_seconds(1) is None
