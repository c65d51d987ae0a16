"""The table of workers, and how their memory went from group to group. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pixart_ui.byte_size import show_bytes
from pixart_ui.health.growth import MIN_GROUPS, WARM_UP_GROUPS, Growth, Trend, health
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.jobs.overview import WorkerRow, WorkerState
from pixart_ui.ui import words as page_words
from pixart_ui.ui.system_parts import section, table, verb
from pixart_ui.ui.words import system as words

# A heartbeat comes each second; one that is a little late is no news.
PUNCTUAL_SECONDS = 4.0
MAX_TRENDS = 8


def workers(rows: Sequence[WorkerRow], *, may_change: bool) -> str:
    if not rows:
        return section(words.WORKERS, f'<p class="hint">{words.NO_WORKER}</p>', css="workers")
    heads = [*words.WORKER_COLUMNS, ""] if may_change else words.WORKER_COLUMNS
    title = words.WORKERS if len(rows) == 1 else f"{words.WORKERS} ({len(rows)})"
    inner = table(heads, (_row(row, may_change=may_change) for row in rows), label=words.WORKERS, css="many")
    return section(title, inner, css="workers")


def _row(row: WorkerRow, *, may_change: bool) -> str:
    where = f"{row.place} · {row.host}" if row.host else row.place
    trouble = f'<span class="problem">{escape(row.trouble)}</span>' if row.trouble else ""
    cells = (
        f'<span data-is="{row.state}">{words.WORKER_STATES[row.state]}</span>{trouble}',
        _memory(row),
        _job(row),
        f"{row.num_done:,}",
        words.WORKER_NOW
        if row.silent_seconds < PUNCTUAL_SECONDS
        else words.WORKER_AGO.format(seconds=round(row.silent_seconds)),
    )
    if may_change:
        cells = (*cells, _verb(row))
    return (
        f'<tr><th scope="row">{escape(row.name)}<span>{escape(where)}</span></th>'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    )


def _memory(row: WorkerRow) -> str:
    if row.free_bytes is None or row.total_bytes is None:
        return page_words.NO_FIGURE
    return page_words.MEMORY_FREE.format(free=f"{row.free_bytes / 2**30:.1f}", total=f"{row.total_bytes / 2**30:.1f}")


def _job(row: WorkerRow) -> str:
    if row.job is None:
        return page_words.NO_FIGURE
    phase = f"<span>{page_words.PHASES[row.phase]} {row.step if row.step else ''}</span>" if row.phase else ""
    more = words.WORKER_AND_MORE.format(count=row.num_claimed - 1) if row.num_claimed > 1 else ""
    return f"{words.WORKER_JOB.format(id=row.job)} {more}{phase}"


def _verb(row: WorkerRow) -> str:
    if row.state in (WorkerState.DRAINING, WorkerState.DRAINED):
        return verb(words.TAKE_AGAIN, "take", row.device, about=row.name)
    if row.state in (WorkerState.READY, WorkerState.WORKING):
        return verb(words.DRAIN, "drain", row.device, hint=words.DRAIN_HINT, about=row.name)
    return ""


def trends(found: Sequence[WorkerStatus]) -> str:
    """How memory went, for each worker that says so."""
    known = [worker for worker in found if worker.info.get("watch", {}).get("groups")]
    if not known:
        return section(words.HEALTH, f'<p class="hint">{words.HEALTH_NONE}</p>', css="health")
    inner = "".join(_trends(worker, has_name=len(known) > 1) for worker in known[:MAX_TRENDS])
    return section(words.HEALTH, inner, intro=words.HEALTH_INTRO, css="health")


def _trends(worker: WorkerStatus, *, has_name: bool) -> str:
    found = health(worker.info)
    name = f"<h3>{escape(str(worker.info.get('name', worker.device)))}</h3>" if has_name else ""
    level = "h4" if has_name else "h3"
    lines = [_line(words.HEALTH_RAM, found.ram, level)]
    if str(worker.info.get("device", "cpu")).startswith("cuda"):
        lines.insert(0, _line(words.HEALTH_BESIDE, found.beside, level))
    return f'{name}<div class="trends">{"".join(lines)}</div>'


def _line(name: str, found: Growth, level: str) -> str:
    low, high = show_bytes(min(found.values)), show_bytes(max(found.values))
    label = escape(words.TREND_LABEL.format(name=name, count=len(found.values), low=low, high=high))
    return (
        f'<div class="trend" data-is="{found.trend}"><{level}>{name}</{level}>'
        f'<svg viewBox="0 0 100 32" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<polyline points="{_points(found.values)}"/></svg><p>{_sentence(found)}</p></div>'
    )


def _points(values: Sequence[int]) -> str:
    """From nothing up, so that what is small looks small."""
    top, last = max(1, *values) * 1.1, max(1, len(values) - 1)
    spread = values if len(values) > 1 else [*values, *values]
    return " ".join(f"{100 * index / last:.1f},{32 - 32 * value / top:.1f}" for index, value in enumerate(spread))


def _sentence(found: Growth) -> str:
    count, settled = len(found.values), found.values[WARM_UP_GROUPS:]
    if found.trend is Trend.UNKNOWN:
        return words.HEALTH_FEW.format(count=count, least=MIN_GROUPS)
    if found.trend is Trend.GROWING:
        return words.GROWING.format(size=show_bytes(found.per_group_bytes), high=show_bytes(found.values[-1]))
    return words.STEADY.format(low=show_bytes(min(settled)), high=show_bytes(max(settled)), count=len(settled))
