"""What happens when something is pressed. Every handler returns at once with updates by component.

An error becomes its sentence beside the form; see `edge.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from pixart_ui.errors import BudgetTooSmall, InputError, PixArtError
from pixart_ui.jobs.job import Job
from pixart_ui.services import Services
from pixart_ui.ui import estimate, fragments, words
from pixart_ui.ui.edge import guarded, ids_in, is_id
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import Offer, offer, precision_effect

Handler = Callable[..., Updates]


def _tells_errors(handler: Handler) -> Handler:
    @wraps(handler)
    def told(self: Handlers, *args: Any) -> Updates:
        return guarded(lambda: handler(self, *args), lambda error: {self.message: fragments.problem(error)})

    return told


class Handlers:
    """The verbs of the Single tab."""

    def __init__(
        self, services: Services, form: Form, message: gr.HTML, ticket: gr.Textbox, estimate: gr.Textbox
    ) -> None:
        self.services = services
        self.form = form
        self.message = message
        self.ticket = ticket
        self.estimate = estimate

    @_tells_errors
    def generate(self, values: Values) -> Updates:
        """Put the pictures in the journal; the ticket tells the page which batch to follow."""
        jobs = self.services.submit(self.form.read(values))
        is_random = self.form.is_seed_random(values)
        return {
            self.message: fragments.no_message(),
            self.ticket: jobs[0].batch,
            **self.form.show_seed(jobs[0].request.seed, is_random=is_random),
        }

    @_tells_errors
    def enqueue(self, values: Values) -> Updates:
        """Put the pictures at the end of the queue; the form stays as it is, for the next ones."""
        jobs = self.services.enqueue([self.form.read(values)])
        place = self.services.journal.places().get(jobs[0].id)
        return {self.message: fragments.note(words.enqueued(len(jobs), place))}

    @_tells_errors
    def predict(self, values: Values) -> Updates:
        """What the form asks for would take; a wrong value says so there, quietly, until it is sent."""
        try:
            found = self.services.predict(self.form.read_costs(values))
        except PixArtError as error:
            return {self.estimate: estimate.sentence(error.message, is_problem=isinstance(error, BudgetTooSmall))}
        return {self.estimate: estimate.estimate(found)}

    @_tells_errors
    def adapt(self, values: Values) -> Updates:
        """Another checkpoint was chosen."""
        offered = self._offer(values[self.form.checkpoint])
        return {self.message: fragments.no_message(), **self.form.adapt(offered, values[self.form.precision])}

    @_tells_errors
    def precision_hint(self, values: Values) -> Updates:
        is_small = self._offer(values[self.form.checkpoint]).is_small
        effect = precision_effect(values[self.form.precision], is_small=is_small)
        return {self.form.precision_hint: fragments.hint(effect)}

    @_tells_errors
    def cancel(self, target: str) -> Updates:
        """Cancel the jobs whose numbers the page sends, `12,13`."""
        ids = ids_in(str(target))
        if not ids:
            raise InputError(words.ALREADY_OVER)
        self.services.journal.cancel(ids)
        return {self.message: fragments.no_message()}

    @_tells_errors
    def reuse(self, target: str) -> Updates:
        request = self._job(target).request
        filled = self.form.fill(request, self._offer(request.checkpoint))
        return {self.message: fragments.note(words.REUSED_SETTINGS), **filled}

    @_tells_errors
    def reuse_seed(self, target: str) -> Updates:
        seed = self._job(target).request.seed
        told = fragments.note(words.REUSED_SEED.format(seed=seed))
        return {self.message: told, **self.form.show_seed(seed, is_random=False)}

    def _offer(self, checkpoint: object) -> Offer:
        return offer(self.services, self.services.catalog.get(str(checkpoint)))

    def _job(self, target: str) -> Job:
        """The job that a button of the page is for. Raises InputError."""
        text = str(target)
        if not is_id(text):
            raise InputError(words.UNKNOWN_JOB)
        return self.services.journal.job(int(text))
