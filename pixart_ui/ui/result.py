"""What the right side shows, as HTML: the picture or its preview, how far it is, what can be done with it, and the
strip of recent pictures. Pure functions of jobs; the numbers that change have fixed widths, so that nothing jumps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.ui import account, sharing_links, words
from pixart_ui.ui.fragments import button

PHASES = tuple(Phase)
# What the worker of a running job says of itself; see `jobs/worker.py`.
News = Mapping[str, Any]


def picture_url(job: Job, folder: str = "pictures") -> str:
    """The file as it is on disk; made again under its name it has another address, so that browsers may keep it."""
    place = f"comparisons/{job.trial.comparison}/{folder}" if job.trial is not None else folder
    return f"/{place}/{quote(job.image or '', safe='')}?at={job.attempt}.{job.finished_at or 0:.0f}"


def thumbnail_url(job: Job) -> str:
    return picture_url(job, "thumbnails")


def preview_url(job: Job) -> str:
    """The preview's address changes with each step, so that browsers fetch it again."""
    return f"/previews/{quote(job.preview or '', safe='')}?at={job.attempt}.{job.step}"


def is_at_work(job: Job) -> bool:
    """Whether the engine works on this very picture; the others of its group are claimed and wait."""
    return job.state is JobState.RUNNING and (job.phase is not None or job.step > 0)


def is_being_saved(job: Job) -> bool:
    """The engine is done with it, its file is being written."""
    return job.state is JobState.RUNNING and job.phase is None and job.step >= job.request.steps


def nothing_yet() -> str:
    """What stands there until the page has asked for the first time: as tall as what follows."""
    return '<div class="picture"><figure class="frame"><a><span class="blank"></span></a></figure></div>'


def empty_stage(examples: Sequence[str]) -> str:
    tries = "".join(f"<li>{button(text, 'try', css='example', prompt=text)}</li>" for text in examples)
    return (
        f'<div class="empty"><h2>{words.EMPTY_TITLE}</h2><p>{words.EMPTY_TEXT}</p>'
        f'<ul aria-label="{words.EXAMPLES}">{tries}</ul></div>'
    )


def stage(focus: Job, batch: Sequence[Job], *, is_on_disk: bool, has_engine: bool, is_paused: bool, news: News) -> str:
    """The picture in focus, its progress and actions, and the other pictures of its request.

    `news` is what its worker says, empty where none works on it.
    """
    preparing = news.get("preparing") if focus.phase is not None else None
    waiting = words.WAITING_PAUSED if is_paused else words.WAITING_TURN if has_engine else words.WAITING_FOR_ENGINE
    return (
        f'<div class="picture{" several" if len(batch) > 1 else ""}" data-state="{focus.state}" data-job="{focus.id}">'
        f"{_frame(focus, is_on_disk=is_on_disk)}"
        f"{_tiles(focus, batch) if len(batch) > 1 else ''}"
        f"{_phases(focus, preparing)}"
        f'<div class="now">{_sentence(focus, preparing, waiting, is_on_disk=is_on_disk)}'
        f"{_actions(focus, batch, is_on_disk=is_on_disk)}</div>"
        f"{account.notes(_notes(focus, news))}"
        f"{_caption(focus)}"
        f'<div class="how">{account.account(focus)}</div>'
        "</div>"
    )


def strip(jobs: Sequence[Job], focus: Job | None) -> str:
    """Recent pictures, newest first; those being made stand in front."""
    if not jobs:
        return f'<h2>{words.RECENT}</h2><p class="subdued">{words.RECENT_EMPTY}</p>'
    tiles = "".join(f"<li>{_tile(job, is_current=focus is not None and job.id == focus.id)}</li>" for job in jobs)
    return f'<h2>{words.RECENT}</h2><ul class="tiles">{tiles}</ul>'


def _frame(job: Job, *, is_on_disk: bool) -> str:
    request = job.request
    size = f'width="{request.width}" height="{request.height}"'
    link = ""
    if job.state is JobState.DONE and is_on_disk:
        link = f' href="{picture_url(job)}" target="_blank" rel="noopener"'
        inner = f'<img src="{picture_url(job)}" alt="{escape(request.prompt)}" class="final" {size}>'
    elif job.state is JobState.RUNNING and job.preview:
        alt = escape(words.PREVIEW_ALT.format(prompt=request.prompt))
        inner = f'<img src="{preview_url(job)}" alt="{alt}" class="preview" {size}>'
    else:
        inner = '<span class="blank"></span>'
    style = f"--w:{request.width};--h:{request.height}"
    return f'<figure class="frame" style="{style}"><a{link}>{inner}</a></figure>'


