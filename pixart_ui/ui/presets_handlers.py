"""What the buttons of the presets do. Everything is the viewer's own: of others they use what is shared to all.

Using one sets the form as "Reuse settings" does; what a preset leaves out becomes the checkpoint's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pixart_ui.access import viewer
from pixart_ui.access.seeing import require_owner
from pixart_ui.errors import InputError, PixArtError
from pixart_ui.preset_file import MAX_FILE_BYTES
from pixart_ui.services import Services
from pixart_ui.shared_presets import is_anothers, own_name
from pixart_ui.ui import fragments
from pixart_ui.ui import words as page_words
from pixart_ui.ui.edge import guarded
from pixart_ui.ui.form import Form, Updates, Values
from pixart_ui.ui.offer import Offer, offer
from pixart_ui.ui.presets_actions import preset_actions
from pixart_ui.ui.style_pictures import style_pictures
from pixart_ui.ui.words import presets as words


@dataclass(frozen=True)
class PresetParts:
    """`verb` says what the hidden button `press` was pressed for."""

    preset: gr.Dropdown
    actions: gr.HTML
    name: gr.Textbox
    file: gr.File
    style: gr.Dropdown
    style_name: gr.Textbox
    style_prompt: gr.Textbox
    style_negative: gr.Textbox
    message: gr.HTML
    verb: gr.Textbox
    press: gr.Button

    def inputs(self) -> set[Component]:
        return {self.preset, self.name, self.style, *self.style_texts()}

    def style_texts(self) -> list[Component]:
        return [self.style_name, self.style_prompt, self.style_negative]

    def shown(self) -> list[Component]:
        """What a verb may change here."""
        return [self.preset, self.actions, self.name, self.file, self.style, *self.style_texts(), self.message]


class PresetHandlers:
    """Each returns at once with updates by component; an error becomes its sentence in the panel."""

    def __init__(self, services: Services, form: Form, parts: PresetParts) -> None:
        self.services = services
        self.form = form
        self.parts = parts
        self._verbs: Mapping[str, Callable[[Values], Updates]] = {
            "use": self._use,
            "save": self._save,
            "rename": self._rename,
            "delete": self._delete,
            "to-all": self._to_all,
            "to-own": self._to_own,
            "save-style": self._save_style,
            "delete-style": self._delete_style,
        }

    def act(self, values: Values) -> Updates:
        def work() -> Updates:
            name = str(values[self.parts.verb])
            if name not in self._verbs:
                raise InputError(page_words.UNKNOWN_VERB)
            return self._verbs[name](values)

        return guarded(work, self._told)

    def take_in(self, values: Values) -> Updates:
        """Add what a dropped file holds; the first preset of it is chosen."""
        return guarded(lambda: self._take_in(values), lambda error: {**self._told(error), self.parts.file: None})

    def show_style(self, values: Values) -> Updates:
        """An own style was chosen: its words can be changed."""
        name = values[self.parts.style]
        style = next((style for style in self._shelf().styles if style.name == name), None)
        if style is None:
            return {self.parts.message: fragments.no_message()}
        return {
            self.parts.style_name: style.name,
            self.parts.style_prompt: style.prompt,
            self.parts.style_negative: style.negative_prompt,
            self.parts.message: fragments.no_message(),
        }

    def refresh(self, values: Values) -> Updates:
        """When a page opens: what this viewer keeps, and their styles among the others."""
        choices = list(self._offer(values[self.form.checkpoint]).styles)
        return {**self._choices(None, None), self.form.style: gr.update(choices=choices)}

    def _use(self, values: Values) -> Updates:
        preset = self.services.presets.find(viewer.current().name, self._chosen(values))
        prompt = str(values[self.form.prompt] or "")
        request = preset.request(prompt if prompt.strip() else "any")
        resolved = self.services.resolve(request)[0]
        offered = self._offer(resolved.checkpoint)
        updates = self.form.fill(resolved, offered)
        if not preset.has_prompt:
            updates[self.form.prompt] = gr.skip()
        if request.seed is None:
            updates |= {self.form.seed: "", self.form.drawn_seed: "", self.form.is_seed_kept: False}
        return {
            **updates,
            self.form.num_images: request.num_images,
            self.form.style_pictures: style_pictures(self.services, offered),
            **self._said(words.USED.format(name=preset.name)),
        }

    def _save(self, values: Values) -> Updates:
        """What is in the form, under the name; without a name under that of the chosen preset."""
        prompt = str(values[self.form.prompt] or "")
        is_written = bool(prompt.strip())
        request = self.form.read({**values, self.form.prompt: prompt if is_written else "any"})
        settings = request.model_dump(mode="json", exclude_none=True, exclude=set() if is_written else {"prompt"})
        name = str(values[self.parts.name] or own_name(str(values[self.parts.preset] or "")))
        preset = self.services.presets.save(viewer.current().name, name, settings)
        return {
            **self._choices(preset.name, values[self.parts.style]),
            self.parts.name: "",
            **self._said(words.SAVED.format(name=preset.name)),
        }

    def _rename(self, values: Values) -> Updates:
        name = self.services.presets.rename(viewer.current().name, self._own(values), values[self.parts.name])
        said = self._said(words.RENAMED.format(name=name))
        return {**self._choices(name, values[self.parts.style]), self.parts.name: "", **said}

    def _to_all(self, values: Values) -> Updates:
        return self._share(values, words.TO_ALL_SAID, is_shared=True)

    def _to_own(self, values: Values) -> Updates:
        return self._share(values, words.TO_OWN_SAID, is_shared=False)

    def _share(self, values: Values, told: str, *, is_shared: bool) -> Updates:
        require_owner(words.SHARE_PRESETS)
        name = self._own(values)
        self.services.presets.share(viewer.current().name, name, is_shared=is_shared)
        return {**self._choices(name, values[self.parts.style]), **self._said(told.format(name=name))}

    def _delete(self, values: Values) -> Updates:
        name = self._own(values)
        self.services.presets.delete(viewer.current().name, name)
        return {**self._choices(None, values[self.parts.style]), **self._said(words.DELETED.format(name=name))}

    def _save_style(self, values: Values) -> Updates:
        texts = [values[part] for part in self.parts.style_texts()]
        style = self.services.presets.save_style(viewer.current().name, *texts)
        return {
            **self._choices(values[self.parts.preset], style.name),
            **self._styles(values, style.name),
            **self._said(words.STYLE_SAVED.format(name=style.name)),
        }

    def _delete_style(self, values: Values) -> Updates:
        name = str(values[self.parts.style] or "")
        if not name:
            raise InputError(words.NO_STYLE_CHOSEN)
        self.services.presets.delete_style(viewer.current().name, name)
        chosen = values[self.form.style]
        return {
            **self._choices(values[self.parts.preset], None),
            **dict.fromkeys(self.parts.style_texts(), ""),
            **self._styles(values, "" if chosen == name else chosen),
            **self._said(words.DELETED.format(name=name)),
        }

    def _take_in(self, values: Values) -> Updates:
        told = self.services.presets.take_in(viewer.current().name, self._content(values[self.parts.file]))
        names = [*told.presets, *told.styles]
        text = words.IMPORTED.format(names=", ".join(names[:8]) + ("…" if len(names) > 8 else ""))
        if told.num_known == len(names):
            text = words.KNOWN_ALREADY
        elif told.num_known:
            text = f"{text} {words.AND_KNOWN.format(count=told.num_known)}"
        styles = gr.update(choices=list(self._offer(values[self.form.checkpoint]).styles))
        chosen = self._choices(next(iter(told.presets), None), None)
        return {**chosen, self.form.style: styles, self.parts.file: None, **self._said(text)}

    def _content(self, uploaded: object) -> bytes:
        """What was dropped; of what was not uploaded here nothing is read, and no more than a file may have."""
        named = uploaded.get("path") if isinstance(uploaded, dict) else None
        path, uploads = Path(str(named)).resolve(), (self.services.settings.temp_dir / "gradio").resolve()
        if named is None or not path.is_relative_to(uploads):
            raise InputError(words.FILE_IS_GONE)
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
        except OSError:
            raise InputError(words.FILE_IS_GONE) from None

    def _styles(self, values: Values, chosen: object) -> Updates:
        """The form's styles anew, with their pictures."""
        offered = self._offer(values[self.form.checkpoint])
        return {
            self.form.style: gr.update(choices=list(offered.styles), value=chosen),
            self.form.style_pictures: style_pictures(self.services, offered),
        }

    def _choices(self, preset: object, style: object) -> Updates:
        kept, name, shelf = self.services.presets, viewer.current().name, self._shelf()
        presets, styles = [entry.name for entry in shelf.presets], [entry.name for entry in shelf.styles]
        shared, others = kept.shared_names(name), kept.shared_with(name)
        chosen = preset if preset in [*presets, *(entry.key for entry in others)] else None
        choices = [
            *((words.OF_ALL.format(name=own), own) if own in shared else own for own in presets),
            *((words.OF_ANOTHER.format(name=each.preset.name, owner=each.owner), each.key) for each in others),
        ]
        return {
            self.parts.preset: gr.update(choices=choices, value=chosen, info="" if choices else words.NONE_YET),
            self.parts.actions: preset_actions(chosen, shared, has_any=bool(presets or styles)),
            self.parts.style: gr.update(
                choices=styles,
                value=style if style in styles else None,
                info=words.CHOOSE_STYLE if styles else words.NO_STYLES,
            ),
        }

    def _chosen(self, values: Values) -> str:
        name = str(values[self.parts.preset] or "")
        if not name:
            raise InputError(words.NOTHING_CHOSEN)
        return name

    def _own(self, values: Values) -> str:
        """Raises InputError for another's, which can be used and not changed."""
        name = self._chosen(values)
        if is_anothers(name):
            raise InputError(words.ANOTHERS.format(name=own_name(name)))
        return name

    def _shelf(self) -> Any:
        return self.services.presets.shelf(viewer.current().name)

    def _offer(self, checkpoint: object) -> Offer:
        return offer(self.services, self.services.catalog.get(str(checkpoint)))

    def _said(self, text: str) -> Updates:
        return {self.parts.message: fragments.note(text)}

    def _told(self, error: PixArtError) -> Updates:
        return {self.parts.message: fragments.problem(error)}
