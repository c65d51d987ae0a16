r"""The prompt matrix: `a {red|blue} house` is two prompts, `a __season__` one for each line of that wildcard's file.

All combinations are meant, the last alternative changing fastest; alternatives may be empty, hold others, and hold
wildcards. `\{`, `\}`, `\|`, `\_`, `\#` and `\\` are the plain characters. What must stay true: the number of prompts is
known before any of them is written out, whatever was asked for, and `escape` is undone by reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product

from pixart_ui.errors import InputError

# How many levels of alternatives and wildcards may stand in each other.
MAX_LEVELS = 10
# Counts stop here: enough to say how far beyond the cap a prompt is.
MANY = 10**9

_NAME = r"[^\W_](?:[^\W_]|-|_(?!_))*"
_TOKEN = re.compile(rf"\\(?P<escaped>[\\{{}}|_#])|(?P<mark>[{{}}|])|__(?P<wildcard>{_NAME})__")
_UNPLAIN = re.compile(r"[\\{}]|_(?=_)|(?<=_)_|^#")


@dataclass(frozen=True)
class Node:
    """A part of a prompt: text, or parts in a row (`is_row`), or one of several parts."""

    text: str = ""
    parts: tuple[Node, ...] = ()
    is_row: bool = False
    count: int = 1

    def texts(self) -> Iterator[str]:
        """Everything it stands for, in order."""
        if not self.parts:
            return iter([self.text])
        if not self.is_row:
            return chain.from_iterable(part.texts() for part in self.parts)
        return map("".join, product(*(part.texts() for part in self.parts)))


def parse(template: str, wildcard: Callable[[str], Node], what: str = "The prompt") -> Node:
    """Read a template; `wildcard` gives what a name stands for, `what` begins the sentences about it.

    Raises InputError for lonely braces, with their place, and for too many levels.
    """
    return _Parser(template, wildcard, what).parse()


def one_of(parts: Iterable[Node]) -> Node:
    """Any of the parts."""
    found = tuple(parts)
    return Node(parts=found, count=min(MANY, sum(part.count for part in found)))


def in_a_row(parts: Iterable[Node]) -> Node:
    """The parts one after the other."""
    found, count = tuple(parts), 1
    for part in found:
        count = min(MANY, count * part.count)
    return Node(parts=found, is_row=True, count=count)


def is_plain(prompt: str) -> bool:
    """Whether there is nothing to read in it."""
    return _TOKEN.search(prompt) is None


def is_name(name: str) -> bool:
    """Whether a wildcard of that name can be written."""
    return re.fullmatch(_NAME, name) is not None


def escape(prompt: str) -> str:
    r"""The template that stands for this prompt alone.

    >>> escape("a {b} of __c__")
    'a \\{b\\} of \\_\\_c\\_\\_'
    """
    return _UNPLAIN.sub(r"\\\g<0>", prompt)


def too_deep(what: str) -> InputError:
    return InputError(
        f"{what} has alternatives in each other more than {MAX_LEVELS} levels deep: write them side by side.", "prompt"
    )


class _Parser:
    """One pass over the tokens of a template."""

    def __init__(self, template: str, wildcard: Callable[[str], Node], what: str) -> None:
        self._template = template
        self._wildcard = wildcard
        self._what = what
        self._tokens = _TOKEN.finditer(template)
        self._end = 0
        self._level = 0

    def parse(self) -> Node:
        return self._row(None)

    def _row(self, opened: int | None) -> Node:
        """Parts up to the end of the template, or of the alternatives that a brace at `opened` began."""
        alternatives: list[Node] = []
        parts: list[Node] = []
        for token in self._tokens:
            self._take_text(parts, token.start())
            self._end = token.end()
            match token["mark"]:
                case "{":
                    parts.append(self._alternatives(token.start()))
                case "}" if opened is not None:
                    return one_of([*alternatives, in_a_row(parts)])
                case "}":
                    raise self._lonely("}", "{ before it", token.start())
                case "|" if opened is not None:
                    alternatives.append(in_a_row(parts))
                    parts = []
                case "|":
                    parts.append(Node("|"))
                case _:
                    parts.append(self._plain_or_wildcard(token))
        if opened is not None:
            raise self._lonely("{", "} after it", opened)
        self._take_text(parts, len(self._template))
        return in_a_row(parts)

    def _alternatives(self, opened: int) -> Node:
        self._level += 1
        if self._level > MAX_LEVELS:
            raise too_deep(self._what)
        node = self._row(opened)
        self._level -= 1
        return node

    def _plain_or_wildcard(self, token: re.Match[str]) -> Node:
        return Node(token["escaped"]) if token["wildcard"] is None else self._wildcard(token["wildcard"])

    def _take_text(self, parts: list[Node], until: int) -> None:
        if until > self._end:
            parts.append(Node(self._template[self._end : until]))

    def _lonely(self, brace: str, missing: str, position: int) -> InputError:
        return InputError(
            f"{self._what} has a {brace} at position {position + 1} without a {missing}: "
            f"add it, or write \\{brace} for a plain one.",
            "prompt",
        )
