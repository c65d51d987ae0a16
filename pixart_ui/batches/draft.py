"""What a file or a text asks to be added, before anything is added: the requests, and what is wrong with which row."""

from __future__ import annotations

from dataclasses import dataclass

from pixart_ui.request import GenerationRequest


@dataclass(frozen=True)
class RowProblem:
    """One thing that is wrong with one row. `message` is a whole sentence, without the row's number.

    `row` is what a person counts in the file: lines of a text, rows of a table with its header, entries of a list.
    """

    row: int
    message: str
    field: str | None = None

    def __str__(self) -> str:
        return f"Row {self.row}: {self.message}"


@dataclass(frozen=True)
class Draft:
    """What would be added. One with problems is not added: its requests are those of the rows that are right.

    `kind` is "lines", "CSV", "JSON" or "JSONL". `requests` come after expansion, in order, and may ask for several
    pictures each; `rows` says for each of them which row it comes from. `notes` are sentences on what was understood
    by another name or left aside.
    """

    kind: str
    requests: tuple[GenerationRequest, ...]
    problems: tuple[RowProblem, ...]
    notes: tuple[str, ...]
    rows: tuple[int, ...]

    @property
    def num_jobs(self) -> int:
        """Pictures in all."""
        return sum(request.num_images for request in self.requests)
