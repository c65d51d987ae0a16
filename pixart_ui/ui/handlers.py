"""What happens when something is pressed. Every handler returns at once with updates by component.

An error becomes its sentence beside the form; see `edge.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from pixart_ui import bins
from pixart_ui.access import viewer
from pixart_ui.bins import Size
from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import BudgetTooSmall, InputError, PixArtError
from pixart_ui.jobs.job import Job
from pixart_ui.prompt_tokens import TokenCounter
from pixart_ui.request import MAX_PROMPT_CHARS, parse_size
from pixart_ui.services import Services
from pixart_ui.ui import estimate, form_hints, fragments, header, words
from pixart_ui.ui.edge import guarded, ids_in, is_id
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import Offer, offer, precision_effect, size_value
from pixart_ui.ui.remembering import recalled
from pixart_ui.ui.style_pictures import style_pictures

Handler = Callable[..., Updates]


def _tells_errors(handler: Handler) -> Handler:
    @wraps(handler)
    def told(self: Handlers, *args: Any) -> Updates:
        return guarded(lambda: handler(self, *args), lambda error: {self.message: fragments.problem(error)})

    return told


class Handlers:
    """The verbs of the Single tab. `ticket`, `estimate` and `reading` carry text to the page's script."""

    def __init__(
        self,
        services: Services,
        form: Form,
        message: gr.HTML,
        ticket: gr.Textbox,
        estimate: gr.Textbox,
        reading: gr.Textbox,
    ) -> None:
        self.services = services
        self.form = form
        self.message = message
        self.ticket = ticket
        self.estimate = estimate
        self.reading = reading
        self.tokens = TokenCounter(services.hub)

    @_tells_errors
    def generate(self, values: Values) -> Updates:
        """Put the pictures in the journal; the ticket tells the page which batch to follow."""
        jobs = self.services.submit(self.form.read(values), viewer.current().name)
        is_random = self.form.is_seed_random(values)
        return {
            self.message: fragments.no_message(),
            self.ticket: jobs[0].batch,
            **self.form.show_seed(jobs[0].request.seed, is_random=is_random),
        }

    @_tells_errors
    def enqueue(self, values: Values) -> Updates:
        """Put the pictures at the end of the queue; the form stays as it is, for the next ones."""
        jobs = self.services.enqueue([self.form.read(values)], viewer.current().name)
        place = self.services.journal.places().get(jobs[0].id)
        return {self.message: fragments.note(words.enqueued(len(jobs), place))}

    @_tells_errors
    def predict(self, values: Values) -> Updates:
        """What the form asks for would take; a wrong value says so there, quietly, until it is sent."""
        hint = self._size_hint(values)
        try:
            found = self.services.predict(self.form.read_costs(values))
        except PixArtError as error:
            line = estimate.sentence(error.message, is_problem=isinstance(error, BudgetTooSmall))
            return {self.estimate: line, self.form.size_hint: hint}
        return {self.estimate: estimate.estimate(found), self.form.size_hint: hint}

    @_tells_errors
    def read_prompt(self, values: Values) -> Updates:
        """What T5 reads of the prompt in its style, and another idea for one."""
        prompt, checkpoint = str(values[self.form.prompt] or ""), self._checkpoint(values)
        style = self.services.styles.get(values[self.form.style] or None, checkpoint.name)
        reading = self.tokens.read(prompt[:MAX_PROMPT_CHARS], style, checkpoint)
        examples = offer(self.services, checkpoint).examples
        return {self.reading: form_hints.prompt_hint(reading, prompt[:MAX_PROMPT_CHARS], examples)}

    @_tells_errors
    def swap(self, values: Values) -> Updates:
        """Width for height; a size of the checkpoint's becomes another one of its own."""
        size = parse_size(str(values[self.form.size]))
        swapped = Size(size[1], size[0])
        sample_size = self._checkpoint(values).sample_size
        is_bin = bins.nearest(Size(*size), sample_size) == size
        return {self.form.size: size_value(bins.nearest(swapped, sample_size) if is_bin else swapped)}

    @_tells_errors
    def dress(self, values: Values) -> Updates:
        """What else a checkpoint brings: its qualities, and pictures of its styles."""
        offered = offer(self.services, self._checkpoint(values))
        return {
            self.form.quality: gr.update(choices=list(offered.qualities), visible=bool(offered.qualities)),
            self.form.style_pictures: style_pictures(self.services, offered),
        }

    @_tells_errors
    def recall(self, remembered: str) -> Updates:
        """What this browser's form held last; what its checkpoint does not offer any more is left out."""
        kept = self.form.kept(remembered)
        usable = [name for _, name in header.usable_checkpoints(self.services)]
        if kept.get("checkpoint") not in usable:
            return {self.message: fragments.no_message()}  # Gradio takes no empty answer
        offered = self._offer(kept["checkpoint"])
        return self.form.restore(recalled(kept, offered), offered)

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
        asker = viewer.current()
        self.services.journal.cancel(
            [job.id for job in self.services.journal.jobs(ids=ids) if asker.may_see(job.owner)]
        )
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
        job = self.services.journal.job(int(text))
        if not viewer.current().may_see(job.owner):
            raise InputError(words.UNKNOWN_JOB)
        return job

    def _checkpoint(self, values: Values) -> Checkpoint:
        return self.services.catalog.get(str(values[self.form.checkpoint]))

    def _size_hint(self, values: Values) -> str:
        """Nothing while the size is none: then the estimate says why."""
        try:
            size = parse_size(str(values[self.form.size]))
            return form_hints.size_hint(Size(*size), self._checkpoint(values))
        except PixArtError:
            return ""
