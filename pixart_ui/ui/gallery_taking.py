"""Settings out of a picture into the form: of the Gallery's own, and of a PNG that somebody drops.

The form is filled as "Reuse settings" on Single fills it. What cannot be honoured is named in a note that stays until
it is closed. Selected pictures become the axes of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pixart_ui.access import viewer
from pixart_ui.compare.axes import Axis
from pixart_ui.errors import InputError, PixArtError
from pixart_ui.gallery import taken as reading
from pixart_ui.gallery.adopting import Adopted, adopt
from pixart_ui.gallery.differences import Differences, differences
from pixart_ui.gallery.taken import OURS, Taken
from pixart_ui.services import Services
from pixart_ui.ui import fragments
from pixart_ui.ui import words as page_words
from pixart_ui.ui.compare_choices import in_order
from pixart_ui.ui.compare_ways import AxisParts, CompareWays, PromptsFrom, choices_of
from pixart_ui.ui.edge import guarded, ids_in
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import offer
from pixart_ui.ui.words import gallery as words

MAX_COMPARED = 64


class Taking:
    """`answer` carries a note to the page's script, `went` the tab that it opens then, empty for none."""

    def __init__(
        self,
        services: Services,
        form: Form,
        ways: CompareWays,
        target: gr.Textbox,
        file: gr.File,
        answer: gr.Textbox,
        went: gr.Textbox,
    ) -> None:
        self.services = services
        self.form = form
        self.ways = ways
        self.target = target
        self.file = file
        self.answer = answer
        self.went = went

    def reuse(self, values: Values) -> Updates:
        """All settings of a picture of the Gallery."""
        return guarded(lambda: self._reuse(values), self._told)

    def seed(self, values: Values) -> Updates:
        """Its seed alone."""
        return guarded(lambda: self._seed(values), self._told)

    def drop(self, values: Values) -> Updates:
        """The settings of a file that was uploaded; the place for the next one is free again, whatever came of it."""
        return {**guarded(lambda: self._drop(values), self._told), self.file: None}

    def compare(self, values: Values) -> Updates:
        """Several pictures: the first one's settings, and what they differ in as axes."""
        return guarded(lambda: self._compare(values), self._told)

    def _reuse(self, values: Values) -> Updates:
        (request,) = self._requests(ids_in(str(values[self.target]))[:1])
        adopted = self._adopt(Taken(OURS, request.model_dump(mode="json"), (), request), values)
        note = words.REUSED_SETTINGS
        return {**self._filled(adopted), self.answer: _note(note, adopted.dropped), self.went: "single"}

    def _seed(self, values: Values) -> Updates:
        (request,) = self._requests(ids_in(str(values[self.target]))[:1])
        told = fragments.toast(words.REUSED_SEED.format(seed=request.seed))
        return {**self.form.show_seed(request.seed, is_random=False), self.answer: told, self.went: "single"}

    def _drop(self, values: Values) -> Updates:
        path, name = self._uploaded(values[self.file])
        taken = reading.read(path)
        adopted = self._adopt(taken, values)
        text = words.TAKEN if taken.source == OURS else words.TAKEN_FROM
        note = _note(text.format(name=name, source=taken.source), adopted.dropped)
        return {**self._filled(adopted), self.answer: note, self.went: "single"}

    def _compare(self, values: Values) -> Updates:
        ids = ids_in(str(values[self.target]))
        if len(ids) > MAX_COMPARED:
            raise InputError(words.TOO_MANY_TO_COMPARE.format(count=len(ids), most=MAX_COMPARED))
        requests = self._requests(ids)
        found, first = differences(requests), requests[0]
        adopted = self._adopt(Taken(OURS, first.model_dump(mode="json"), (), first), values)
        note = words.COMPARING if found.axes or found.prompts else words.COMPARING_ONE
        left = ", ".join(words.AXES.get(name, name) for name in found.left)
        if left:
            note += " " + words.COMPARING_LEFT.format(names=f"{left[:1].upper()}{left[1:]}")
        return {
            **self._filled(adopted),
            **self._asked(found, first.checkpoint),
            self.answer: _note(note, adopted.dropped),
            self.went: "compare",
        }

    def _asked(self, found: Differences, checkpoint: str) -> Updates:
        updates: Updates = {}
        if found.axes:
            for parts, axis in zip((self.ways.first, self.ways.second), [*found.axes, None, None], strict=False):
                updates |= _axis(self.services, parts, axis, checkpoint)
        elif found.prompts:
            updates |= _axis(self.services, self.ways.second, None, checkpoint)
        lines = "\n".join(" ".join(prompt.split()) for prompt in found.prompts)
        source = PromptsFrom.LINES if found.prompts else PromptsFrom.FORM
        return {**updates, self.ways.prompts: str(source), self.ways.lines: lines}

    def _requests(self, ids: Sequence[int]) -> list[Any]:
        """What these pictures were made from, in the order given. Raises InputError for one that is not there."""
        if not ids:
            raise InputError(page_words.UNKNOWN_JOB)
        gallery, only = self.services.gallery, viewer.current().only
        return [gallery.request(gallery.find(id_, owner=only)) for id_ in ids]

    def _adopt(self, taken: Taken, values: Values) -> Adopted:
        catalog, hub = self.services.catalog, self.services.hub
        here = [entry for entry in catalog if entry.name == "tiny" or hub.is_available(entry)]
        folder = str(taken.settings.get("checkpoint") or "")
        if taken.request is not None and folder not in catalog.names:
            here += self._folder(folder)
        return adopt(taken, here, catalog.get(str(values[self.form.checkpoint])), self.services.styles)

    def _folder(self, name: str) -> list[Any]:
        """A local folder that a picture of ours names, where it still is a checkpoint."""
        try:
            return [self.services.catalog.get(name)]
        except PixArtError:
            return []

    def _filled(self, adopted: Adopted) -> Updates:
        request = adopted.request
        return self.form.fill(request, offer(self.services, self.services.catalog.get(request.checkpoint)))

    def _uploaded(self, file: Any) -> tuple[Path, str]:
        """Its path and name. Values arrive unchecked, and a page could name any file: only an upload is read."""
        if isinstance(file, Mapping) and file.get("path"):
            path = Path(str(file["path"])).resolve()
            if path.is_relative_to((self.services.settings.temp_dir / "gradio").resolve()) and path.is_file():
                return path, Path(str(file.get("orig_name") or path.name)).name[:80]
        raise InputError(page_words.FILE_IS_GONE)

    def _told(self, error: PixArtError) -> Updates:
        return {self.answer: fragments.toast(error.message, is_problem=True), self.went: ""}


