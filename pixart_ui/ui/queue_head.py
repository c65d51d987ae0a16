"""What stands above the queue's list: totals, the time left, the filter. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from pixart_ui.access import viewer
from pixart_ui.events import Phase
from pixart_ui.forecast import Forecast
from pixart_ui.jobs.job import JobState, LoadCount
from pixart_ui.ui import words
from pixart_ui.ui.fragments import button
from pixart_ui.ui.look import QueueLook, Shows
from pixart_ui.ui.moment import Moment


def head(now: Moment, forecast: Forecast, loads: LoadCount) -> str:
    return (
        f'<div class="totals"><h2>{_totals(now)}</h2><div class="actions">{_buttons(now)}</div></div>'
        f"{_time_left(now, forecast, _saved(loads))}"
    )


def chips(look: QueueLook, counts: Mapping[JobState, int]) -> str:
    """The filter by state: a group of buttons of which one is pressed."""
    return (
        f'<div class="filters" role="group" aria-label="{words.FILTER}">'
        + "".join(
            f'<button type="button" class="chip" data-act="filter" data-state="{shows}" '
            f'aria-pressed="{"true" if shows is look.shows else "false"}">{words.SHOWS[shows]}'
            f'<span class="num">{sum(counts[state] for state in shows.states):,}</span></button>'
            for shows in Shows
        )
        + "</div>"
    )


def exports(look: QueueLook) -> str:
    """What is listed, all pages of it, to be taken away."""
    query = escape(urlencode({"state": look.shows, "text": look.text}))
    links = "".join(f'<li><a href="{path}?{query}" download>{label}</a></li>' for path, label in words.EXPORTS.items())
    return f'<details class="menu"><summary class="quiet">{words.EXPORT}</summary><ul>{links}</ul></details>'


def _totals(now: Moment) -> str:
    parts = []
    if now.active:
        parts.append(words.NUM_RUNNING.format(count=len(now.active)))
    if now.num_waiting:
        parts.append(words.NUM_WAITING.format(count=f"{now.num_waiting:,}"))
    return ", ".join(parts) if parts else words.NOTHING_OPEN


def _buttons(now: Moment) -> str:
    is_paused = now.paused is not None
    if not viewer.current().is_owner:
        return button(words.CANCEL_ALL, "queue", verb="cancel-all") if _has_open(now) else ""
    pause = button(words.RESUME if is_paused else words.PAUSE, "queue", verb="resume" if is_paused else "pause")
    if not _has_open(now):
        return pause
    return pause + button(words.CANCEL_ALL, "queue", verb="cancel-all")


def _time_left(now: Moment, forecast: Forecast, saved: str) -> str:
    """In all and by phase: a bar whose parts are as long as the phases are. As tall while nothing can be said."""
    if forecast.seconds_left is None:
        text, shares = _why_unknown(now), dict.fromkeys(Phase, None)
    else:
        tag = f'<span class="tag">{words.ESTIMATE}</span>' if forecast.is_estimate else ""
        text = f"<span>{words.TIME_LEFT.format(time=words.about(forecast.seconds_left))}</span>{tag}"
        shares = {phase: forecast.by_phase.get(phase, 0.0) for phase in Phase}
    parts = "".join(_part(phase, seconds) for phase, seconds in shares.items())
    none = "" if _has_open(now) else " data-none"
    return f'<div class="left"><p class="sum">{text}{saved}</p><ul class="parts"{none}>{parts}</ul></div>'


def _has_open(now: Moment) -> bool:
    return bool(now.running or now.num_waiting)


def _why_unknown(now: Moment) -> str:
    if not _has_open(now):
        return f'<span class="hint">{words.QUEUE_HINT}</span>'
    return f"<span>{words.NO_TIME_PAUSED if now.paused is not None else words.NO_TIME}</span>"


def _saved(loads: LoadCount) -> str:
    if not loads.saved:
        return ""
    text = words.LOADS_SAVED.format(saved=f"{loads.saved:,}")
    return f'<span class="saved" title="{words.LOADS_SAVED_HINT.format(loads=f"{loads.loads:,}")}">{text}</span>'


def _part(phase: Phase, seconds: float | None) -> str:
    """None where nothing is known."""
    share = "" if seconds is None else f' style="--seconds:{seconds:.2f}" data-known'
    text = "" if seconds is None else words.duration(seconds)
    return (
        f'<li data-phase="{phase}"{share}><span class="bar"></span>'
        f'<span class="name">{words.PHASES[phase]}</span> <span class="num">{text}</span></li>'
    )
