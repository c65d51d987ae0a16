"""One picture in the Gallery's side panel, as HTML: what can be done with it, and everything needed to make it again.

All of it is read from the picture's own file. Whatever people typed is escaped here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pixart_ui.access import viewer
from pixart_ui.access.viewer import LOCAL_OWNER
from pixart_ui.catalog import Checkpoint
from pixart_ui.gallery import images
from pixart_ui.gallery.larger import Larger
from pixart_ui.gallery.picture import Picture
from pixart_ui.request import MAX_IMAGES, ResolvedRequest
from pixart_ui.ui import account, sharing_links
from pixart_ui.ui.fragments import button
from pixart_ui.ui.gallery_tiles import picture_url
from pixart_ui.ui.words import gallery as words

USUAL_VARIATIONS = 4


@dataclass(frozen=True)
class Made:
    """What the picture's file says, and what could be made of it. `facts` have the shape that `account.py` reads."""

    request: ResolvedRequest
    facts: Mapping[str, Any]
    title: str
    larger: Sequence[Larger]
    absent: Sequence[tuple[Checkpoint, str]]
    path: str


def sheet(picture: Picture, made: Made | str) -> str:
    """`made` is a sentence where the file cannot be read."""
    inner = f'<p class="message problem">{escape(made)}</p>' if isinstance(made, str) else _made(picture, made)
    return (
        f'<article class="sheet" data-id="{picture.id}" data-in="{"live" if picture.deleted_at is None else "trashed"}"'
        f"{' data-starred' if picture.is_starred else ''}>{_head()}{_plate(picture)}"
        f'<p class="said">{escape(picture.prompt)}</p>{_when(picture)}{inner}</article>'
    )


def _head() -> str:
    steps = (("gallery-step", "-1", words.LATER, "‹"), ("gallery-step", "1", words.EARLIER, "›"))
    arrows = "".join(
        f'<button type="button" class="round" data-act="{act}" data-by="{by}" aria-label="{label}" title="{label}">'
        f"{sign}</button>"
        for act, by, label, sign in steps
    )
    close = (
        f'<button type="button" class="round close" data-act="gallery-close" aria-label="{words.CLOSE}" '
        f'title="{words.CLOSE}">×</button>'
    )
    return f'<header>{arrows}<h2 class="unseen">{words.DETAILS}</h2>{close}</header>'


def _plate(picture: Picture) -> str:
    url = picture_url(picture)
    return (
        f'<a class="plate" href="{url}" target="_blank" rel="noopener" title="{words.OPEN_FULL}" '
        f'style="--w:{picture.width};--h:{picture.height}"><img src="{url}" '
        f'alt="{escape(picture.prompt or words.UNTITLED)}" width="{picture.width}" height="{picture.height}"></a>'
    )


def _when(picture: Picture) -> str:
    parts = [f'{words.MADE_ON} <span data-made="{picture.made_at:.0f}"></span>']
    if picture.owner != LOCAL_OWNER:
        parts.append(escape(words.BY.format(owner=picture.owner)))
    if picture.job is not None:
        parts.append(words.JOB.format(id=picture.job))
    if picture.deleted_at is not None:
        parts.append(f'{words.DELETED_ON} <span data-made="{picture.deleted_at:.0f}"></span>')
    return f'<p class="when">{" · ".join(parts)}</p>'


def _made(picture: Picture, made: Made) -> str:
    if picture.deleted_at is not None:
        return f"{_trash_actions(picture)}{_settings(made)}{_versions(made)}"
    return (
        f"{_actions(picture)}{_again(picture, made)}{_settings(made)}"
        f"{account.account(made)}{_versions(made)}{_text(made)}"
    )


def _actions(picture: Picture) -> str:
    return (
        '<div class="actions">'
        f"{button(words.REUSE, 'gallery-take', how='reuse', id=picture.id)}"
        f"{button(words.REUSE_SEED, 'gallery-take', how='seed', id=picture.id)}"
        f"{button(words.COMPARE, 'gallery-take', how='compare', id=picture.id)}"
        f'<a class="quiet" href="{picture_url(picture)}" download="{escape(picture.name)}">{words.DOWNLOAD}</a>'
        f"{_own_actions(picture)}</div>"
    )


def _own_actions(picture: Picture) -> str:
    """Nothing for a picture that another shared."""
    if not viewer.current().may_see(picture.owner):
        return ""
    star = words.UNSTAR if picture.is_starred else words.STAR
    verb = "unstar" if picture.is_starred else "star"
    return (
        f"{sharing_links.of_picture(picture.name, picture_url(picture))}"
        f"{button(star, 'gallery', verb=verb, jobs=picture.id)}"
        f"{button(words.DELETE, 'gallery', verb='delete', jobs=picture.id)}"
    )


