"""From a file or a text to a draft."""

from __future__ import annotations

from pathlib import Path

from pixart_ui.batches.draft import Draft
from pixart_ui.batches.wildcards import Wildcards
from pixart_ui.request import GenerationRequest


def read_draft(
    content: str | bytes, *, name: str | None, base: GenerationRequest | None, wildcards: Wildcards
) -> Draft:
    """What the content asks for. `name` is the file's, whose ending says what it is; without one the content does.

    What a row leaves out is taken from `base`, but for its prompt. Raises InputError where the whole cannot be read.
    """
    raise NotImplementedError


def read_file(path: Path) -> bytes:
    """The content of a file, or of a pipe, for `read_draft`. Raises InputError where it is too large or unreadable."""
    raise NotImplementedError
