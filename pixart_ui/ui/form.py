"""The form: what a person can ask for on the Single tab.

`read` turns what the components hold into a `GenerationRequest` and knows no rule itself: every check is in
`request.py`. Values arrive unchecked by Gradio (the event says `preprocess=False`), so that a wrong one gets the same
sentence as everywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from pixart_ui.request import GenerationRequest, ResolvedRequest, parse_size
from pixart_ui.ui import fragments
from pixart_ui.ui.offer import Choices, Offer, precision_effect, size_value

Values = Mapping[Component, Any]
Updates = dict[Component, Any]
# Parts that say or do something, and hold nothing that is asked for.
SHOWN_ONLY = ("precision_hint", "random_seed", "style_pictures", "size_hint", "swap", "quality")


@dataclass(frozen=True)
class Form:
    """The components, by the name of the request's field where there is one.

    `drawn_seed` is the random seed that the page itself wrote into the seed field: as long as the field still holds it
    and it is not kept, the next picture gets a new one. `quality` is a way to set steps and scheduler, no value itself.
    """

    prompt: gr.Textbox
    style: gr.Radio
    style_pictures: gr.HTML
    shape: gr.Radio
    size_hint: gr.HTML
    swap: gr.Button
    quality: gr.Radio
    precision: gr.Radio
    precision_hint: gr.HTML
    seed: gr.Textbox
    is_seed_kept: gr.Checkbox
    random_seed: gr.Button
    drawn_seed: gr.Textbox
    num_images: gr.Number
    negative_prompt: gr.Textbox
    steps: gr.Slider
    guidance_scale: gr.Slider
    scheduler: gr.Dropdown
    size: gr.Dropdown
    numerics: gr.Radio
    compile_blocks: gr.Checkbox
    transformer_precision: gr.Dropdown
    checkpoint: gr.Dropdown

    def inputs(self) -> set[Component]:
        return set(self.kept_parts().values())

    def kept_parts(self) -> dict[str, Component]:
        """What can be asked for, by name."""
        return {part.name: getattr(self, part.name) for part in self._kept_parts()}

    def costly_inputs(self) -> set[Component]:
        """What memory and time depend on; what is written does not matter for them."""
        return self.inputs() - set(self._unwritten())

    def read_costs(self, values: Values) -> GenerationRequest:
        """What the costly inputs ask for, with any prompt. Raises InputError."""
        return self.read({**values, **self._unwritten()})

    def _unwritten(self) -> Updates:
        """Everything that costs nothing, as if nobody had touched it; there has to be some prompt."""
        written = (self.negative_prompt, self.style, self.shape, self.seed, self.drawn_seed)
        return {self.prompt: "any", self.is_seed_kept: False, **dict.fromkeys(written, "")}

    def read(self, values: Values) -> GenerationRequest:
        """What is asked for. Raises InputError with the sentence and the field."""
        size = values[self.size]
        width, height = parse_size(str(size)) if size else (None, None)
        return GenerationRequest.parse(
            {
                "prompt": values[self.prompt] or "",
                "negative_prompt": values[self.negative_prompt] or None,
                "style": values[self.style] or None,
                "checkpoint": values[self.checkpoint] or None,
                "precision": values[self.precision],
                "transformer_precision": values[self.transformer_precision] or None,
                "numerics": values[self.numerics],
                "compile_blocks": values[self.compile_blocks],
                "width": width,
                "height": height,
                "steps": values[self.steps],
                "guidance_scale": values[self.guidance_scale],
                "scheduler": values[self.scheduler],
                "seed": None if self.is_seed_random(values) else values[self.seed],
                "num_images": values[self.num_images],
            }
        )

    def is_seed_random(self, values: Values) -> bool:
        seed = str(values[self.seed] or "").strip()
        return not seed or (not values[self.is_seed_kept] and seed == values[self.drawn_seed])

    def show_seed(self, seed: int, *, is_random: bool) -> Updates:
        """The seed that was used; one that a person chose stays for the next picture."""
        return {
            self.seed: str(seed),
            self.drawn_seed: str(seed) if is_random else "",
            self.is_seed_kept: not is_random,
        }

    def adapt(self, offer: Offer, precision: object) -> Updates:
        """Another checkpoint: its choices and defaults. Prompts, seed and precision stay."""
        return {
            self.style: gr.update(choices=list(offer.styles), value=""),
            self.shape: gr.update(choices=list(offer.shapes), value=offer.size),
            self.size: gr.update(choices=list(offer.sizes), value=offer.size),
            self.scheduler: gr.update(choices=list(offer.schedulers), value=offer.scheduler),
            self.precision: gr.update(choices=list(offer.precisions)),
            self.transformer_precision: gr.update(choices=list(offer.transformer_precisions)),
            self.precision_hint: fragments.hint(precision_effect(precision, is_small=offer.is_small)),
            self.steps: gr.update(maximum=offer.max_steps, value=offer.steps, interactive=offer.has_steps),
            self.guidance_scale: gr.update(value=offer.guidance_scale, interactive=offer.has_guidance),
        }

    def fill(self, request: ResolvedRequest, offer: Offer) -> Updates:
        """Everything that a picture was made with, also where the form itself would not offer it."""
        size, style = size_value(request.size), request.style if request.style is not None else ""
        return {
            **self.adapt(offer, request.precision),
            self.checkpoint: request.checkpoint,
            self.prompt: request.prompt,
            self.negative_prompt: request.negative_prompt,
            self.style: gr.update(choices=including(offer.styles, style), value=style),
            self.shape: gr.update(choices=list(offer.shapes), value=size),
            self.size: gr.update(choices=including(offer.sizes, size), value=size),
            self.precision: gr.update(choices=list(offer.precisions), value=str(request.precision)),
            self.transformer_precision: gr.update(
                choices=list(offer.transformer_precisions),
                value="" if request.is_transformer_usual else str(request.transformer_precision),
            ),
            self.numerics: str(request.numerics),
            self.compile_blocks: request.compile_blocks,
            self.steps: gr.update(
                maximum=max(offer.max_steps, request.steps), value=request.steps, interactive=offer.has_steps
            ),
            self.guidance_scale: gr.update(value=request.guidance_scale, interactive=offer.has_guidance),
            self.scheduler: gr.update(choices=list(offer.schedulers), value=str(request.scheduler)),
            self.num_images: 1,
            **self.show_seed(request.seed, is_random=False),
        }

    def keep(self, values: Values) -> str:
        """What the components hold, to be brought back later."""
        return json.dumps({part.name: values[getattr(self, part.name)] for part in self._kept_parts()})

    def kept(self, text: object) -> dict[str, Any]:
        """What `keep` wrote; nothing where that is damaged, as it has been with the browser."""
        try:
            found = json.loads(str(text))
        except ValueError:
            return {}
        names = {part.name for part in self._kept_parts()}
        return {name: value for name, value in found.items() if name in names} if isinstance(found, dict) else {}

    def restore(self, kept: Mapping[str, Any], offer: Offer) -> Updates:
        """Everything as it was kept, with the choices of its checkpoint."""
        updates = self.adapt(offer, kept.get("precision"))
        for name, value in kept.items():
            part = getattr(self, name)
            update = updates.get(part)
            updates[part] = {**update, "value": value} if isinstance(update, dict) else gr.update(value=value)
        return updates

    def _kept_parts(self) -> list[Field[Any]]:
        return [part for part in fields(self) if part.name not in SHOWN_ONLY]


def including(choices: Choices, value: str) -> list[tuple[str, str]]:
    """The choices, and the value too where they lack it."""
    return list(choices) if value in (sent for _, sent in choices) else [*choices, (value, value)]
