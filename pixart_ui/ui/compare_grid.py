"""The grid of a comparison: a picture for each run, with what it took and how far it is from the reference.

Columns stand in the order of memory once all is measured, and in that of the sweep until then, so that nothing jumps.
A run that gave no picture says why. Pure functions; prompts and reasons are escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from urllib.parse import quote

from pixart_ui.byte_size import show_bytes
from pixart_ui.compare.comparison import Comparison, Result
from pixart_ui.compare.report_words import floor_note
from pixart_ui.compare.summary import Floor, column_values, columns, floor
from pixart_ui.compare.sweep import Cell, Role, label_of
from pixart_ui.compare.timelines import memory_kind
from pixart_ui.compare.verdict import failure_in_words, share_in_short
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.ui import result as single
from pixart_ui.ui import words

# Of many prompts the first few are shown, the others when they are asked for.
MANY_PROMPTS, NUM_SHOWN = 6, 4
USUAL_SIZE = (1, 1)


def grid(comparison_id: str, comparison: Comparison, jobs: Mapping[str, Job]) -> str:
    drawn = _Drawn(comparison_id, comparison, jobs)
    rows = list(drawn.rows())
    num_shown = NUM_SHOWN if len(rows) > MANY_PROMPTS else MANY_PROMPTS
    rest = ""
    if len(rows) > num_shown:
        summary = words.COMPARE_OTHER_PROMPTS.format(count=len(rows) - num_shown)
        others = "".join(rows[num_shown:])
        rest = f'<details class="names-of more" data-keep="rows"><summary>{summary}</summary>{others}</details>'
    notes = (
        f"{words.COMPARE_BAR_MEMORY}: {memory_kind(comparison)}. {floor_note(comparison)}" if comparison.results else ""
    )
    return (
        f'<div class="rows"><div class="line"><h3>{words.COMPARE_PICTURES}</h3>'
        f'<p class="hint" id="pick-hint" role="status">{words.COMPARE_PICK_HINT}</p></div>'
        f"{''.join(rows[:num_shown])}{rest}"
        f'<p class="hint">{escape(notes)}</p></div>'
    )


class _Drawn:
    """One comparison's cells as HTML, with what they are drawn on the scale of."""

    def __init__(self, comparison_id: str, comparison: Comparison, jobs: Mapping[str, Job]) -> None:
        self._id = comparison_id
        self._comparison = comparison
        self._jobs = jobs
        self._known = comparison.by_key
        self._noise = floor(comparison)
        self._highest = max((one.memory.bytes for one in comparison.results if one.memory is not None), default=0)

    def rows(self) -> Iterator[str]:
        """A row for each prompt."""
        places = self._places()
        cells = self._comparison.sweep.cells()
        for index, prompt in enumerate(self._comparison.sweep.prompts):
            own = [cell for cell in cells if cell.prompt_index == index]
            shown = [cell for cell in own if cell.role is Role.CELL]
            if places:
                shown.sort(key=lambda cell: places[_column(self._comparison, cell)])
            yield self._row(prompt, shown, [cell for cell in own if cell.role is not Role.CELL])

    def _places(self) -> Mapping[tuple[str, ...], int]:
        """Each column's place in the order of memory, the most first; none while runs are missing."""
        if self._comparison.missing:
            return {}
        found = columns(self._comparison)
        ordered = sorted(found, key=lambda one: (one.memory is None, -(one.memory.bytes if one.memory else 0)))
        return {tuple(one.values.values()): place for place, one in enumerate(ordered)}

    def _row(self, prompt: str, cells: Sequence[Cell], noise: Sequence[Cell]) -> str:
        cards = "".join(self._card(cell, prompt) for cell in cells)
        small = "".join(self._card(cell, prompt) for cell in noise)
        scale = f'<div class="scale-of"><p class="short">{words.COMPARE_SCALE}</p>{small}</div>' if small else ""
        return (
            f'<section class="prompt-row"><h4>{escape(prompt)}</h4>'
            f'<div class="cards" data-keyed style="--n:{min(len(cells), 6)}">{cards}</div>{scale}</section>'
        )

    def _card(self, cell: Cell, prompt: str) -> str:
        found, job = self._known.get(cell.key), self._jobs.get(cell.key)
        if found is not None and found.is_done and found.image is not None:
            return self._picture(cell, found, found.image, prompt)
        state, inner = self._pending(cell, job) if found is None else (str(found.state), _no_picture(cell, found))
        return f'<figure class="card" data-key="{cell.key}" data-state="{state}">{inner}</figure>'

    def _picture(self, cell: Cell, found: Result, image: str, prompt: str) -> str:
        source = picture_url(self._id, image, found.pixels_sha256)
        memory = show_bytes(found.memory.bytes) if found.memory is not None else ""
        facts = " · ".join(part for part in (memory, _seconds(found), self._distance(found)) if part)
        width, height = found.request.size if found.request is not None else USUAL_SIZE
        share = found.memory.bytes / self._highest if found.memory is not None and self._highest else 0.0
        column = f' data-column="{escape(cell.label)}"' if cell.role is Role.CELL else ""
        label = escape(words.COMPARE_PICK.format(name=cell.label, prompt=prompt))
        return (
            f'<figure class="card" data-key="{cell.key}" data-state="done"{column}>'
            f'<button type="button" class="pickable" data-act="pick" data-run="{cell.key}" data-src="{escape(source)}" '
            f'data-name="{escape(cell.label)}" data-facts="{escape(facts)}" data-row="{cell.prompt_index}" '
            f'aria-pressed="false">'
            f'<img src="{escape(source)}" alt="{label}" width="{width}" height="{height}" loading="lazy">'
            f'<span class="tag" aria-hidden="true"><b>{escape(cell.label)}</b> <span>{memory}</span></span></button>'
            f'<figcaption>{_name(cell)}<span class="bar" style="--part:{share:.4f}"></span>'
            f'<span class="num">{_seconds(found)}</span> <span class="short">{escape(self._distance(found))}</span>'
            "</figcaption></figure>"
        )

    def _pending(self, cell: Cell, job: Job | None) -> tuple[str, str]:
        """A run that has no result yet: where it is in the queue, its preview while it is drawn."""
        is_at_work = job is not None and single.is_at_work(job)
        preview = ""
        if job is not None and is_at_work and job.preview:
            preview = f'<img class="preview" src="{single.preview_url(job)}" alt="">'
        part = f'<span class="bar" style="--part:{single.denoised(job):.3f}"></span>' if job and is_at_work else ""
        inner = (
            f'<div class="blank">{preview}<span class="tag"><b>{escape(cell.label)}</b></span></div>'
            f'<figcaption>{_name(cell)}{part}<span class="short">{_where(job)}</span></figcaption>'
        )
        return ("running" if is_at_work else "waiting"), inner

    def _distance(self, found: Result) -> str:
        """How far it is from the reference, in few words; nothing where the weights are random."""
        if found.is_reference:
            return words.COMPARE_IS_REFERENCE
        if found.quality is None or not self._comparison.has_quality:
            return ""
        if found.quality.is_identical:
            return words.COMPARE_IDENTICAL
        return _far(found, self._noise)


