"""A job of the queue is changed in the form: what was there comes back, and nothing is lost when it began meanwhile."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.ui import words
from pixart_ui.ui.editing import Editor, build_edit
from pixart_ui.ui.form import Form
from tests.ui.conftest import finish, start
from tests.ui.test_queue_list import add

Values = dict[Any, Any]


@pytest.fixture
def editor(services: Services, form: Form) -> Editor:
    with gr.Blocks(analytics_enabled=False):
        return Editor(services, form, build_edit(), gr.Textbox(), gr.HTML(), gr.Textbox())


def applied(values: Values, updates: Values) -> Values:
    """What the page holds after an answer."""
    plain = {
        part: update["value"] if isinstance(update, dict) else update
        for part, update in updates.items()
        if not isinstance(update, dict) or "value" in update
    }
    return values | plain


@pytest.fixture
def before(values: Values, editor: Editor, form: Form) -> Values:
    """A form in which somebody is writing something else."""
    typed = {form.prompt: "half a sent", form.steps: 33, form.seed: "", form.style: "Neon", form.size: "304x208"}
    return (
        values
        | typed
        | {editor.controls.editing: "", editor.controls.kept: "", editor.controls.seen: "", editor.target: ""}
    )


def begin(editor: Editor, values: Values, job_id: object) -> Values:
    return applied(values, editor.begin(values | {editor.target: str(job_id)}))


def test_a_job_is_changed_in_the_form_which_then_is_as_it_was(
    services: Services, editor: Editor, form: Form, before: Values
) -> None:
    _, job = add(services, "first", "a red house", steps=12, seed=5, precision="nf4")
    editing = begin(editor, before, job.id)
    assert (editing[form.prompt], editing[form.steps], editing[form.seed]) == ("a red house", 12, "5")
    assert editing[editor.controls.editing] == str(job.id)
    after = applied(editing, editor.save(editing | {form.prompt: "a blue house", form.steps: 14}))
    changed = services.journal.job(job.id).request
    assert (changed.prompt, changed.steps, changed.seed, changed.precision) == ("a blue house", 14, 5, "nf4")
    assert {part: after[part] for part in form.inputs()} == {part: before[part] for part in form.inputs()}
    assert after[editor.controls.editing] == ""
    assert words.SAVED.format(id=job.id) in after[editor.answer]


def test_leaving_changes_nothing(services: Services, editor: Editor, form: Form, before: Values) -> None:
    (job,) = add(services, "a red house")
    editing = begin(editor, before, job.id)
    after = applied(editing, editor.leave(editing | {form.prompt: "never mind"}))
    assert services.journal.job(job.id).request == job.request
    assert after[form.prompt] == "half a sent"


def test_a_job_that_began_meanwhile_says_so_and_the_changes_stay(
    services: Services, editor: Editor, form: Form, before: Values
) -> None:
    (job,) = add(services, "a red house")
    editing = begin(editor, before, job.id) | {form.prompt: "a blue house"}
    start(services, job)
    updates = editor.save(editing)
    assert f"Job {job.id} is running" in updates[editor.message]
    assert form.prompt not in updates
    assert editor.controls.editing not in updates
    assert services.journal.job(job.id).request.prompt == "a red house"

    after = applied(editing, editor.add_as_new(editing))
    (new,) = services.journal.jobs(states=[JobState.QUEUED])
    assert new.request.prompt == "a blue house"
    assert after[form.prompt] == "half a sent"


def test_a_second_job_can_be_chosen_without_losing_what_was_in_the_form(
    services: Services, editor: Editor, form: Form, before: Values
) -> None:
    first, second = add(services, "first", "second")
    editing = begin(editor, begin(editor, before, first.id), second.id)
    assert editing[form.prompt] == "second"
    assert applied(editing, editor.leave(editing))[form.prompt] == "half a sent"


def test_a_wrong_value_is_told_beside_its_field_and_the_job_waits_as_it_was(
    services: Services, editor: Editor, form: Form, before: Values
) -> None:
    (job,) = add(services, "a red house")
    editing = begin(editor, before, job.id)
    for change, field in (({form.steps: 0}, "steps"), ({form.num_images: 3}, "num_images")):
        updates = editor.save(editing | change)
        assert f'data-field="{field}"' in updates[editor.message]
    assert services.journal.job(job.id).request == job.request


@pytest.mark.parametrize("target", ["", "x", "987654", "<script>"])
def test_a_made_up_job_leaves_the_form_alone(editor: Editor, form: Form, before: Values, target: str) -> None:
    updates = editor.begin(before | {editor.target: target})
    assert list(updates) == [editor.answer]
    assert "<script" not in updates[editor.answer]


def test_a_job_that_is_over_is_not_put_into_the_form(services: Services, editor: Editor, before: Values) -> None:
    (job,) = add(services, "a red house")
    finish(services, start(services, job))
    updates = editor.begin(before | {editor.target: str(job.id)})
    assert words.HAS_BEGUN.format(id=job.id) in updates[editor.answer]


@pytest.mark.parametrize("kept", ["", "not json", "[]", '{"prompt": "x", "nonsense": 1}', "null"])
def test_what_the_browser_lost_is_no_error(
    services: Services, editor: Editor, form: Form, before: Values, kept: str
) -> None:
    (job,) = add(services, "a red house")
    editing = begin(editor, before, job.id) | {editor.controls.kept: kept}
    after = applied(editing, editor.leave(editing))
    assert after[editor.controls.editing] == ""
