"""From rows to requests: what a row says, over what the form says, checked by the same validator as everything else.

A row is a mapping of settings to what the file holds, text or JSON values. It knows nothing of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pixart_ui.batches.columns import SETTINGS, SIZE
from pixart_ui.batches.draft import Draft, RowProblem
from pixart_ui.batches.wildcards import Wildcards
from pixart_ui.errors import InputError
from pixart_ui.request import GenerationRequest, parse_size

# How many pictures one draft may ask for, and how many rows it may have.
MAX_JOBS = 20_000


@dataclass(frozen=True)
class Row:
    """One row: its number as a person counts, and what it says of each setting. None says nothing.

    One that `is_complete` takes nothing from elsewhere.
    """

    number: int
    values: Mapping[str, Any]
    is_complete: bool = False


def names_everything(fields: Iterable[str]) -> bool:
    """Whether nothing is left to be taken from elsewhere, as in an export."""
    return set(SETTINGS) <= set(fields)


class Drafting:
    """Collects rows into a draft. Raises InputError as soon as they are too many."""

    def __init__(self, what: str, base: GenerationRequest | None, wildcards: Wildcards) -> None:
        self._what = what
        self._base = {} if base is None else base.model_dump(exclude={"prompt"}, exclude_none=True)
        self._wildcards = wildcards
        self._requests: list[GenerationRequest] = []
        self._rows: list[int] = []
        self._problems: list[RowProblem] = []
        self._num_rows = 0
        self._num_complete = 0
        self._num_jobs = 0

    def add(self, row: Row | RowProblem) -> None:
        """Take in one row, or what is wrong with it."""
        self._num_rows += 1
        self._check_room()
        if isinstance(row, RowProblem):
            self._problems.append(row)
            return
        try:
            found = self._requests_of(row)
        except InputError as error:
            self._problems.append(RowProblem(row.number, error.message, error.field))
            return
        self._requests += found
        self._rows += [row.number] * len(found)
        self._num_jobs += sum(request.num_images for request in found)
        self._check_room()

    def finish(self, kind: str, notes: Iterable[str]) -> Draft:
        """Raises InputError where there was nothing."""
        if self._num_rows == 0:
            raise InputError(f"{self._what} holds no prompt: write one a line, or choose another file.", "prompt")
        if self._num_complete and self._base:
            notes = [*notes, "Rows that name every setting stay as they are: the settings given beside are not used."]
        return Draft(kind, tuple(self._requests), tuple(self._problems), tuple(notes), tuple(self._rows))

    def _requests_of(self, row: Row) -> list[GenerationRequest]:
        values = _settings(row.values)
        if row.is_complete:
            self._num_complete += 1
        else:
            values = self._base | values
        prompt = values.get("prompt")
        if not isinstance(prompt, str):
            return [GenerationRequest.parse(values)]  # which says what is wrong with it
        return [GenerationRequest.parse(values | {"prompt": text}) for text in self._wildcards.expand(prompt)]

    def _check_room(self) -> None:
        if max(self._num_rows, self._num_jobs) > MAX_JOBS:
            raise InputError(
                f"{self._what} asks for more than {MAX_JOBS:,} pictures, which is the most at a time: split it."
            )


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is said at all, as the validator wants it. Raises InputError for what can be no setting."""
    said = {name: _plain(name, value) for name, value in values.items() if value is not None}
    if SIZE in said:
        if "width" in said or "height" in said:
            raise InputError("The size stands here twice, as size and as width or height: leave one out.", "width")
        said["width"], said["height"] = parse_size(str(said.pop(SIZE)))
    return said


def _plain(name: str, value: Any) -> Any:
    """The value. JSON's other kinds are refused here: the validator would count true as 1, and show a list whole."""
    if isinstance(value, (str, int, float)) and (name == "compile_blocks" or not isinstance(value, bool)):
        return value
    kind = "true or false" if isinstance(value, bool) else "a list or an object"
    raise InputError(f"Setting {name} is {kind}, it must be text or a number: write it plainly.", name)
