"""CSV: a header with names, then a row for each request; cells are divided by commas, semicolons or tabs.

Which of the three is the one by which most of the header is understood: nothing is guessed from the rows. A row counts
as a spreadsheet counts it: the header is row 1, and a cell may hold several lines. Empty cells say nothing, empty rows
are left out. What looks like a formula is text here, and an export puts an apostrophe before it, which an import takes
away again.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence

from pixart_ui.batches import columns
from pixart_ui.batches.columns import Names
from pixart_ui.batches.draft import RowProblem
from pixart_ui.batches.rows import Row, names_everything
from pixart_ui.errors import InputError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Longer headers are no headers.
MAX_HEADER_CHARS = 10_000

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DECIMAL_COMMA = re.compile(r"(\d+),(\d+)", re.ASCII)


def is_table(text: str) -> bool:
    """Whether the first line is a header: `prompt` is a cell of it, or another name for it beside a known one."""
    names = _cells(text, _delimiter(text))
    has_prompt = any(map(columns.is_prompt, names))
    return has_prompt and ("prompt" in map(columns.folded, names) or sum(map(columns.is_known, names)) > 1)


def read_table(text: str, names: Names, what: str) -> Iterator[Row | RowProblem]:
    """The rows. Raises InputError for a wrong header, and for quotes after which nothing can be told apart."""
    delimiter = _delimiter(text)
    records = _records(text, delimiter, what)
    header = next((record for _, record in records if any(record)), None)
    if header is None:
        return
    fields = _fields(header, names, what)
    is_complete = names_everything(field for field in fields if field is not None)
    for number, record in records:
        if any(record):
            yield _row(number, record, fields, is_complete, delimiter)


def guard(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """What `guard` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _delimiter(text: str) -> str:
    """The one by which most names of the header are understood; the comma if no other is better."""
    return max(DELIMITERS, key=lambda delimiter: sum(map(columns.is_known, _cells(text, delimiter))))


def _cells(text: str, delimiter: str) -> list[str]:
    """The first line that says something, as a header; empty where it is none."""
    line = text[:MAX_HEADER_CHARS].lstrip(" \r\n").partition("\n")[0].partition("\r")[0]
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _records(text: str, delimiter: str, what: str) -> Iterator[tuple[int, list[str]]]:
    """Every row with its number, cells stripped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"Row {number} of {_inside(what)} cannot be read ({error}): put text in double quotes, close them, "
                "and write a quote inside as two."
            ) from None
        if record is None:
            return
        yield number, [cell.strip() for cell in record]


def _fields(header: Sequence[str], names: Names, what: str) -> list[str | None]:
    """The setting of each column, None for those of results, empty for those without a name.

    Raises InputError for what is not understood.
    """
    if not any(map(columns.is_prompt, header)):
        near = difflib.get_close_matches("prompt", map(columns.folded, header[:100]), n=1)
        hint = f", is {near[0]!r} meant" if near else ""
        shown = ", ".join(name for name in header if name)
        raise InputError(
            f"{what} has no column prompt, its first row is {_short(shown)!r}{hint}: "
            "begin it with a row of names, such as prompt,seed,steps.",
            "prompt",
        )
    fields = [names.field(name, "column", f" in {_inside(what)}") if name else "" for name in header]
    for position, field in enumerate(fields):
        if field and field in fields[:position]:
            raise InputError(
                f"{what} has two columns for {field} ({header[fields.index(field)]!r} and {header[position]!r}): "
                "leave one out.",
                field,
            )
    return fields


def _row(
    number: int, record: Sequence[str], fields: Sequence[str | None], is_complete: bool, delimiter: str
) -> Row | RowProblem:
    if len(record) != len(fields):
        return RowProblem(
            number,
            f"The row has {_cells_in_words(len(record))}, the header {len(fields)}: "
            f"put text with {DELIMITERS[delimiter]} in double quotes, and leave no cell out.",
        )
    for position, (field, cell) in enumerate(zip(fields, record, strict=True), start=1):
        if field == "" and cell:
            return RowProblem(
                number, f"{_short(cell)!r} stands in column {position}, which has no name: name it, or empty it."
            )
    values = {field: unguard(cell) for field, cell in zip(fields, record, strict=True) if field and cell}
    if delimiter != "," and (match := _DECIMAL_COMMA.fullmatch(values.get("guidance_scale", ""))):
        values["guidance_scale"] = f"{match[1]}.{match[2]}"
    return Row(number, values, is_complete)


def _cells_in_words(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def _inside(what: str) -> str:
    """Names the content within a sentence."""
    return what[:1].lower() + what[1:]


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