def _trash_actions(picture: Picture) -> str:
    return (
        f'<div class="actions">{button(words.RESTORE, "gallery", verb="restore", jobs=picture.id)}'
        f"{button(words.PURGE, 'gallery', css='quiet danger', verb='purge', jobs=picture.id, ask=words.PURGE_ASK)}"
        "</div>"
    )


def _again(picture: Picture, made: Made) -> str:
    """Variations, and larger sizes as far as there are any."""
    vary = (
        f'<input type="number" class="count" min="1" max="{MAX_IMAGES}" value="{USUAL_VARIATIONS}" '
        f'aria-label="{words.VARY_COUNT}">{button(words.VARY, "gallery-vary", id=picture.id)}'
    )
    buttons, told = _larger(picture, made)
    return (
        f'<section class="again"><h3>{words.AGAIN}</h3><div class="actions">{vary}{buttons}</div>'
        f'<p class="hint">{words.VARY_HINT}</p>{told}</section>'
    )


def _larger(picture: Picture, made: Made) -> tuple[str, str]:
    """The buttons, and what they mean; where there is none, why."""
    buttons, hints = [], []
    for entry in made.larger:
        label, hint = (
            (words.LARGER_SAME, words.LARGER_SAME_HINT)
            if entry.is_same_picture
            else (words.LARGER_OTHER, words.LARGER_OTHER_HINT)
        )
        shown = label.format(size=entry.size, title=entry.title)
        buttons.append(button(shown, "gallery", verb="larger", jobs=f"{picture.id}:{entry.checkpoint}"))
        hints.append(hint.format(size=entry.size, title=entry.title))
    told = "".join(f'<p class="hint">{escape(hint)}</p>' for hint in dict.fromkeys(hints))
    for checkpoint, size in made.absent:
        fetch = escape(words.LARGER_FETCH.format(title=checkpoint.title, size=size))
        told += f'<p class="hint">{fetch}</p><code>python -m pixart_ui models download {escape(checkpoint.name)}</code>'
    if not told:
        told = f'<p class="hint">{escape(words.LARGER_NONE.format(title=made.title))}</p>'
    return "".join(buttons), told


def _settings(made: Made) -> str:
    rows = _table((words.ROWS[name], value) for name, value in _rows(made))
    return f'<section class="facts"><h3>{words.SETTINGS}</h3>{rows}</section>'


def _rows(made: Made) -> Iterator[tuple[str, str]]:
    request = made.request
    if request.negative_prompt:
        yield "negative_prompt", request.negative_prompt
    if request.style is not None:
        yield "style", request.style
        yield "full_prompt", request.full_prompt
        if request.full_negative_prompt != request.negative_prompt:
            yield "full_negative_prompt", request.full_negative_prompt
    yield "checkpoint", made.title
    yield "size", str(request.size)
    if request.bin != request.size:
        yield "bin", str(request.bin)
    yield "steps", str(request.steps)
    yield "guidance", f"{request.guidance_scale:g}" if request.is_guided else words.NO_GUIDANCE
    yield "scheduler", str(request.scheduler)
    yield "seed", str(request.seed)
    yield "precision", str(request.precision)
    yield "transformer_precision", str(request.transformer_precision)
    yield "numerics", str(request.numerics)
    if request.compile_blocks:
        yield "compile_blocks", words.COMPILED


def _versions(made: Made) -> str:
    rows = _table(_version_rows(made), css="hashes")
    return (
        f'<details class="fold-in" data-open="versions"><summary>{words.VERSIONS}</summary>'
        f'<p class="hint">{words.VERSIONS_HINT}</p>{rows}</details>'
    )


def _version_rows(made: Made) -> Iterator[tuple[str, str]]:
    facts = made.facts
    yield words.FILE, made.path
    if name := _part(facts, "device").get("name"):
        yield words.DEVICE, str(name)
    if kernels := _part(facts, "kernels"):
        yield words.KERNELS, ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in kernels.items())
    for name, version in _part(facts, "versions").items():
        yield name, str(version)
    for name, revision in _part(facts, "revisions").items():
        yield words.REVISION.format(name=name), str(revision)
    for name, digest in _part(facts, "components").items():
        yield words.HASH.format(name=name.replace("_", " ")), str(digest)


def _text(made: Made) -> str:
    """The common text form, the whole JSON, and the command that makes it again."""
    command = f"python -m pixart_ui generate --from {json.dumps(made.path, ensure_ascii=False)}"
    return (
        f'<details class="fold-in" data-open="text"><summary>{words.AS_TEXT}</summary>'
        f"{_copied(images.parameters(made.request))}"
        f'<p class="hint">{words.COMMAND}</p>{_copied(command)}</details>'
    )


def _copied(text: str) -> str:
    return f'<div class="copied"><pre tabindex="0">{escape(text)}</pre>{button(words.COPY, "gallery-copy")}</div>'


def _table(rows: Iterator[tuple[str, str]], css: str = "") -> str:
    lines = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="pairs {css}">{lines}</dl>'


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = facts.get(name)
    return part if isinstance(part, Mapping) else {}
