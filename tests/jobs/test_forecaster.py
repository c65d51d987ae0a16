"""The forecast of a real journal: it serves as the journal does, asks the real planner, and follows every change."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pixart_ui import forecaster as module
from pixart_ui.events import Phase
from pixart_ui.forecaster import Forecaster
from pixart_ui.jobs.grouping import form_groups
from pixart_ui.jobs.job import Job
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import catalog
from pixart_ui.settings import Settings
from tests.jobs.parts import request

INFO: dict[str, Any] = {"device": "cpu", "memory_free_bytes": 8 << 30, "name": "CPU"}


@pytest.fixture
def forecaster(journal: Journal, settings: Settings) -> Forecaster:
    return Forecaster(journal, catalog(), settings.calibration_path)


@pytest.fixture
def worker(journal: Journal) -> None:
    start_worker(journal)


@pytest.fixture
def formings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows each time that groups are formed."""
    found: list[int] = []

    def form(by_owner: Any, group_size: int) -> Any:
        found.append(group_size)
        return form_groups(by_owner, group_size)

    monkeypatch.setattr(module, "form_groups", form)
    return found


def start_worker(journal: Journal, name: str = "one", device: str = "cpu", **info: Any) -> None:
    journal.register_worker(name, device=device, pid=1, info={**INFO, **info})


def claim(journal: Journal, limit: int = 8) -> tuple[Job, ...]:
    return journal.claim("one", lease_seconds=60, limit=limit)


@pytest.mark.parametrize("owners", ["a", "abc"])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_formed_as_the_journal_gives_them_out(journal: Journal, seed: int, owners: str) -> None:
    dice = random.Random(seed)
    for _ in range(12):
        asked = [request(index, precision=dice.choice(["fp16", "nf4"])) for index in range(dice.randint(1, 6))]
        journal.submit(asked, dice.choice(owners), is_urgent=dice.random() < 0.2)
    for job in claim(journal, dice.randint(1, 3)):
        journal.progress(job, phase=Phase.ENCODE, step=0, preview=None)
    journal.give_back("one")
    group_size = dice.choice([1, 2, 3, 5, 20])
    groups = form_groups(journal.open_work().waiting.by_owner, group_size).groups
    for group in groups:
        assert [job.id for job in claim(journal, group_size)] == [row[0] for row in group]
    assert claim(journal) == ()


@pytest.mark.usefixtures("worker")
def test_jobs_end_one_after_the_other_in_the_order_in_which_they_are_claimed(
    journal: Journal, forecaster: Forecaster
) -> None:
    journal.submit([request(seed, steps=20) for seed in range(20)], "a")
    journal.submit([request(seed, steps=10) for seed in range(5)], "b")
    found = forecaster.now()
    ends = []
    while jobs := claim(journal):
        forecasts = [found.of(job.id) for job in jobs]
        assert all(entry is not None for entry in forecasts)
        ends += [entry.finish_in for entry in forecasts if entry is not None]
    assert ends == sorted(ends)
    assert found.seconds_left == pytest.approx(ends[-1])
    assert found.seconds_left == pytest.approx(sum(found.by_phase.values()))
    assert found.is_estimate, "nothing was measured here"


@pytest.mark.usefixtures("worker")
def test_twice_the_steps_take_twice_the_denoising(journal: Journal, forecaster: Forecaster) -> None:
    (first,) = journal.submit([request(1, steps=20)], "local")
    short = forecaster.now().by_phase[Phase.DENOISE]
    journal.edit(first.id, request(1, steps=40))
    assert forecaster.now().by_phase[Phase.DENOISE] == pytest.approx(2 * short, rel=0.1)


@pytest.mark.usefixtures("worker")
def test_every_step_shortens_what_is_left(journal: Journal, forecaster: Forecaster) -> None:
    journal.submit([request(seed, steps=20) for seed in range(3)], "local")
    job, *_ = claim(journal)
    left = []
    for step in range(20):
        journal.progress(job, phase=Phase.DENOISE, step=step, preview=None)
        left.append(forecaster.now().seconds_left or 0)
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1] > 0


@pytest.mark.usefixtures("worker")
def test_a_step_forms_no_group_again_but_a_new_job_does(
    journal: Journal, forecaster: Forecaster, formings: list[int]
) -> None:
    journal.submit([request(seed) for seed in range(20)], "local")
    job, *_ = claim(journal)
    for step in range(4):
        journal.progress(job, phase=Phase.DENOISE, step=step, preview=None)
        forecaster.now()
    assert len(formings) == 1
    (new,) = journal.submit([request(99)], "local")
    assert forecaster.now().of(new.id) is not None
    assert len(formings) == 2


@pytest.mark.usefixtures("worker")
def test_nothing_is_made_again_while_nothing_changes(journal: Journal, forecaster: Forecaster) -> None:
    journal.submit([request(1)], "local")
    assert forecaster.now() is forecaster.now()


@pytest.mark.usefixtures("worker")
def test_seconds_follow_what_was_measured(journal: Journal, forecaster: Forecaster, settings: Settings) -> None:
    from pixart_ui import prediction
    from pixart_ui.engine import planner
    from pixart_ui.engine.calibration import Table

    start_worker(journal, calibration_key="this device")
    asked = request(1, steps=20)
    journal.submit([asked], "local")
    before = forecaster.now()
    demand = prediction.demand_of([asked], catalog().get("tiny"), is_cpu=True)
    limits, table = prediction.limits_of(INFO, Table()), Table()
    for entry in planner.choose_plan(demand, limits).phases:
        calibration = planner.observe(demand, limits, entry, unit_seconds=2.0)
        limits = prediction.limits_of({**INFO, "calibration_key": "k"}, table := table.having("k", calibration))
    Table().having("this device", limits.calibration).save(settings.calibration_path)
    journal.submit([request(2, steps=20)], "local")
    after = forecaster.now()
    assert after.by_phase[Phase.DENOISE] == pytest.approx(2 * 20 * 2.0, rel=0.05)
    assert before.is_estimate
    assert not after.is_estimate


def test_a_worker_that_comes_and_goes_is_noticed(journal: Journal, forecaster: Forecaster) -> None:
    (job,) = journal.submit([request(1)], "local")
    assert forecaster.now().of(job.id) is None
    start_worker(journal)
    assert forecaster.now().of(job.id) is not None
    journal.forget_worker("one")
    assert forecaster.now().of(job.id) is None


@pytest.mark.usefixtures("worker")
def test_a_job_that_cannot_be_made_takes_no_time_and_holds_up_no_other(
    journal: Journal, forecaster: Forecaster
) -> None:
    lost, good = journal.submit([request(1, checkpoint="no-such"), request(2)], "local")
    found = forecaster.now()
    assert found.of(lost.id) is not None
    later = found.of(good.id)
    assert later is not None
    assert later.finish_in > 0


def test_weights_that_lie_there_are_not_loaded_again(journal: Journal, forecaster: Forecaster) -> None:
    journal.submit([request(1)], "local")
    start_worker(journal)
    cold = forecaster.now().seconds_left
    start_worker(journal, on_device={"transformer": ["tiny", "fp16"]})
    warm = forecaster.now().seconds_left
    assert cold is not None
    assert warm is not None
    assert warm < cold


def test_a_worker_says_how_many_jobs_it_claims_at_once(
    journal: Journal, forecaster: Forecaster, formings: list[int]
) -> None:
    journal.submit([request(seed) for seed in range(4)], "local")
    start_worker(journal, group_size=2)
    forecaster.now()
    assert formings == [2]
