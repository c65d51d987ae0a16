"""What the form's request would take, said before the button is pressed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pixart_ui.byte_size import GIB, MIB
from pixart_ui.engine.calibration import Calibration, Table
from pixart_ui.errors import BudgetTooSmall, InputError
from pixart_ui.events import Phase, PhasePlan, Plan, Residency
from pixart_ui.prediction import Prediction
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.settings import Settings
from pixart_ui.ui import words
from pixart_ui.ui.estimate import estimate, sentence, smallest_card
from pixart_ui.ui.form import Form
from pixart_ui.ui.handlers import Handlers
from pixart_ui.ui.live import Live
from pixart_ui.ui.look import Look
from tests.ui.conftest import start, submit

KEY = "Card | 1 | 2"
Values = dict[Any, Any]
Report = Callable[..., None]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """With PixArt-Tiny's own weights, whose headers are what is planned with."""
    opened = Services.open(Settings(data_dir=tmp_path / "data"))
    yield opened
    opened.journal.close()


@pytest.fixture
def report(services: Services) -> Report:
    """A worker says what it has."""

    def say(**changes: Any) -> None:
        info = {"device": "cuda:0", "memory_free_bytes": 6 * GIB, "weight_bytes": 0, "calibration_key": KEY}
        services.journal.register_worker("worker", device="GPU-1", pid=1, info=info | changes)

    return say


@pytest.fixture
def handlers(services: Services, form: Form) -> Handlers:
    with gr.Blocks(analytics_enabled=False):
        return Handlers(services, form, gr.HTML(), gr.Textbox(), gr.Textbox(), gr.Textbox())


def predict(services: Services, **settings: Any) -> Prediction:
    found = services.predict(GenerationRequest.parse({"prompt": "any", "checkpoint": "tiny", **settings}))
    assert found is not None
    return found


def prediction(**changes: Any) -> Prediction:
    plan = Plan(
        (
            PhasePlan(Phase.ENCODE, Residency.STREAMED, "streamed: <all> parts", GIB, 1.2),
            PhasePlan(Phase.DENOISE, Residency.RESIDENT, "resident", 1_400 * MIB, 4.0),
            PhasePlan(Phase.DECODE, Residency.STAGED, "staged", 900 * MIB, 1.0),
        ),
        6 * GIB,
        changes.pop("is_estimate", True),
    )
    values = {"least_bytes": 600 * MIB, "num_images": 1, "is_cpu": False, "context_bytes": 400 * MIB} | changes
    return Prediction(plan, **values)


def test_nothing_is_submitted_by_asking(services: Services, report: Report) -> None:
    report()
    predict(services)
    assert services.journal.jobs() == ()


def test_what_is_asked_for_changes_what_it_takes(services: Services, report: Report) -> None:
    report()
    base = predict(services).plan
    assert predict(services, width=336, height=192).plan.predicted_seconds < base.predicted_seconds
    assert predict(services, steps=60).plan.predicted_seconds > 1.5 * base.predicted_seconds
    assert predict(services, guidance_scale=0).plan.predicted_seconds < base.predicted_seconds
    assert predict(services, num_images=4).plan.predicted_seconds > 2 * base.predicted_seconds
    assert predict(services, num_images=4).num_images == 4
    assert predict(services, precision="nf4").plan != base


def test_what_lies_on_the_device_already_is_not_loaded_again(services: Services, report: Report) -> None:
    def seconds(**there: list[str]) -> float:
        report(on_device=there)
        return predict(services).plan.phase(Phase.DENOISE).predicted_seconds

    first = seconds()
    assert seconds(transformer=["tiny", "fp16"]) < first
    assert seconds(transformer=["sigma-1024", "fp16"]) == first
    assert seconds(transformer=["tiny", "bf16"]) == first


def test_a_device_that_was_measured_is_planned_with_what_it_took(services: Services, report: Report) -> None:
    report()
    before = predict(services).plan
    known = Calibration().learn(
        "denoise/256x8/fp16/fast/batch2", 256 * 256, activation_bytes=MIB, seconds=3.0, formula=lambda x: 1.0
    )
    Table().having(KEY, known).save(services.settings.calibration_path)
    assert predict(services).plan.predicted_seconds > 40 > before.predicted_seconds
    report(calibration_key="Another | 1 | 2")
    assert predict(services).plan == before
    report(calibration_key=None)
    assert predict(services).plan == before


def test_what_the_workers_weights_take_can_be_used(services: Services, report: Report) -> None:
    report(memory_free_bytes=2 * GIB, weight_bytes=GIB)
    assert predict(services).plan.budget_bytes == 3 * GIB


