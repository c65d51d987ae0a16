"""JSON: a list of objects or of prompts, `{"jobs": […]}`, `{"prompts": […]}` or one object; and JSONL, one a line.

A row is an entry of the list, or a line. `null` says nothing, as if the key were left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pixart_ui.batches.columns import Names
from pixart_ui.batches.draft import RowProblem
from pixart_ui.batches.rows import Row, names_everything
from pixart_ui.batches.texts import split_lines
from pixart_ui.errors import InputError

LISTS = ("jobs", "prompts")


class Members(list[tuple[str, Any]]):
    """An object as it is written: its keys and values in order, with those that stand there twice."""


def read_document(text: str, names: Names, what: str) -> Iterator[Row | RowProblem]:
    """The entries of one JSON value. Raises InputError where it is no JSON, or JSON of another kind."""
    for number, entry in enumerate(_entries(_value(text, what), what), start=1):
        yield _row(number, entry, names)


def read_lines_of_json(text: str, names: Names) -> Iterator[Row | RowProblem]:
    """A value each line; blank lines are left out."""
    for number, line in enumerate(split_lines(text), start=1):
        if line.strip():
            try:
                yield _row(number, _value(line, "This line"), names)
            except InputError as error:
                yield RowProblem(number, error.message)


def is_lines_of_json(text: str) -> bool:
    """Whether the first line is an object by itself and others follow."""
    lines = [line for line in split_lines(text) if line.strip()]
    try:
        return len(lines) > 1 and isinstance(_value(lines[0], "This line"), Members)
    except InputError:
        return False


def _value(text: str, what: str) -> Any:
    """Raises InputError where it is no JSON."""
    try:
        return json.loads(text, object_pairs_hook=Members)
    except RecursionError:
        raise InputError(f"{what} is nested too deep, jobs are a list of flat objects: write it flat.") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise InputError(f"{what} is not JSON ({error.msg} in {line}column {error.colno}): correct it there.") from None
    except ValueError:
        raise InputError(f"{what} holds a number of thousands of digits: correct it.") from None


def _entries(value: Any, what: str) -> list[Any]:
    """The list that the document is, holds, or stands for."""
    if isinstance(value, Members):
        inner = [content for key, content in value if key.casefold() in LISTS]
        if not inner:
            return [value]
        value = inner[0] if len(value) == 1 else None
    if not isinstance(value, list) or isinstance(value, Members):
        raise InputError(
            f'{what} is no list of jobs: write [{{"prompt": …}}, …] or {{"jobs": […]}}, with nothing beside it.'
        )
    return value


def _row(number: int, entry: Any, names: Names) -> Row | RowProblem:
    if isinstance(entry, str):
        return Row(number, {"prompt": entry})
    if not isinstance(entry, Members):
        return RowProblem(number, 'This is neither an object nor text: write {"prompt": …}.')
    try:
        return _row_of(number, entry, names)
    except InputError as error:
        return RowProblem(number, error.message, error.field)


def _row_of(number: int, members: Members, names: Names) -> Row:
    """Raises InputError for a key that is unknown, or that stands there twice."""
    found: dict[str, tuple[str, Any]] = {}
    for key, value in members:
        field = names.field(key, "key")
        if field in found:
            raise InputError(f"{field} stands here twice, as {found[field][0]!r} and {key!r}: leave one out.", field)
        if field is not None:
            found[field] = (key, value)
    return Row(number, {field: value for field, (_, value) in found.items()}, names_everything(found))