def _axis(services: Services, parts: AxisParts, axis: Axis | None, checkpoint: str) -> Updates:
    """What is offered for the axis and ticked; what is not offered is written beside it."""
    name = str(axis.name) if axis is not None else ""
    offered = choices_of(services, name, checkpoint).choices
    known = {sent for _, sent in offered}
    values = axis.values if axis is not None else ()
    example = page_words.COMPARE_EXAMPLES.get(name, "")
    written = ", ".join(value for value in values if value not in known)
    ticked = in_order([value for value in values if value in known], offered)
    return {
        parts.name: name,
        parts.values: gr.update(choices=list(offered), value=ticked, visible=bool(offered)),
        parts.more: gr.update(
            value=written,
            placeholder=page_words.COMPARE_MORE_HINT.format(example=example),
            visible=bool(example) or bool(written),
        ),
    }


def _note(text: str, dropped: Sequence[str]) -> str:
    """A passing note; with what could not be honoured it stays until it is closed."""
    if not dropped:
        return fragments.toast(text)
    lines = "".join(f"<li>{escape(line)}</li>" for line in dropped)
    close = f'<button type="button" class="close" data-act="dismiss" aria-label="{words.DISMISS}">×</button>'
    return (
        f'<div class="toast note taken" role="alert"><div><p>{escape(text)}</p><p>{words.NOT_HONOURED}</p>'
        f"<ul>{lines}</ul></div>{close}</div>"
    )
