"""What the Compare tab does when something is pressed in what is asked. Every handler returns at once."""

from __future__ import annotations

import gradio as gr

from pixart_ui.errors import InputError, PixArtError
from pixart_ui.services import Services
from pixart_ui.ui import compare_draft, fragments, words
from pixart_ui.ui.compare_ways import AxisParts, CompareWays, PromptsFrom, adapt_axis, read_sweep
from pixart_ui.ui.edge import guarded
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import offer


class CompareHandlers:
    """`preview` and `answer` carry HTML to the page's script, `ticket` the comparison that was started."""

    def __init__(
        self,
        services: Services,
        form: Form,
        ways: CompareWays,
        preview: gr.Textbox,
        answer: gr.Textbox,
        ticket: gr.Textbox,
        start: gr.Button,
    ) -> None:
        self.services = services
        self.form = form
        self.ways = ways
        self.preview = preview
        self.answer = answer
        self.ticket = ticket
        self.start_button = start

    def draft(self, values: Values) -> Updates:
        """What would be started, as it stands."""
        return guarded(lambda: self._show(values), lambda error: self._shown(compare_draft.problem(error.message), 0))

    def start(self, values: Values) -> Updates:
        """Put all runs at the end of the queue."""
        return guarded(lambda: self._start(values), self._refused)

    def adapt(self, parts: AxisParts, name: object, checkpoint: object, ticked: object = None) -> Updates:
        """Another axis was chosen; or another checkpoint, while those were ticked."""
        return guarded(
            lambda: adapt_axis(self.services, parts, name, checkpoint, ticked),
            lambda _: {parts.values: gr.update(), parts.more: gr.update()},
        )

    def _show(self, values: Values) -> Updates:
        sweep = read_sweep(self.services, self.form, self.ways, values)
        if sweep is None:
            return self._shown(self._nothing(values), 0)
        prediction = self.services.predict_sweep(sweep)
        return self._shown(compare_draft.view(sweep, prediction), prediction.num_runs)

    def _nothing(self, values: Values) -> str:
        if values[self.ways.prompts] == PromptsFrom.LINES:
            return compare_draft.nothing()
        checkpoint = self.services.catalog.get(str(values[self.form.checkpoint]))
        return compare_draft.no_prompt(offer(self.services, checkpoint).examples)

    def _shown(self, html: str, count: int) -> Updates:
        label = words.COMPARE_START_COUNT.format(runs=words.num_runs(count)) if count else words.COMPARE_START
        return {self.preview: html, self.start_button: gr.update(value=label, interactive=count > 0)}

    def _start(self, values: Values) -> Updates:
        sweep = read_sweep(self.services, self.form, self.ways, values)
        if sweep is None:
            raise InputError(words.COMPARE_NOTHING)
        comparison_id = self.services.start_comparison(sweep)
        told = words.COMPARE_STARTED.format(runs=words.num_runs(sweep.num_runs))
        return {self.answer: fragments.toast(told), self.ticket: comparison_id}

    def _refused(self, error: PixArtError) -> Updates:
        return {self.answer: fragments.toast(error.message, is_problem=True), self.ticket: ""}
