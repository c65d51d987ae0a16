"""What stands above the grid: the kept comparisons, and of the open one its verdict, advice and actions.

Pure functions. Names and prompts were typed by somebody and are escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

from pixart_ui.byte_size import GIB, show_bytes
from pixart_ui.compare.advice import advise
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.kept import Entry
from pixart_ui.compare.timelines import conditions
from pixart_ui.compare.verdict import headline, sentences
from pixart_ui.errors import PixArtError
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.prediction import usable_bytes
from pixart_ui.ui import sharing_links, words
from pixart_ui.ui.fragments import button
from pixart_ui.ui.look import ROOMS_GIB

# From that many columns on the sentences are folded.
MANY_SENTENCES = 8
_TO_PAGE = 'target="_blank" rel="noopener"'


def kept(entries: Sequence[Entry], shown: Entry | None) -> str:
    """All that are kept, folded behind their number; the new one's button is beside it."""
    if not entries:
        return ""
    rows = "".join(f"<li>{_kept(entry, is_shown=entry == shown)}</li>" for entry in entries)
    return (
        f'<details class="menu kept"><summary class="quiet">{words.COMPARISONS} '
        f'<span class="num">{len(entries):,}</span></summary><ul>{rows}</ul></details>'
    )


def _kept(entry: Entry, *, is_shown: bool) -> str:
    current = ' aria-current="true"' if is_shown else ""
    if entry.problem is not None:
        facts = f'<span class="short">{words.COMPARE_UNREADABLE}</span>'
    else:
        done = words.COMPARE_DONE_OF.format(done=f"{entry.num_done:,}", total=f"{entry.num_runs:,}")
        at = f"{entry.created.timestamp():.0f}" if entry.created is not None else ""
        facts = f'<span class="short">{done} · <time data-ended="{at}"></time></span>'
    return (
        f'<button type="button" data-act="compare-open" data-id="{escape(entry.id)}"{current}>'
        f'<span class="asked">{escape(entry.name)}</span>{facts}</button>'
    )


def empty() -> str:
    return f'<div class="empty slim"><h2>{words.COMPARE_EMPTY_TITLE}</h2><p>{words.COMPARE_EMPTY_TEXT}</p></div>'


def unreadable(entry: Entry, error: PixArtError) -> str:
    delete = _delete(entry.id, entry.name)
    return (
        f'<div class="told" data-comparison="{escape(entry.id)}"><p class="named">{escape(entry.name)}</p>'
        f'<p class="message problem" role="alert">{escape(error.message)}</p>'
        f'<div class="actions">{delete}</div></div>'
    )


def head(
    comparison_id: str, comparison: Comparison, *, is_open: bool, workers: Sequence[WorkerStatus], room: str
) -> str:
    """The verdict first; then what to use, with the reason; then what can be done with it."""
    return (
        f'<div class="told" data-comparison="{escape(comparison_id)}">'
        f'<div class="line"><p class="named">{escape(comparison.name)}</p>'
        f'<div class="actions">{"".join(_actions(comparison_id, comparison, is_open=is_open))}</div></div>'
        f'<p class="short">{escape(conditions(comparison))}</p>'
        f"{_progress(comparison, is_open=is_open)}"
        f'<h2 class="verdict">{escape(headline(comparison))}</h2>'
        f'<div class="advice">{_advice(comparison, workers, room)}{_one_by_one(comparison)}</div></div>'
    )


def _progress(comparison: Comparison, *, is_open: bool) -> str:
    """How many runs are done; a status that is always there, so that its change is heard."""
    done, total = len(comparison.results), comparison.sweep.num_runs
    text = words.COMPARE_RUNNING if is_open else words.COMPARE_PARTLY if done < total else words.COMPARE_COMPLETE
    bar = f'<span class="bar" style="--part:{done / total:.3f}"></span>' if is_open else ""
    said = text.format(done=f"{done:,}", total=f"{total:,}")
    return f'<div class="progress" role="status"><span class="num">{said}</span>{bar}</div>'


def _advice(comparison: Comparison, workers: Sequence[WorkerStatus], room: str) -> str:
    here, room_here = _here(comparison, workers)
    free = int(room) * GIB if room else room_here
    rooms = ((str(size), words.COMPARE_ROOM.format(size=size)) for size in ROOMS_GIB)
    options = "".join(
        f'<option value="{value}"{" selected" if value == room else ""}>{escape(text)}</option>'
        for value, text in (("", here), *rooms)
    )
    return (
        f'<div><h3><label for="compare-room">{words.COMPARE_ADVICE}</label></h3>'
        f'<p class="room"><span>{words.COMPARE_ADVICE_FOR}</span> <select id="compare-room">{options}</select></p>'
        f'<p class="use">{escape(advise(comparison, free).sentence)}</p></div>'
    )


def _here(comparison: Comparison, workers: Sequence[WorkerStatus]) -> tuple[str, int | None]:
    """The device of the running worker; without one, the device that the comparison was made on."""
    if workers:
        info = workers[0].info
        free = usable_bytes(info)
        return words.COMPARE_ROOM_HERE.format(name=info.get("name", workers[0].device), free=show_bytes(free)), free
    device = comparison.device
    room = device.budget_bytes if device.budget_bytes is not None else device.total_bytes
    if room is None:
        return words.COMPARE_ROOM_ANY, None
    return words.COMPARE_ROOM_OF.format(name=device.name, size=show_bytes(room)), room


def _one_by_one(comparison: Comparison) -> str:
    found = sentences(comparison)
    if not found:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in found)
    if len(found) < MANY_SENTENCES:
        return f"<div><h3>{words.COMPARE_ONE_BY_ONE}</h3><ul>{items}</ul></div>"
    return (
        f'<div><details class="names-of"><summary>{words.COMPARE_ONE_BY_ONE}</summary><ul>{items}</ul></details></div>'
    )


def _actions(comparison_id: str, comparison: Comparison, *, is_open: bool) -> Iterator[str]:
    if is_open:
        yield button(words.COMPARE_CANCEL, "compare", verb="cancel", id=comparison_id)
    elif comparison.missing:
        yield button(words.COMPARE_RESUME, "compare", verb="resume", id=comparison_id)
    yield _reports(comparison_id)
    yield sharing_links.of_comparison(comparison_id)
    yield button(words.COMPARE_RENAME, "compare-rename", id=comparison_id, name=comparison.name)
    yield _delete(comparison_id, comparison.name)


def _reports(comparison_id: str) -> str:
    links = "".join(
        f'<li><a href="/comparisons/{quote(comparison_id)}/{file}" '
        f"{_TO_PAGE if file.endswith('?open') else 'download'}>{text}</a></li>"
        for file, text in words.COMPARE_REPORTS.items()
    )
    summary = f'<summary class="quiet">{words.COMPARE_REPORT}</summary>'
    return f'<details class="menu reports">{summary}<ul>{links}</ul></details>'


def _delete(comparison_id: str, name: str) -> str:
    ask = words.COMPARE_DELETE_ASK.format(name=name)
    return button(words.COMPARE_DELETE, "compare", verb="delete", id=comparison_id, ask=ask)