def _tiles(focus: Job, batch: Sequence[Job]) -> str:
    tiles = "".join(f"<li>{_tile(job, is_current=job.id == focus.id)}</li>" for job in batch)
    return f'<ul class="tiles batch" aria-label="{words.TILES}">{tiles}</ul>'


def _tile(job: Job, *, is_current: bool) -> str:
    if job.state is JobState.DONE:
        inner = f'<img src="{thumbnail_url(job)}" alt="" loading="lazy">'
    elif job.state is JobState.RUNNING and job.preview:
        inner = f'<img src="{preview_url(job)}" alt="" class="preview">'
    else:
        inner = f'<span class="mark" data-state="{job.state}"></span>'
    if is_at_work(job):
        inner += f'<span class="bar" style="--part:{denoised(job):.2f}"></span>'
    label = escape(words.SHOW_PICTURE.format(prompt=job.request.prompt))
    current = ' aria-current="true"' if is_current else ""
    return (
        f'<button type="button" class="tile" data-act="show" data-batch="{escape(job.batch)}" data-job="{job.id}" '
        f'aria-label="{label}" title="{escape(job.request.prompt)}"{current}>{inner}</button>'
    )


def denoised(job: Job) -> float:
    """How much of the denoising is done, from 0 to 1."""
    if job.phase is Phase.DECODE:
        return 1.0
    return min(1.0, job.step / job.request.steps) if job.request.steps else 0.0


def _phases(job: Job, preparing: News | None) -> str:
    phases = "".join(_phase(job, phase, preparing) for phase in PHASES)
    return f'<ol class="phases" aria-hidden="true">{phases}</ol>'


def _phase(job: Job, phase: Phase, preparing: News | None) -> str:
    state = _phase_state(job, phase)
    part = denoised(job) if phase is Phase.DENOISE else 1.0
    if preparing is not None:
        part = preparing["done_bytes"] / max(1, preparing["total_bytes"])
    steps = f"{job.step}/{job.request.steps}" if phase is Phase.DENOISE and state == "now" else ""
    number = measured(job, phase) or steps
    filled = part if state == "now" else float(state == "done")
    return (
        f'<li data-phase="{phase}" data-is="{state}" style="--part:{filled:.3f}">'
        f'<span class="name">{words.PHASES[phase]}</span><span class="num">{number}</span>'
        f'<span class="bar"></span></li>'
    )


def _phase_state(job: Job, phase: Phase) -> str:
    if job.state is JobState.DONE or is_being_saved(job):
        return "done"
    if job.state is not JobState.RUNNING or job.phase is None:
        return "ahead"
    now, this = PHASES.index(job.phase), PHASES.index(phase)
    return "done" if this < now else "now" if this == now else "ahead"


def measured(job: Job, phase: Phase) -> str:
    """What a phase took, from what the finished picture carries; empty where that says nothing."""
    measurement = (job.facts or {}).get("measurements", {}).get(phase)
    if measurement is None:
        return ""
    return words.CACHED if measurement.get("is_cached") else words.SECONDS.format(seconds=measurement["seconds"])


def seconds_taken(job: Job) -> float:
    """What a finished picture took: from claim to file, or its own phases where it waited for others in a group."""
    facts = job.facts or {}
    group_size, measurements = facts.get("group_size", 1), facts.get("measurements", {})
    if group_size == 1 or not measurements:
        return (job.finished_at or 0.0) - (job.started_at or 0.0)
    seconds = {phase: float(measured["seconds"]) for phase, measured in measurements.items()}
    return sum(seconds.values()) - seconds.get(Phase.ENCODE, 0.0) * (1 - 1 / group_size)


def _notes(job: Job, news: News) -> object:
    """What did not go as planned: of the group while it is made, then what the picture itself says."""
    if is_at_work(job):
        return news.get("notes")
    return (job.facts or {}).get("notes")


