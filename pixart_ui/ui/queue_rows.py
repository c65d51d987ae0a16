"""One line for each job of the queue's list, as HTML. Pure functions of jobs.

A row keeps its key while its job lives, so that the page's script moves and changes rows and never builds them anew.
Times are seconds since 1970; the script says them in the words and the time zone of who looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from pixart_ui.events import Phase
from pixart_ui.forecast import Forecast
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.request import ResolvedRequest
from pixart_ui.ui import result, words
from pixart_ui.ui.words import access as access_words

# The kinds of jobs that can be moved and changed.
CHANGEABLE = ("queued", "next")


@dataclass(frozen=True)
class RowFacts:
    """What rows say beside their jobs: where each stands, when it will be done, and whose it is if that matters.

    `gone` are the finished jobs whose pictures are no longer on disk; the forecast counts from `now`. Of the `hidden`
    whoever looks sees where they stand, and nothing of what was asked for.
    """

    now: float
    places: Mapping[int, int] = field(default_factory=dict)
    forecast: Forecast = field(default_factory=Forecast)
    has_owners: bool = False
    gone: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()


def rows(jobs: Sequence[Job], facts: RowFacts, label: str) -> str:
    lines = "".join(_hidden_row(job, facts) if job.id in facts.hidden else _row(job, facts) for job in jobs)
    return f'<ul class="jobs" data-keyed aria-label="{label}">{lines}</ul>'


def _row(job: Job, facts: RowFacts) -> str:
    request = job.request
    prompt = escape(request.prompt)
    owner = f'<span class="owner">{escape(job.owner)}</span>' if facts.has_owners else ""
    error = f'<p class="error">{escape(job.error)}</p>' if job.state is JobState.FAILED and job.error else ""
    return (
        f'<li class="job" data-key="{job.id}" data-state="{kind(job)}" data-batch="{escape(job.batch)}">'
        f'<input type="checkbox" class="pick" tabindex="-1" aria-label="{words.JOB.format(id=job.id)}: {prompt}">'
        f"{_thumb(job, facts)}"
        f'<div class="what"><p class="asked" title="{prompt}">{prompt}</p>'
        f'<p class="short">{owner}{escape(short(request))}</p></div>'
        f'<div class="where"><span class="state">{state(job, facts.places.get(job.id))}</span>'
        f"{_progress(job)}{_when(job, facts)}</div>{error}</li>"
    )


def _hidden_row(job: Job, facts: RowFacts) -> str:
    """A job of somebody else: its place and state."""
    return (
        f'<li class="job" data-key="{job.id}" data-state="{kind(job)}" data-hidden>'
        f'<span class="thumb"><span class="mark" data-state="{job.state}"></span></span>'
        f'<div class="what"><p class="asked subdued">{access_words.HIDDEN_PROMPT}</p></div>'
        f'<div class="where"><span class="state">{state(job, facts.places.get(job.id))}</span>'
        f"{_progress(job)}{_when(job, facts)}</div></li>"
    )


def short(request: ResolvedRequest) -> str:
    """The settings that matter most, in one line."""
    parts = [
        words.size_label(request.width, request.height),
        words.num_steps(request.steps),
        words.GUIDANCE_SHORT.format(guidance=request.guidance_scale) if request.is_guided else words.NO_GUIDANCE,
        str(request.precision),
        words.SEED_SHORT.format(seed=request.seed),
    ]
    return " · ".join([*parts, request.style] if request.style is not None else parts)


def state(job: Job, place: int | None) -> str:
    """Where the job is, in two or three words."""
    if job.state is JobState.QUEUED:
        return words.IN_LINE.format(place=words.ordinal(place)) if place is not None else words.WAITING
    if job.state is JobState.DONE:
        return words.DONE_IN.format(time=words.duration(result.seconds_taken(job)))
    if job.state is not JobState.RUNNING:
        return words.STATES[job.state]
    if job.is_cancel_requested:
        return words.STOPPING
    if job.phase is Phase.DENOISE:
        return words.DENOISE_STEP.format(step=job.step, steps=job.request.steps)
    if job.phase is not None:
        return words.PHASES[job.phase]
    return words.SAVING_SHORT if result.is_being_saved(job) else words.UP_NEXT


def kind(job: Job) -> str:
    """The state, as far as it decides what can be done; a claimed job that has not begun can be moved and changed."""
    has_begun = job.step > 0 or job.phase not in (None, Phase.ENCODE) or job.is_cancel_requested
    return "next" if job.state is JobState.RUNNING and not has_begun else str(job.state)


def _thumb(job: Job, facts: RowFacts) -> str:
    inner = f'<span class="mark" data-state="{job.state}"></span>'
    if job.state is JobState.DONE and job.id not in facts.gone:
        inner = f'<img src="{result.thumbnail_url(job)}" alt="" loading="lazy">'
    elif job.state is JobState.RUNNING and job.preview:
        inner = f'<img src="{result.preview_url(job)}" alt="" class="preview">'
    label = words.OPEN_JOB_ID.format(id=job.id)
    return (
        f'<button type="button" class="thumb" tabindex="-1" data-act="open" data-batch="{escape(job.batch)}" '
        f'data-job="{job.id}" aria-label="{label}">{inner}</button>'
    )


def _progress(job: Job) -> str:
    if not result.is_at_work(job):
        return ""
    return f'<span class="bar" style="--part:{result.denoised(job):.3f}"></span>'


def _when(job: Job, facts: RowFacts) -> str:
    """When it will be done, or when it ended."""
    if job.state.is_end:
        return f'<time data-ended="{job.finished_at or 0:.0f}"></time>'
    forecast = facts.forecast.of(job.id)
    if forecast is None:
        return "<time></time>"
    starts, ends = facts.now + forecast.start_in, facts.now + forecast.finish_in
    return f'<time data-starts="{starts:.0f}" data-ends="{ends:.0f}"></time>'
