"""The Gallery's pictures, edge to edge, as HTML; what stands there where there are none; and its pages. Pure functions.

A picture keeps its key while it is shown, so that the page's script moves it and never builds it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from pixart_ui.gallery.picture import Picture
from pixart_ui.gallery.records import TRASH_DAYS
from pixart_ui.ui.fragments import button
from pixart_ui.ui.gallery_look import GalleryLook, Kind
from pixart_ui.ui.words import gallery as words

PAGE_SIZE = 120


def picture_url(picture: Picture, place: str = "pictures") -> str:
    """The file as it is on disk; another picture under its name has another address."""
    return f"/gallery/{place}/{quote(picture.name, safe='')}?at={picture.made_at:.0f}"


def wall(look: GalleryLook, pictures: Sequence[Picture]) -> str:
    """In the trash with a word on how long they stay."""
    shots = "".join(_shot(picture) for picture in pictures)
    stay = words.TRASH_HINT.format(days=TRASH_DAYS) if look.kind is Kind.DELETED else ""
    even = _even(pictures)
    return (
        f'<p class="hint stay">{stay}</p><ul class="shots" data-keyed{even} aria-label="{words.PICTURES}">{shots}</ul>'
    )


def _even(pictures: Sequence[Picture]) -> str:
    """For pictures of one shape, which stand in columns; others fill rows of one height."""
    if len({picture.width / picture.height for picture in pictures}) != 1:
        return ""
    return f' data-even style="--w:{pictures[0].width};--h:{pictures[0].height}"'


def _shot(picture: Picture) -> str:
    prompt = escape(picture.prompt or words.UNTITLED)
    size = f'width="{picture.width}" height="{picture.height}"'
    star = " data-starred" if picture.is_starred else ""
    return (
        f'<li class="shot" data-key="{picture.id}" style="--w:{picture.width};--h:{picture.height}"{star}>'
        f'<button type="button" class="open" data-act="picture" data-id="{picture.id}" tabindex="-1">'
        f'<img src="{picture_url(picture, "thumbnails")}" alt="{prompt}" loading="lazy" {size}></button>'
        f'<input type="checkbox" class="pick" tabindex="-1" aria-label="{words.SELECT.format(prompt=prompt)}">'
        '<span class="stars" aria-hidden="true">★</span></li>'
    )


def empty(look: GalleryLook) -> str:
    """Why there is nothing, and what to do."""
    if look.is_narrowed:
        clear = button(words.CLEAR_FILTERS, "gallery-clear")
        return f'<div class="none"><p>{words.NOTHING_FOUND}</p>{clear}</div>'
    if look.kind is Kind.STARRED:
        return f'<div class="none"><p>{words.NO_STARS}</p></div>'
    if look.kind is Kind.DELETED:
        return f'<div class="none"><p>{words.NO_TRASH.format(days=TRASH_DAYS)}</p></div>'
    return (
        f'<div class="empty"><h2>{words.EMPTY_TITLE}</h2><p>{words.EMPTY_TEXT}</p>'
        f'<div class="actions">{button(words.EMPTY_ACT, "gallery-make")}{button(words.OPEN_PNG, "gallery-open")}</div>'
        f'<p class="small">{words.EMPTY_DROP}</p></div>'
    )


def pager(number: int, total: int) -> str:
    if total <= PAGE_SIZE:
        return ""
    last_page = -(-total // PAGE_SIZE)
    first, last = (number - 1) * PAGE_SIZE + 1, min(total, number * PAGE_SIZE)
    targets = {"first": 1, "previous": number - 1, "next": number + 1, "last": last_page}
    buttons = "".join(
        f'<button type="button" class="quiet" data-act="gallery-page" data-page="{target}" data-turn="{turn}"'
        f"{'' if 1 <= target <= last_page and target != number else ' disabled'}>{words.TURNS[turn]}</button>"
        for turn, target in targets.items()
    )
    where = words.PAGE_OF.format(first=f"{first:,}", last=f"{last:,}", total=f"{total:,}")
    return f'<nav class="pager" aria-label="{words.PAGES}"><span class="num">{where}</span>{buttons}</nav>'
