"""From bytes to text, and from text to lines that say something."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from pixart_ui.errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Not `str.splitlines`, which ends a line at a form feed and at rarer characters too.
_LINE_END = re.compile(r"\r\n|\n|\r")


def decode(content: bytes, what: str) -> str:
    """UTF-8, or UTF-16 with its mark, without the mark. Raises InputError for other encodings and for no text at all.

    `what` names the content at the beginning of a sentence.
    """
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        return checked(content.decode(encoding), what)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise InputError(f"{what} begins like UTF-16 but is not: save it as UTF-8 text.") from None
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{what} is not UTF-8 text (byte 0x{content[error.start]:02x} in line {line}): save it as UTF-8, "
            "which spreadsheets call “CSV UTF-8”."
        ) from None


def checked(text: str, what: str) -> str:
    """The text without a mark at its beginning. Raises InputError where it holds NUL."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{what} is not a text file (a NUL byte in line {line}): save it as UTF-8 text.")
    return text.removeprefix("\ufeff")


def split_lines(text: str) -> list[str]:
    return _LINE_END.split(text)


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, stripped; blank ones and those that begin with # are left out."""
    for number, line in enumerate(split_lines(text), start=1):
        if (line := line.strip()) and not line.startswith("#"):
            yield number, line
