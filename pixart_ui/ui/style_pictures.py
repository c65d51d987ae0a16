"""A little picture for each style, made by the checkpoint itself: those that come with the app, or the viewer's own.

For a checkpoint without such pictures a style shows the newest one that this viewer has made in it, and none before.
The pictures reach the choices as CSS, since a choice is text alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixart_ui.access import viewer
from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.ui import result, theme
from pixart_ui.ui.offer import Offer
from pixart_ui.ui.words import single as single_words

FOLDER = "styles"
NO_STYLE = "none"
# How many of the newest pictures are looked through.
MAX_LOOKED_AT = 300


def file_name(style: str) -> str:
    """`Digital Art` is `digital-art.webp`; no style is `none.webp`."""
    slug = re.sub(r"[^a-z0-9]+", "-", style.lower()).strip("-")
    return f"{slug or NO_STYLE}.webp"


def style_pictures(services: Services, offered: Offer) -> str:
    """The rules that put the pictures on the choices, and a line on where they come from where that needs one."""
    styles = [value for _, value in offered.styles]
    shipped = _shipped(offered.checkpoint, styles)
    missing = [style for style in styles if style not in shipped]
    found = {**(_own(services, offered.checkpoint, missing) if missing else {}), **shipped}
    return _html(found, styles, is_shipped=bool(shipped))


def shipped_pictures(offered: Offer) -> str:
    """As above with what comes with the app alone, for the page before anybody has opened it: nothing moves then."""
    styles = [value for _, value in offered.styles]
    shipped = _shipped(offered.checkpoint, styles)
    return _html(shipped, styles, is_shipped=True) if shipped else ""


def _html(found: Mapping[str, str], styles: Sequence[str], *, is_shipped: bool) -> str:
    note = "" if is_shipped else single_words.STYLE_OWN if found else single_words.STYLE_NONE_YET
    hint = f'<p class="hint">{note}</p>' if note and len(styles) > 1 else ""
    if not found:
        return f'<div class="plain">{hint}</div>'
    rules = "".join(_rule(style, url) for style, url in found.items())
    return f'<div class="pictured"><style>{rules}</style>{hint}</div>'


def _shipped(checkpoint: str, styles: Sequence[str]) -> dict[str, str]:
    folder = Path(FOLDER) / re.sub(r"[^a-z0-9-]", "", checkpoint)
    names = {style: folder / file_name(style) for style in styles}
    return {style: f"/look/{name.as_posix()}" for style, name in names.items() if (theme.ASSETS / name).is_file()}


def _own(services: Services, checkpoint: str, styles: Sequence[str]) -> Mapping[str, str]:
    """The newest picture in each style; of another owner's none is shown."""
    newest: dict[str, str] = {}
    asker = viewer.current()
    for job in services.journal.jobs(states=[JobState.DONE], limit=MAX_LOOKED_AT):
        style = job.request.style if job.request.style is not None else ""
        is_wanted = job.request.checkpoint == checkpoint and style in styles and style not in newest
        if is_wanted and asker.may_see(job.owner) and services.image_path(job) is not None:
            newest[style] = result.thumbnail_url(job)
    return newest


def _rule(style: str, url: str) -> str:
    picture = f"background-image:url({_quoted(url)})"
    return f"#field-style label:has(input[value={_quoted(style)}])::before{{{picture}}}"


def _quoted(text: str) -> str:
    """A CSS string in which everything but letters and digits is escaped: safe in any place of a style sheet."""
    escaped = "".join(each if each.isascii() and each.isalnum() else f"\\{ord(each):x} " for each in text)
    return f'"{escaped}"'
