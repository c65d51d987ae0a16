"""What the left side of the Queue tab does: show what would be added, and add it. Every handler returns at once."""

from __future__ import annotations

import gradio as gr

from pixart_ui.errors import BudgetTooSmall, InputError, PixArtError
from pixart_ui.services import Services
from pixart_ui.ui import draft_view, fragments, words
from pixart_ui.ui.edge import guarded
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.ways import Asked, Way, Ways, asked_for


class WayHandlers:
    """`preview` and `answer` carry HTML to the page's script, `add` is the button."""

    def __init__(
        self, services: Services, form: Form, ways: Ways, preview: gr.Textbox, answer: gr.Textbox, add: gr.Button
    ) -> None:
        self.services = services
        self.form = form
        self.ways = ways
        self.preview = preview
        self.answer = answer
        self.add_button = add

    def draft(self, values: Values) -> Updates:
        """What would be added, as it stands."""
        return guarded(lambda: self._show(values), lambda error: self._shown(draft_view.problem(error.message), 0))

    def add(self, values: Values) -> Updates:
        """All of it, or nothing; what was typed or brought goes once it is in the queue."""
        return guarded(lambda: self._add(values), self._refused)

    def _show(self, values: Values) -> Updates:
        asked = asked_for(self.services, self.form, self.ways, values)
        if asked is None:
            return self._shown(draft_view.hint(self._nothing(values)), 0)
        seconds, trouble = self._seconds(asked)
        html = draft_view.view(asked.draft, asked.base, seconds, has_seeds=asked.has_seeds)
        return self._shown(html + trouble, 0 if asked.draft.problems else asked.draft.num_jobs)

    def _seconds(self, asked: Asked) -> tuple[float | None, str]:
        """How long it takes; where it does not fit, that stands under it and it can be added all the same."""
        try:
            return (None if asked.draft.problems else self.services.predict_draft(asked.draft)), ""
        except BudgetTooSmall as error:
            return None, draft_view.problem(error.message)

    def _shown(self, html: str, count: int) -> Updates:
        label = words.ADD_COUNT.format(jobs=words.num_jobs(count)) if count else words.ADD
        return {self.preview: html, self.add_button: gr.update(value=label, interactive=count > 0)}

    def _add(self, values: Values) -> Updates:
        asked = asked_for(self.services, self.form, self.ways, values)
        if asked is None:
            raise InputError(self._nothing(values))
        if asked.draft.problems:
            raise InputError(words.as_sentence(str(asked.draft.problems[0])))
        jobs = self.services.enqueue(asked.draft.requests)
        place = self.services.journal.places().get(jobs[0].id)
        toast = fragments.toast(words.enqueued(len(jobs), place), undo=("cancel", [job.id for job in jobs]))
        return {self.answer: toast, **self._emptied(values[self.ways.way])}

    def _nothing(self, values: Values) -> str:
        return words.NOTHING_TO_ADD.get(str(values[self.ways.way]), words.NOTHING_TO_ADD["form"])

    def _emptied(self, way: object) -> Updates:
        if way == Way.LINES:
            return {self.ways.lines: ""}
        return {self.ways.file: None, self.ways.example: ""} if way == Way.FILE else {}

    def _refused(self, error: PixArtError) -> Updates:
        return {self.answer: fragments.toast(error.message, is_problem=True)}
