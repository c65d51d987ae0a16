from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.ui.form import Form
from pixart_ui.ui.handlers import Handlers
from tests.ui.conftest import finish, start, submit

Values = dict[Any, Any]


@pytest.fixture
def handlers(services: Services, form: Form) -> Handlers:
    with gr.Blocks(analytics_enabled=False):
        return Handlers(services, form, gr.HTML(), gr.Textbox(), gr.Textbox(), gr.Textbox())


def test_generate_only_enqueues(services: Services, form: Form, handlers: Handlers, values: Values) -> None:
    updates = handlers.generate(values)
    (job,) = services.journal.jobs()
    assert job.state is JobState.QUEUED
    assert updates[handlers.ticket] == job.batch
    assert updates[form.seed] == str(job.request.seed) == updates[form.drawn_seed]
    assert updates[form.is_seed_kept] is False


def test_a_chosen_seed_stays(form: Form, handlers: Handlers, values: Values) -> None:
    updates = handlers.generate(values | {form.seed: "5"})
    assert (updates[form.seed], updates[form.is_seed_kept], updates[form.drawn_seed]) == ("5", True, "")


def test_several_images_are_one_batch(services: Services, form: Form, handlers: Handlers, values: Values) -> None:
    handlers.generate(values | {form.num_images: 3, form.seed: "5"})
    jobs = services.journal.jobs(newest_first=False)
    assert [job.request.seed for job in jobs] == [5, 6, 7]
    assert len({job.batch for job in jobs}) == 1


def test_a_wrong_input_gets_its_sentence_and_nothing_else_changes(
    services: Services, form: Form, handlers: Handlers, values: Values
) -> None:
    updates = handlers.generate(values | {form.seed: "-1"})
    assert list(updates) == [handlers.message]
    assert 'data-field="seed"' in updates[handlers.message]
    assert "leave it out for a random one" in updates[handlers.message]
    assert not services.journal.jobs()


def test_what_was_typed_is_escaped_in_a_sentence(form: Form, handlers: Handlers, values: Values) -> None:
    attack = "<img src=x onerror=alert(1)>"
    for field in (form.style, form.seed, form.scheduler, form.checkpoint, form.precision, form.size):
        message = handlers.generate(values | {field: attack})[handlers.message]
        assert "<img" not in message
        assert "message problem" in message


def test_an_absent_checkpoint_says_how_to_get_it(form: Form, handlers: Handlers, values: Values) -> None:
    message = handlers.generate(values | {form.checkpoint: "sigma-1024"})[handlers.message]
    assert "models download sigma-1024" in message


def test_a_fault_of_ours_is_a_sentence_too(
    form: Form, handlers: Handlers, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a detail for the terminal")

    monkeypatch.setattr(Services, "submit", broken)
    message = handlers.generate(values)[handlers.message]
    assert "RuntimeError" in message
    assert "a detail" not in message


def test_another_checkpoint_brings_its_choices_and_keeps_the_prompt(
    form: Form, handlers: Handlers, values: Values
) -> None:
    updates = handlers.adapt(values | {form.checkpoint: "alpha-dmd-512"})
    assert form.prompt not in updates
    assert updates[form.size]["value"] == "512x512"
    assert updates[form.scheduler]["value"] == "ddpm"
    assert updates[form.steps]["interactive"] is False
    assert updates[form.guidance_scale]["interactive"] is False


def test_reuse_fills_the_form_with_what_makes_the_same_request(
    services: Services, form: Form, handlers: Handlers, values: Values
) -> None:
    asked = {"style": "Neon", "precision": "nf4", "steps": 9, "guidance_scale": 2.0, "width": 300, "height": 200}
    (job,) = submit(services, "a blue boat", negative_prompt="red", seed=2**64 - 1, numerics="exact", **asked)
    updates = handlers.reuse(str(finish(services, start(services, job)).id))
    plain = {part: update["value"] if isinstance(update, dict) else update for part, update in updates.items()}
    again = services.resolve(form.read(values | plain))
    assert again == (job.request,)


@pytest.mark.parametrize(("asked", "shown"), [(None, ""), ("fp16", ""), ("fp8", "fp8")])
def test_reuse_sets_the_precision_of_the_transformer(
    services: Services, form: Form, handlers: Handlers, asked: str | None, shown: str
) -> None:
    (job,) = submit(services, seed=1, transformer_precision=asked)
    update = handlers.reuse(str(job.id))[form.transformer_precision]
    assert update["value"] == shown
    assert shown in [value for _, value in update["choices"]]


@pytest.mark.parametrize("asked", [None, True])
def test_reuse_says_whether_blocks_were_compiled(
    services: Services, form: Form, handlers: Handlers, asked: bool | None
) -> None:
    (job,) = submit(services, seed=1, compile_blocks=asked)
    assert handlers.reuse(str(job.id))[form.compile_blocks] is bool(asked)


def test_reuse_seed_changes_the_seed_alone(services: Services, form: Form, handlers: Handlers) -> None:
    (job,) = submit(services, seed=11)
    updates = handlers.reuse_seed(str(job.id))
    assert set(updates) == {handlers.message, form.seed, form.drawn_seed, form.is_seed_kept}
    assert (updates[form.seed], updates[form.is_seed_kept]) == ("11", True)


def test_cancel_ends_what_waits_and_asks_what_runs(services: Services, handlers: Handlers) -> None:
    running, waiting = submit(services, num_images=2)
    start(services, running)
    handlers.cancel(f"{running.id},{waiting.id}")
    assert services.journal.job(waiting.id).state is JobState.CANCELLED
    assert services.journal.job(running.id).is_cancel_requested


@pytest.mark.parametrize("target", ["", "x", "-1", "9" * 30, "1; DROP TABLE jobs", "٣", None, 99])
def test_a_target_that_is_none_gets_a_sentence(handlers: Handlers, target: object) -> None:
    for press in (handlers.reuse, handlers.reuse_seed):
        assert "message problem" in press(target)[handlers.message]
    handlers.cancel(target)
