"""From a file or a text to a draft: what kind it is, its rows, and each of them checked.

The ending of a file's name says what it is: .csv and .tsv, .json, .jsonl and .ndjson, .txt. Where there is no such
name, the beginning of the content does: a list or object of JSON, a header that names a prompt, else a prompt a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import BinaryIO

from pixart_ui.batches.columns import Names
from pixart_ui.batches.documents import is_lines_of_json, read_document, read_lines_of_json
from pixart_ui.batches.draft import Draft, RowProblem
from pixart_ui.batches.rows import Drafting, Row
from pixart_ui.batches.tables import is_table, read_table
from pixart_ui.batches.texts import checked, decode, lines_of
from pixart_ui.batches.wildcards import Wildcards
from pixart_ui.byte_size import show_bytes
from pixart_ui.errors import InputError
from pixart_ui.request import GenerationRequest

MAX_BYTES = 16 << 20

LINES, CSV, JSON, JSONL = "lines", "CSV", "JSON", "JSONL"
_KINDS = {".txt": LINES, ".csv": CSV, ".tsv": CSV, ".json": JSON, ".jsonl": JSONL, ".ndjson": JSONL}
ENDINGS = tuple(_KINDS)
_JSON_BEGINS = re.compile(r'\s*(?:\[\s*(?:["{\]]|\[\s*\[)|\{\s*(?:"[^"]*"\s*:|\}))')


def read_draft(
    content: str | bytes, *, name: str | None, base: GenerationRequest | None, wildcards: Wildcards
) -> Draft:
    """What the content asks for. `name` is the file's, whose ending says what it is; without one the content does.

    What a row leaves out is taken from `base`, but for its prompt. Raises InputError where the whole cannot be read.
    """
    what = _what(name)
    if len(content) > MAX_BYTES:
        raise _too_large(what, f"{len(content):,} bytes")
    text = checked(content, what) if isinstance(content, str) else decode(content, what)
    kind = _kind(name, text)
    drafting, names = Drafting(what, base, wildcards), Names()
    for row in _rows(kind, text, names, what):
        drafting.add(row)
    return drafting.finish(kind, names.notes)


def draft_of_prompts(prompts: Iterable[str], *, base: GenerationRequest | None, wildcards: Wildcards) -> Draft:
    """The same for prompts that are told apart already; each is a row."""
    drafting = Drafting(_what(None), base, wildcards)
    for number, prompt in enumerate(prompts, start=1):
        drafting.add(Row(number, {"prompt": prompt}))
    return drafting.finish(LINES, ())


def read_file(path: Path) -> bytes:
    """The content of a file, or of a pipe, for `read_draft`. Raises InputError where it is too large or unreadable."""
    what = _what(path.name)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_large(what, f"{size:,} bytes")
        with path.open("rb") as file:
            return read_stream(file, path.name)
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror}): check the path and its permissions.") from None


def read_stream(stream: BinaryIO, name: str | None = None) -> bytes:
    """The same for what is open already."""
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _too_large(_what(name), f"more than {MAX_BYTES:,} bytes")
    return content


def _rows(kind: str, text: str, names: Names, what: str) -> Iterator[Row | RowProblem]:
    if kind == CSV:
        return read_table(text, names, what)
    if kind == JSON:
        return read_document(text, names, what)
    if kind == JSONL:
        return read_lines_of_json(text, names)
    return (Row(number, {"prompt": line}) for number, line in lines_of(text))


def _kind(name: str | None, text: str) -> str:
    said = _KINDS.get(PurePath(name).suffix.lower()) if name is not None else None
    if said is not None:
        return said
    if _JSON_BEGINS.match(text):
        return JSONL if is_lines_of_json(text) else JSON
    return CSV if is_table(text) else LINES


def _what(name: str | None) -> str:
    """Names the content at the beginning of a sentence."""
    if name is None:
        return "The text"
    return f"File {name if len(name) <= 60 else name[:57] + '…'!r}"


def _too_large(what: str, size: str) -> InputError:
    return InputError(f"{what} has {size}, at most {show_bytes(MAX_BYTES)} are read: split it.")
