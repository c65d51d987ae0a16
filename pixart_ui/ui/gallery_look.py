"""What a page looks at in the Gallery: filters, a page, and the picture that is open. Read from its address.

Anybody can write such an address: whatever is not one of ours is left out, and texts are cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pixart_ui.gallery.picture import PictureFilter

MAX_TEXT_CHARS = 200
MAX_NAME_CHARS = 500
MAX_DIGITS = 15
# Stands for pictures without a style, where an empty value stands for any.
NO_STYLE = "-"


class Kind(StrEnum):
    """Which pictures are shown."""

    ALL = "all"
    STARRED = "starred"
    DELETED = "deleted"


@dataclass(frozen=True)
class GalleryLook:
    """Empty texts are no filter. `since` and `until` are seconds since 1970; `picture` is the open one, 0 for none.

    `known` is the digest of the grid that the page shows already: then it is not sent again.
    """

    page: int = 1
    kind: Kind = Kind.ALL
    text: str = ""
    checkpoint: str = ""
    precision: str = ""
    style: str = ""
    since: float | None = None
    until: float | None = None
    picture: int = 0
    known: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> GalleryLook:
        """From an address. Never fails."""

        def text(name: str, most: int = MAX_NAME_CHARS) -> str:
            return query.get(f"g-{name}", "")[:most]

        kind = text("kind")
        return cls(
            page=max(1, _whole(text("page"))),
            kind=Kind(kind) if kind in tuple(Kind) else Kind.ALL,
            text=" ".join(text("text", MAX_TEXT_CHARS).split()),
            checkpoint=text("checkpoint"),
            precision=text("precision"),
            style=text("style"),
            since=_moment(text("since")),
            until=_moment(text("until")),
            picture=_whole(text("picture")),
            known=text("known", 64),
        )

    def filter(self, owner: str | None) -> PictureFilter:
        return PictureFilter(
            text=self.text or None,
            checkpoint=self.checkpoint or None,
            precision=self.precision or None,
            style="" if self.style == NO_STYLE else self.style or None,
            since=self.since,
            until=self.until,
            is_starred=self.kind is Kind.STARRED,
            is_deleted=self.kind is Kind.DELETED,
            owner=owner,
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the kind leaves pictures out."""
        named = (self.text, self.checkpoint, self.precision, self.style)
        return any(named) or self.since is not None or self.until is not None


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0


def _moment(text: str) -> float | None:
    try:
        moment = float(text)
    except ValueError:
        return None
    return moment if math.isfinite(moment) else None
