"""Changing a job that waits: its settings stand in the form on Single until they are saved or let go.

What was in the form before comes back afterwards. The job itself waits as it was until it is saved; one that has begun
meanwhile says so, and what was changed stays in the form, to be added as a new job.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from pydantic import ValidationError

from pixart_ui.errors import InputError, PixArtError
from pixart_ui.jobs.job import Job
from pixart_ui.request import ResolvedRequest
from pixart_ui.services import Services
from pixart_ui.ui import fragments, queue_rows, words
from pixart_ui.ui.edge import QUIET, guarded, is_id
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import offer

ENTER = "(job) => window.pixart.editing(job)"


@dataclass(frozen=True)
class EditControls:
    """`begin` is pressed by the script; `editing` is the job in the form, if any, and `kept` what was there before.

    `seen` is the request that the job had then: it is not saved over what somebody else made of it meanwhile.
    """

    begin: gr.Button
    editing: gr.Textbox
    kept: gr.Textbox
    seen: gr.Textbox
    save: gr.Button
    anew: gr.Button
    leave: gr.Button


def build_edit() -> EditControls:
    """The buttons that take the place of Generate while a job is changed."""
    with gr.Row(elem_id="go-edit"):
        save = gr.Button(words.SAVE, variant="primary", size="lg", elem_id="save-job")
        anew = gr.Button(words.ADD_AS_NEW, size="lg", elem_id="save-new")
        leave = gr.Button(words.LEAVE, size="lg", elem_id="leave-job")
    return EditControls(
        begin=gr.Button(visible="hidden", elem_id="do-edit"),
        editing=gr.Textbox(visible="hidden", elem_id="editing"),
        kept=gr.Textbox(visible="hidden", elem_id="kept"),
        seen=gr.Textbox(visible="hidden", elem_id="seen"),
        save=save,
        anew=anew,
        leave=leave,
    )


def wire_edit(editor: Editor, target: gr.Textbox) -> None:
    form, controls = editor.form, editor.controls
    inputs = form.inputs() | {controls.editing, controls.kept, controls.seen}
    back = [*form.inputs(), form.precision_hint, controls.editing, controls.save, editor.message, editor.answer]
    settings = {"preprocess": False, **QUIET}
    named = controls.begin.click(None, None, target, js="() => window.pixart.target", **QUIET)
    begun = named.then(editor.begin, inputs | {target}, [*back, controls.kept, controls.seen], **settings)
    for event in (
        begun,
        controls.save.click(editor.save, inputs, back, **settings),
        controls.anew.click(editor.add_as_new, inputs, back, **settings),
        controls.leave.click(editor.leave, inputs, back, **settings),
    ):
        entered = event.then(None, controls.editing, js=ENTER, **QUIET)
        entered.then(None, editor.answer, js="(html) => window.pixart.answered(html)", **QUIET)


class Editor:
    """What the buttons do. `message` stands beside the form, `answer` carries a passing note to the script."""

    def __init__(
        self,
        services: Services,
        form: Form,
        controls: EditControls,
        target: gr.Textbox,
        message: gr.HTML,
        answer: gr.Textbox,
    ) -> None:
        self.services = services
        self.form = form
        self.controls = controls
        self.target = target
        self.message = message
        self.answer = answer

    def begin(self, values: Values) -> Updates:
        """Put a job's settings into the form. What a first job found there is kept, whatever is edited next."""
        return guarded(lambda: self._begin(values), lambda error: {self.answer: _toast(error)})

    def save(self, values: Values) -> Updates:
        """Write the job, and bring back what was in the form before."""
        return guarded(lambda: self._save(values), self._told)

    def add_as_new(self, values: Values) -> Updates:
        """The same as a job of its own, whatever became of the other."""
        return guarded(lambda: self._add_as_new(values), self._told)

    def leave(self, values: Values) -> Updates:
        """The job stays as it was."""
        return guarded(lambda: self._left(values, ""), self._told)

    def _begin(self, values: Values) -> Updates:
        job = self._job(values[self.target])
        if queue_rows.kind(job) not in queue_rows.CHANGEABLE:
            raise InputError(words.HAS_BEGUN.format(id=job.id))
        kept = values[self.controls.kept] if values[self.controls.editing] else self.form.keep(values)
        return {
            **self.form.fill(job.request, offer(self.services, self.services.catalog.get(job.request.checkpoint))),
            self.controls.editing: str(job.id),
            self.controls.kept: kept,
            self.controls.seen: job.request.model_dump_json(),
            self.controls.save: gr.update(value=words.SAVE_JOB.format(id=job.id)),
            self.message: fragments.note(words.EDITING.format(id=job.id)),
            self.answer: "",
        }

    def _save(self, values: Values) -> Updates:
        job = self._job(values[self.controls.editing])
        self.services.edit(job.id, self.form.read(values), seen=_request_in(values[self.controls.seen]))
        return self._left(values, fragments.toast(words.SAVED.format(id=job.id)))

    def _add_as_new(self, values: Values) -> Updates:
        jobs = self.services.enqueue([self.form.read(values)])
        place = self.services.journal.places().get(jobs[0].id)
        return self._left(values, fragments.toast(words.enqueued(len(jobs), place)))

    def _left(self, values: Values, toast: str) -> Updates:
        kept = self.form.kept(values[self.controls.kept])
        known = self.services.catalog.get(str(kept.get("checkpoint") or self.services.default_checkpoint().name))
        return {
            **self.form.restore(kept, offer(self.services, known)),
            self.controls.editing: "",
            self.message: fragments.no_message(),
            self.answer: toast,
        }

    def _told(self, error: PixArtError) -> Updates:
        return {self.message: fragments.problem(error), self.answer: ""}

    def _job(self, target: object) -> Job:
        text = str(target)
        if not is_id(text):
            raise InputError(words.UNKNOWN_JOB)
        return self.services.job(int(text))


def _request_in(text: object) -> ResolvedRequest | None:
    """The page keeps it as JSON; whatever else stands there is as good as nothing."""
    try:
        return ResolvedRequest.model_validate_json(str(text))
    except ValidationError:
        return None


def _toast(error: PixArtError) -> str:
    return fragments.toast(error.message, is_problem=True)