def test_a_request_that_does_not_fit_gets_the_planners_sentence(
    services: Services, report: Report, handlers: Handlers, values: Values
) -> None:
    report(memory_free_bytes=20 * MIB)
    with pytest.raises(BudgetTooSmall):
        predict(services)
    html = handlers.predict(values)[handlers.estimate]
    assert "20 MiB of memory are too little: 256×256 in fp16 needs at least" in html
    assert "problem" in html


def test_before_a_worker_runs_there_is_no_figure(services: Services, handlers: Handlers, values: Values) -> None:
    assert services.predict(GenerationRequest.parse({"prompt": "any"})) is None
    assert handlers.predict(values)[handlers.estimate] == sentence(words.NO_ESTIMATE)


def test_it_is_quick(services: Services, report: Report) -> None:
    report()
    predict(services)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        predict(services, num_images=4)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.05


def test_the_form_asks_without_its_words(
    services: Services, form: Form, report: Report, handlers: Handlers, values: Values
) -> None:
    report()
    costly = {part: value for part, value in values.items() if part in form.costly_inputs()}
    assert not {form.prompt, form.negative_prompt, form.style, form.seed} & set(costly)
    assert {form.size, form.steps, form.precision, form.guidance_scale, form.num_images, form.checkpoint} <= set(costly)
    html = handlers.predict(costly)[handlers.estimate]
    assert "under 0.1 s · " in html
    assert " of 6.0 GiB" in html
    report(device="cpu")  # slow enough for sizes to differ by more than a tenth of a second
    slow = handlers.predict(costly)[handlers.estimate]
    assert handlers.predict(costly | {form.num_images: 4})[handlers.estimate] != slow


def test_a_wrong_value_is_said_quietly(form: Form, handlers: Handlers, values: Values) -> None:
    updates = handlers.predict(values | {form.num_images: 0})
    assert list(updates) == [handlers.estimate, form.size_hint]
    assert "Number of images 0" in updates[handlers.estimate]
    assert "problem" not in updates[handlers.estimate]
    hostile = handlers.predict(values | {form.precision: "<img src=x>"})[handlers.estimate]
    assert "<img" not in hostile
    with pytest.raises(InputError):
        form.read_costs(values | {form.steps: 1000})


def test_the_line_on_a_gpu() -> None:
    html = estimate(prediction())
    assert "about 6.2 s · 1.4 GiB of 6.0 GiB" in html
    assert "+ 400 MiB CUDA context: fits a 2 GB card" in html
    assert f">{words.ESTIMATE}<" in html
    assert f">{words.ESTIMATE}<" not in estimate(prediction(is_estimate=False))
    assert "about 6.2 s for 4 pictures" in estimate(prediction(num_images=4))
    assert words.BESIDE_CONTEXT_UNKNOWN in estimate(prediction(context_bytes=None))
    assert "fits" not in estimate(prediction(context_bytes=None))


def test_the_line_on_a_cpu_says_ram() -> None:
    html = estimate(prediction(is_cpu=True, context_bytes=None))
    assert "about 6.2 s · 1.4 GiB of RAM" in html
    assert words.BESIDE_WORKER.split(",")[0] in html
    assert "CUDA" not in html
    assert "card" not in html


def test_why_is_in_it() -> None:
    html = estimate(prediction())
    assert html.startswith("<details")
    for text in ("Streamed: &lt;all&gt; parts.", "Resident.", "Staged.", "1.4 GiB, 4.0 s", "is 600 MiB."):
        assert text in html


def test_a_card_keeps_a_little_for_itself() -> None:
    assert smallest_card(1) == 2
    assert smallest_card(round(1.89 * GIB)) == 2
    assert smallest_card(round(1.91 * GIB)) == 3
    assert smallest_card(1000 * GIB) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "under 0.1 s"),
        (0.25, "0.2 s"),
        (6.24, "6.2 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (200, "3 min 20 s"),
        (240, "4 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_a_time_is_as_precise_as_it_is_worth(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
    assert words.about(seconds) == (text if seconds == 0.01 else f"about {text}")


def test_pages_ask_again_when_the_worker_has_news(services: Services, report: Report) -> None:
    class Watch:
        def status(self) -> None:
            return None

    live = Live(services, Watch(), ())

    def basis() -> str:
        shown = live.snapshot("", Look())
        assert shown is not None
        return shown.basis

    seen = [basis()]
    for news in ({}, {"memory_free_bytes": 5 * GIB}, {"memory_free_bytes": 5 * GIB, "state": "working"}):
        report(**news)
        seen.append(basis())
    assert len(set(seen)) == 4
    (job,) = submit(services, checkpoint="tiny")
    start(services, job)
    assert basis() == seen[-1], "a step changes no estimate"
