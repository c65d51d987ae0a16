"""What the columns of a table and the keys of an object are called: our names, the usual others, and those of results.

Names are compared without capitals, and with blanks and hyphens as underscores. Any other name is refused: a setting
that nobody reads would be lost in silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from pixart_ui.errors import InputError
from pixart_ui.request import GenerationRequest

SIZE = "size"
# What an export says of each job beside its request; an import leaves it aside.
RESULTS = (
    "id",
    "state",
    "owner",
    "created_at",
    "finished_at",
    "image",
    "seconds",
    "peak_bytes",
    "error",
)
# What an export says of a request. A row that names all of it leaves nothing to be taken from elsewhere.
SETTINGS = (
    "prompt",
    "negative_prompt",
    "style",
    "checkpoint",
    "width",
    "height",
    "steps",
    "guidance_scale",
    "scheduler",
    "seed",
    "precision",
    "transformer_precision",
    "numerics",
    "compile_blocks",
)
# One line a field: the other names that it goes by.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompts", "positive", "positive_prompt", "text", "caption"),
    "negative_prompt": ("negative", "neg", "neg_prompt", "negative_text"),
    "guidance_scale": ("guidance", "cfg", "cfg_scale"),
    "steps": ("num_steps", "sampling_steps", "inference_steps", "num_inference_steps"),
    "num_images": ("n", "num", "count", "images", "number_of_images", "num_images_per_prompt"),
    "scheduler": ("sampler", "sampler_name", "sampling_method"),
    "checkpoint": ("model", "model_name", "ckpt"),
    "width": ("w",),
    "height": ("h",),
    SIZE: ("resolution", "dimensions"),
    "precision": ("t5_precision", "text_encoder_precision"),
    "transformer_precision": ("dit_precision",),
    "compile_blocks": ("compile",),
}
_FIELDS = (*GenerationRequest.model_fields, SIZE)
_MEANING = MappingProxyType(
    {field: field for field in _FIELDS} | {name: field for field, names in _SYNONYMS.items() for name in names}
)


def folded(name: str) -> str:
    """As names are compared."""
    return "_".join(name.casefold().replace("-", " ").split())


def is_prompt(name: str) -> bool:
    return _MEANING.get(folded(name)) == "prompt"


def is_known(name: str) -> bool:
    return folded(name) in _MEANING or folded(name) in RESULTS


class Names:
    """Understands the names in one file, and remembers which were understood by another name or left aside."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        self._left: dict[str, None] = {}

    def field(self, name: str, kind: str, where: str = "") -> str | None:
        """The setting that a name stands for, None for what belongs to results. Raises InputError for any other name.

        `kind` is what the file calls a name, a column or a key; `where` goes on from there, where that needs saying.
        """
        key = folded(name)
        if key in RESULTS:
            self._left[key] = None
            return None
        field = _MEANING.get(key)
        if field is None:
            raise _unknown(name, kind, where)
        if field != key:
            self._renamed[name.strip()] = field
        return field

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the names, in sentences."""
        notes = []
        if self._renamed:
            notes.append(f"Understood as: {', '.join(f'{name} → {field}' for name, field in self._renamed.items())}.")
        if self._left:
            notes.append(f"Left aside, as they tell of results: {', '.join(self._left)}.")
        return tuple(notes)


def _unknown(name: str, kind: str, where: str) -> InputError:
    """Names the nearest of all that are understood, and lists ours."""
    shown = name if len(name) <= 60 else name[:57] + "…"
    near = difflib.get_close_matches(folded(name[:200]), _MEANING, n=1)
    hint = f", did you mean {near[0]!r}" if near else ""
    return InputError(f"Unknown {kind} {shown!r}{where}{hint}: leave it out, or choose one of {', '.join(_FIELDS)}.")
