"""The figures of a comparison as HTML: bars, the memory timeline, tables, and how it was measured.

The values are those of the report; the script adds what moves: the moment under the pointer, the order of a table.
Pure functions; names of tokens, checkpoints and prompts are escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Comparison
from pixart_ui.compare.report_parts import (
    DrawnBand,
    DrawnRun,
    DrawnTimeline,
    Head,
    Table,
    Td,
    runs_table,
    summary_table,
    timeline,
)
from pixart_ui.compare.report_words import method
from pixart_ui.compare.summary import Column, columns, floor
from pixart_ui.compare.timelines import memory_kind
from pixart_ui.ui import words

# The lines that have a colour of their own.
NUM_COLOURS = 8
# Of the whole width in per cent: a narrower phase has no room for its name.
LEAST_NAMED = 8


def figures(comparison: Comparison) -> str:
    """Nothing before the first result."""
    if not comparison.results:
        return ""
    drawn = timeline(comparison)
    parts = [_timeline(drawn) if drawn is not None else "", _bars(comparison)]
    if len(comparison.sweep.prompts) > 1 or comparison.sweep.subject is not None:
        parts.append(_table(summary_table(comparison), words.COMPARE_TABLE_ALL))
    parts += [_table(runs_table(comparison), words.COMPARE_TABLE), _method(comparison)]
    return f'<div class="figures">{"".join(parts)}</div>'


# The timeline


def _timeline(drawn: DrawnTimeline) -> str:
    budget = drawn.budget
    lines = "".join(_line(10 * tick.percent) for tick in drawn.ticks)
    limit = _line(10 * budget.percent, ' class="budget"') if budget is not None else ""
    runs = "".join(_polyline(run, number) for number, run in enumerate(drawn.runs))
    ticks = "".join(
        f'<span class="tick" style="bottom:{tick.percent}%">{escape(tick.text)}</span>' for tick in drawn.ticks
    )
    label = f'<span class="limit" style="bottom:{budget.percent}%">{budget.text}</span>' if budget is not None else ""
    seconds = "".join(f'<span style="left:{tick.percent}%">{tick.text}</span>' for tick in drawn.seconds)
    strips = "".join(_strip(run, number) for number, run in enumerate(drawn.runs))
    return (
        f'<section class="timeline" data-end="{drawn.end_seconds:.6f}" data-top="{drawn.top_bytes:.0f}" '
        f'style="--names:{7 * drawn.name_chars}px"><div class="line"><h3>{words.COMPARE_TIMELINE}</h3>'
        f'<p class="hint">{escape(words.as_sentence(drawn.title))} {words.COMPARE_TIMELINE_HINT}</p></div>'
        f'<div class="panel"><div class="plot" tabindex="0" role="slider" aria-label="{words.COMPARE_TIMELINE_LABEL}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="0">{ticks}{label}'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{lines}{limit}{runs}</svg>'
        '<span class="cursor" hidden></span><div class="readout" hidden></div></div>'
        f'<div class="seconds">{seconds}</div>{strips}</div></section>'
    )


def _line(height: float, kind: str = "") -> str:
    y = f"{1000 - height:g}"
    return f'<line{kind} x1="0" x2="1000" y1="{y}" y2="{y}"/>'


def _polyline(run: DrawnRun, number: int) -> str:
    colour = number % NUM_COLOURS
    name = escape(run.name)
    return f'<polyline points="{run.points}" data-column="{name}" style="stroke:var(--run-{colour})"/>'


def _strip(run: DrawnRun, number: int) -> str:
    bands = "".join(
        f'<span title="{escape(band.name)}: {band.seconds}" data-phase="{escape(band.name)}" data-left="{band.left}" '
        f'data-width="{band.width}" style="left:{band.left}%;width:{band.width}%;'
        f'background:var(--phase-{band.colour})">{_named(band)}</span>'
        for band in run.bands
    )
    name = escape(run.name)
    colour = number % NUM_COLOURS
    return (
        f'<div class="strip" data-column="{name}"><b title="{name}" style="color:var(--run-{colour})">{name}</b>'
        f'<div class="bands">{bands}</div></div>'
    )


def _named(band: DrawnBand) -> str:
    return f"<i>{escape(band.name)}</i>" if band.width > LEAST_NAMED else ""


# Bars


def _bars(comparison: Comparison) -> str:
    found = [column for column in columns(comparison) if column.done]
    if not found:
        return ""
    noise = floor(comparison)
    shares = [noise.share(column.rms_levels) for column in found]
    panels = [
        (words.COMPARE_BAR_MEMORY, memory_kind(comparison), [_memory_bar(column) for column in found]),
        (words.COMPARE_BAR_SECONDS, "", [_seconds_bar(column) for column in found]),
    ]
    if any(share is not None for share in shares):
        panels.append((words.COMPARE_BAR_DISTANCE, "", [_share_bar(share) for share in shares]))
    drawn = "".join(
        _panel(title, note, list(zip([one.label for one in found], bars, strict=True))) for title, note, bars in panels
    )
    return f'<section class="bars"><h3>{words.COMPARE_BARS}</h3><div class="panels">{drawn}</div></section>'


# A length, the part of it that was loading, what stands at its end, and what is said when it is pointed at.
Bar = tuple[float, float, str, str]


def _memory_bar(column: Column) -> Bar:
    count = column.memory.bytes if column.memory is not None else 0
    return count, 0.0, show_bytes(count) if count else "–", ""


def _seconds_bar(column: Column) -> Bar:
    total, load = column.seconds or 0.0, column.load_seconds or 0.0
    about = words.COMPARE_BAR_LOADING.format(seconds=f"{load:.2f} s")
    return total, load / total if total else 0.0, f"{total:.1f} s", about


def _share_bar(share: float | None) -> Bar:
    if share is None:
        return 0.0, 0.0, "–", ""
    text = f"{share:.2f}" if share >= 0.01 else words.COMPARE_LEAST if share else words.COMPARE_NONE
    return share, 0.0, text, ""


def _panel(title: str, note: str, bars: Sequence[tuple[str, Bar]]) -> str:
    highest = max((bar[0] for _, bar in bars), default=0) or 1
    rows = "".join(
        f'<li data-column="{escape(name)}"><span class="of">{escape(name)}</span>'
        f'<span class="bar" style="--part:{length / highest:.4f};--load:{load:.4f}"></span>'
        f'<span class="num">{text}{f" <small>{about}</small>" if about else ""}</span></li>'
        for name, (length, load, text, about) in bars
    )
    about = f' title="{escape(note)}"' if note else ""
    return f'<div class="panel"><h4{about}>{title}</h4><ul>{rows}</ul></div>'


# Tables


def _table(table: Table, title: str) -> str:
    heads = "".join(_head(head) for head in table.heads)
    rows = "".join(_row(cells, number) for number, cells in enumerate(table.rows))
    tall = " tall" if len(table.rows) > 24 else ""
    return (
        f'<section class="table"><div class="line"><h3>{title}</h3><p class="hint">{words.COMPARE_TABLE_HINT}</p></div>'
        f'<div class="wide{tall}" tabindex="0" role="region" aria-label="{title}"><table data-table="{title}">'
        f"<thead><tr>{heads}</tr></thead><tbody data-keyed>{rows}</tbody></table></div></section>"
    )


def _head(head: Head) -> str:
    kind = ' class="text"' if head.is_text else ""
    about = f' title="{escape(head.about)}"' if head.about else ""
    return f'<th scope="col"{kind}><button type="button" data-act="sort"{about}>{escape(head.text)}</button></th>'


def _row(cells: Sequence[Td], number: int) -> str:
    first, *others = cells
    return (
        f'<tr data-key="{number}"><th scope="row" data-worth="{escape(first.worth)}">{escape(first.text)}</th>'
        f"{''.join(_cell(cell) for cell in others)}</tr>"
    )


def _cell(cell: Td) -> str:
    kinds = [name for name, is_so in (("text", cell.is_text), ("problem", cell.is_problem)) if is_so]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    below = f'<span class="below">{escape(cell.below)}</span>' if cell.below else ""
    bar = f'<span class="bar" style="--part:{cell.share:.4f}"></span>' if cell.share is not None else ""
    return f'<td{kind} data-worth="{escape(cell.worth)}">{escape(cell.text)}{below}{bar}</td>'


def _method(comparison: Comparison) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _facts(comparison))
    return (
        f'<details class="names-of method" data-keep="method"><summary>{words.COMPARE_METHOD}</summary>'
        f"<dl>{facts}</dl></details>"
    )


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield from method(comparison)
    yield words.COMPARE_VERSIONS, ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
