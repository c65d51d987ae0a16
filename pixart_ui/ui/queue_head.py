"""What stands above the queue's list: totals, the pause, the time left, the filter. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from pixart_ui.events import Phase
from pixart_ui.forecast import Forecast
from pixart_ui.jobs.job import JobState
from pixart_ui.ui import words
from pixart_ui.ui.fragments import button, paused
from pixart_ui.ui.look import QueueLook, Shows
from pixart_ui.ui.moment import Moment


def head(now: Moment, forecast: Forecast) -> str:
    return (
        f'<div class="totals"><h2>{_totals(now)}</h2><div class="actions">{_buttons(now)}</div></div>'
        f"{paused(now.paused)}{_time_left(now, forecast)}"
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


def _totals(now: Moment) -> str:
    parts = []
    if now.active:
        parts.append(words.NUM_RUNNING.format(count=len(now.active)))
    if now.num_waiting:
        parts.append(words.NUM_WAITING.format(count=f"{now.num_waiting:,}"))
    return ", ".join(parts) if parts else words.NOTHING_OPEN


def _buttons(now: Moment) -> str:
    pause = button(words.PAUSE, "queue", verb="pause") if now.paused is None else ""
    if not (now.running or now.num_waiting):
        return pause
    return pause + button(words.CANCEL_ALL, "queue", verb="cancel-all")


def _time_left(now: Moment, forecast: Forecast) -> str:
    """In all and by phase: a bar whose parts are as long as the phases are."""
    if forecast.seconds_left is None:
        return ""
    tag = f' <span class="tag">{words.ESTIMATE}</span>' if forecast.is_estimate else ""
    left = words.TIME_LEFT.format(time=words.about(forecast.seconds_left))
    parts = "".join(_part(phase, forecast.by_phase.get(phase, 0.0)) for phase in Phase)
    return f'<div class="left"><p class="sum">{left}{tag}</p><ul class="parts">{parts}</ul></div>'


def _part(phase: Phase, seconds: float) -> str:
    text = words.duration(seconds)
    return (
        f'<li data-phase="{phase}" style="--seconds:{seconds:.2f}"><span class="bar"></span>'
        f'<span class="name">{words.PHASES[phase]}</span> <span class="num">{text}</span></li>'
    )