def picture_url(comparison_id: str, image: str, pixels: str | None) -> str:
    """Where the picture is; drawn again it has another address, so that browsers may keep it."""
    return f"/comparisons/{quote(comparison_id)}/{quote(image)}?at={(pixels or '')[:12]}"


def _name(cell: Cell) -> str:
    """Beside the small pictures of the scale, where nothing is written on them."""
    return f"<b>{escape(cell.label)}</b>" if cell.role is not Role.CELL else ""


def _column(comparison: Comparison, cell: Cell) -> tuple[str, ...]:
    return tuple(column_values(comparison.sweep, cell.values).values())


def _far(found: Result, noise: Floor) -> str:
    levels = found.quality.rms_levels if found.quality is not None else 0.0
    share = noise.share(levels) if found.role is not Role.OTHER_SEED else None
    return share_in_short(share) if share is not None else words.COMPARE_LEVELS.format(levels=levels)


def _seconds(found: Result) -> str:
    return f"{found.seconds:.1f} s" if found.seconds is not None else ""


def _no_picture(cell: Cell, found: Result) -> str:
    """Why there is none, as a sentence."""
    why = words.COMPARE_NO_PICTURE if found.is_done else failure_in_words(found)
    return (
        f'<div class="blank why"><b>{escape(label_of(cell.values, cell.role))}</b>'
        f"<p>{escape(words.as_sentence(why))}</p></div>"
    )


def _where(job: Job | None) -> str:
    if job is None or job.state is JobState.CANCELLED:
        return words.COMPARE_NOT_RUN
    if job.state is not JobState.RUNNING or not single.is_at_work(job):
        return words.COMPARE_WAITING
    if job.phase is None:
        return words.SAVING_SHORT
    if job.phase == "denoise":
        return words.DENOISE_STEP.format(step=job.step, steps=job.request.steps)
    return words.PHASES[job.phase]
