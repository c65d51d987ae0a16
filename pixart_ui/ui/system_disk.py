"""What this app keeps on the disk, what each is for, and the buttons that clear what can be made again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pixart_ui.commands.meter import human
from pixart_ui.health.disk import CLEARABLE, Disk, Kind, Usage
from pixart_ui.ui.system_parts import Share, bar, section, verb
from pixart_ui.ui.words import system as words

# What has a colour of its own in the bar; the others stand together.
SHOWN = (Kind.WEIGHTS, Kind.IMAGES)


def disk(found: Disk | None) -> str:
    if found is None:
        return section(words.DISK, f'<p class="hint">{words.COUNTING}</p>', css="disk")
    free = words.DISK_FREE.format(free=human(found.free_bytes), total=human(found.total_bytes))
    used = [kind for kind in Kind if found.usage[kind].nbytes]
    inner = f"{_bar(found)}{_rows(used, found)}{_empty([kind for kind in Kind if kind not in used], found)}"
    return section(words.DISK, inner, intro=free, css="disk")


def _rows(kinds: Sequence[Kind], found: Disk) -> str:
    return f'<ul class="entries kinds">{"".join(_row(kind, found.usage[kind]) for kind in kinds)}</ul>'


def _empty(kinds: Sequence[Kind], found: Disk) -> str:
    """Folded: what takes no room is worth a line."""
    if not kinds:
        return ""
    names = ", ".join(words.KINDS[kind][0] for kind in kinds)
    summary = f'<summary>{words.DISK_EMPTY} <span class="num">{names}</span></summary>'
    return f'<details class="fold" data-keep="disk-empty">{summary}{_rows(kinds, found)}</details>'


def _bar(found: Disk) -> str:
    shares = _shares(found.usage)
    ours = sum(share.nbytes for share in shares)
    others = max(0, found.total_bytes - found.free_bytes - ours)
    shares += [
        Share("others", words.COMPONENTS["others"], others, human(others)),
        Share("free", words.COMPONENTS["free"], found.free_bytes, human(found.free_bytes)),
    ]
    return bar(shares, words.DISK_LABEL.format(parts=", ".join(f"{share.name} {share.amount}" for share in shares)))


def _shares(usage: Mapping[Kind, Usage]) -> list[Share]:
    rest = sum(found.nbytes for kind, found in usage.items() if kind not in SHOWN)
    own = [Share(kind, words.KINDS[kind][0], usage[kind].nbytes, human(usage[kind].nbytes)) for kind in SHOWN]
    return [*own, Share("work", words.REST, rest, human(rest))]


def _row(kind: Kind, found: Usage) -> str:
    name, what = words.KINDS[kind]
    count = words.ONE_FILE if found.files == 1 else words.FILES.format(count=f"{found.files:,}")
    clear = ""
    if kind in CLEARABLE and found.nbytes:
        ask = words.CLEAR_ASK.format(name=name, size=human(found.nbytes), what=what)
        clear = verb(words.CLEAR, "clear", kind, ask=ask, about=name)
    return (
        f'<li data-key="{kind}"><h3>{name}</h3><p>{escape(what)}</p>'
        f'<p class="facts num"><b>{human(found.nbytes)}</b> {count}</p><div class="actions">{clear}</div></li>'
    )