def _sentence(job: Job, preparing: News | None, waiting: str, *, is_on_disk: bool) -> str:
    is_problem = job.state is JobState.FAILED or (job.state is JobState.DONE and not is_on_disk)
    text = words.FILE_GONE if is_problem and job.state is JobState.DONE else _where(job, preparing, waiting)
    kind = "sentence problem" if is_problem else "sentence"
    heard = _heard(job, text, preparing)
    return f'<p class="{kind}" aria-hidden="true">{escape(text)}</p><p class="unseen" role="status">{escape(heard)}</p>'


def _heard(job: Job, text: str, preparing: News | None) -> str:
    """The same for those who listen: of what goes on step by step only each quarter."""
    if job.state is not JobState.RUNNING or job.is_cancel_requested:
        return text
    if preparing is not None:
        done, total = preparing["done_bytes"], max(1, preparing["total_bytes"])
        return words.PREPARING.format(what=_prepared(job, preparing), amount=words.quarters(done / total))
    return words.DENOISED.format(share=words.quarters(denoised(job))) if job.phase is Phase.DENOISE else text


def _where(job: Job, preparing: News | None, waiting: str) -> str:
    """Where the job is, in words; `waiting` are those for one that has not begun."""
    match job.state:
        case JobState.QUEUED:
            return waiting
        case JobState.RUNNING:
            return _running_sentence(job, preparing)
        case JobState.DONE:
            return words.DONE.format(seconds=seconds_taken(job))
        case JobState.CANCELLED:
            return words.CANCELLED
        case JobState.FAILED:
            return job.error or words.FAILED


def _running_sentence(job: Job, preparing: News | None) -> str:
    if job.is_cancel_requested:
        return words.CANCELLING
    if preparing is not None:
        return _preparing(job, preparing)
    match job.phase:
        case Phase.ENCODE:
            now = words.ENCODING
        case Phase.DENOISE:
            now = words.DENOISING.format(step=job.step, steps=job.request.steps)
        case Phase.DECODE:
            now = words.DECODING
        case None:
            now = words.SAVING if is_being_saved(job) else words.WAITING_TURN
    return f"{now} {words.RESTARTED}" if job.attempt > 1 else now


def _preparing(job: Job, preparing: News) -> str:
    """The first use of a precision converts weights, which takes minutes."""
    amount = words.part_of(preparing["done_bytes"], preparing["total_bytes"])
    return words.PREPARING.format(what=_prepared(job, preparing), amount=amount)


def _prepared(job: Job, preparing: News) -> str:
    what = words.PREPARED.get(preparing["component"], words.PREPARED_ELSE)
    return what.format(precision=job.request.precision)


def _actions(focus: Job, batch: Sequence[Job], *, is_on_disk: bool) -> str:
    parts = []
    open_jobs = [job for job in batch if not job.state.is_end]
    if open_jobs:
        ids = ",".join(str(job.id) for job in open_jobs)
        parts.append(button(words.CANCEL, "cancel", keys=words.CANCEL_KEYS, jobs=ids))
    if focus.state is JobState.DONE and is_on_disk:
        name = escape(focus.image or "")
        parts.append(f'<a class="quiet" href="{picture_url(focus)}" download="{name}">{words.DOWNLOAD}</a>')
        parts.append(sharing_links.of_picture(focus.image or "", picture_url(focus), is_run=focus.trial is not None))
    if focus.state.is_end:
        parts.append(button(words.REUSE_SETTINGS, "reuse", job=focus.id))
        parts.append(button(words.REUSE_SEED, "seed", job=focus.id))
        parts.append(button(words.COMPARE_THIS, "compare-this", job=focus.id))
    return f'<div class="actions">{"".join(parts)}</div>'


def _caption(job: Job) -> str:
    request = job.request
    style = [request.style] if request.style is not None else []
    guidance = words.setting("guidance_scale", request.guidance_scale) if request.is_guided else words.NO_GUIDANCE
    transformer = [] if request.is_transformer_usual else [("transformer_precision", request.transformer_precision)]
    settings = [
        *style,
        words.size_label(request.width, request.height),
        words.num_steps(request.steps),
        guidance,
        str(request.scheduler),
        str(request.precision),
        *(words.setting(*each) for each in transformer),
        *([words.COMPILED] if request.compile_blocks else []),
        words.setting("seed", request.seed),
    ]
    details = "".join(f"<li>{escape(text)}</li>" for text in settings)
    said = f'<p class="said">{escape(request.prompt)}</p>'
    return f'<div class="caption">{said}<ul class="details">{details}</ul></div>'
