"""What fits in how much: the planner's answers by precision and size for this device, and for cards of other sizes.

Some hundred plans take about a second, so they are made in a thread and kept until the device or what was measured on
it has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from pixart_ui import prediction
from pixart_ui.byte_size import GIB, show_at_least, show_bytes
from pixart_ui.catalog import Checkpoint
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.costs import GPU_GRAIN_BYTES, Demand, Limits
from pixart_ui.errors import BudgetTooSmall
from pixart_ui.events import Phase, Plan, Residency
from pixart_ui.jobs.job import WorkerStatus
from pixart_ui.request import GenerationRequest, Precision, resolve
from pixart_ui.services import Services
from pixart_ui.ui import words as page_words
from pixart_ui.ui.system_parts import section, table
from pixart_ui.ui.words import system as words

BUDGETS = tuple(count * GIB for count in (1, 2, 4, 6, 8, 12, 24))
OTHER_SIZE = "sigma-1024"
# With a floor above this part of what there is, it is tight.
TIGHT_SHARE = 0.5
COMPONENT_OF: Mapping[Phase, str] = {Phase.ENCODE: "text_encoder", Phase.DENOISE: "transformer"}


@dataclass(frozen=True)
class Fit:
    """One plan, or why there is none. `least_bytes` is the smallest budget that any plan of it takes."""

    plan: Plan | None
    least_bytes: int
    budget_bytes: int

    @property
    def kind(self) -> str:
        if self.plan is None:
            return "no"
        return "tight" if self.least_bytes > TIGHT_SHARE * self.budget_bytes else "fits"


class Fits:
    """The tables as HTML. Safe to use from several threads; `section` waits for nothing."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._basis: object = None
        self._html = ""
        self._is_making = False

    def section(self, workers: Sequence[WorkerStatus]) -> str:
        known = [worker.info for worker in workers if "trouble" not in worker.info]
        if not known:
            return section(words.FITS, f'<p class="hint">{words.FITS_NO_WORKER}</p>', css="fits")
        info = max(known, key=prediction.usable_bytes)
        basis = self._basis_of(info)
        with self._lock:
            if basis != self._basis and not self._is_making:
                self._is_making = True
                threading.Thread(target=self._make, args=(info, basis), name="fits", daemon=True).start()
            return (
                self._html if self._html else section(words.FITS, f'<p class="hint">{words.COUNTING}</p>', css="fits")
            )

    def _basis_of(self, info: Mapping[str, Any]) -> object:
        measured = None
        with suppress(OSError):
            measured = self._services.settings.calibration_path.stat().st_mtime_ns
        return info.get("calibration_key"), prediction.usable_bytes(info) // (GIB // 4), measured

    def _make(self, info: Mapping[str, Any], basis: object) -> None:
        try:
            html = render(self._services, info)
        finally:
            with self._lock:
                self._is_making = False
        with self._lock:
            self._basis, self._html = basis, html


def render(services: Services, info: Mapping[str, Any]) -> str:
    """Both tables, for the device of a worker that says `info` of itself."""
    measured = Table.load(services.settings.calibration_path)
    limits, is_cpu = prediction.limits_of(info, measured), prediction.is_cpu(info)
    columns = [entry for entry in services.catalog if entry.family == "sigma" and not entry.is_local]
    columns.sort(key=lambda entry: entry.sample_size)
    rows = {
        precision: [fit(_demand(entry, precision, is_cpu=is_cpu), limits) for entry in columns]
        for precision in Precision
    }
    intro = words.FITS_INTRO.format(device=info.get("name", ""), size=show_bytes(limits.budget_bytes))
    heads = [words.FITS_PRECISION, *(page_words.size_label(*entry.default_size) for entry in columns)]
    here = table(heads, _rows(rows), label=words.FITS, css="fit")
    is_estimate = any(found.plan.is_estimate for fits in rows.values() for found in fits if found.plan is not None)
    notes = f"{words.FITS_LEGEND} {words.FITS_ESTIMATE}" if is_estimate else words.FITS_LEGEND
    return section(words.FITS, f'{here}<p class="hint">{notes}</p>{_others(services, limits)}', intro=intro, css="fits")


def fit(demand: Demand, limits: Limits) -> Fit:
    least = planner.smallest_budget(demand, limits)
    try:
        return Fit(planner.choose_plan(demand, limits), least, limits.budget_bytes)
    except BudgetTooSmall:
        return Fit(None, least, limits.budget_bytes)


def _others(services: Services, limits: Limits) -> str:
    """Cards of other sizes; those of this machine's kind where it has a GPU."""
    entry, calibration = services.catalog.get(OTHER_SIZE), limits.calibration
    card = Limits(is_cpu=False, grain_bytes=GPU_GRAIN_BYTES, ram_bytes=limits.ram_bytes, budget_bytes=0)
    if not limits.is_cpu:
        card = replace(card, calibration=calibration)
    rows = {}
    for precision in Precision:
        demand = _demand(entry, precision, is_cpu=False)
        rows[precision] = [fit(demand, replace(card, budget_bytes=budget)) for budget in BUDGETS]
    heads = [words.FITS_PRECISION, *(f"{budget // GIB} GiB" for budget in BUDGETS)]
    inner = table(heads, _rows(rows), label=words.FITS_OTHER, css="fit")
    return (
        f'<details class="fold" data-keep="fits-other"><summary>{words.FITS_OTHER}</summary>'
        f'<p class="hint">{words.FITS_OTHER_INTRO}</p>{inner}</details>'
    )


def _demand(checkpoint: Checkpoint, precision: Precision, *, is_cpu: bool) -> Demand:
    request = GenerationRequest.parse({"prompt": "any", "checkpoint": checkpoint.name, "precision": precision})
    return prediction.demand_of(resolve(request, checkpoint, None, random_seed=0), checkpoint, is_cpu=is_cpu)


def _rows(rows: Mapping[Precision, Sequence[Fit]]) -> list[str]:
    return [
        f'<tr><th scope="row">{page_words.PRECISION_LABELS[precision]}</th>{"".join(map(_cell, fits))}</tr>'
        for precision, fits in rows.items()
    ]


def _cell(found: Fit) -> str:
    word = f'<b data-fit="{found.kind}">{words.FITS_CELL[found.kind]}</b>'
    if found.plan is None:
        return f"<td>{word}<span>{words.FITS_LEAST.format(size=show_at_least(found.least_bytes))}</span></td>"
    peak = f"{show_bytes(found.plan.predicted_peak_bytes)} · {page_words.duration(found.plan.predicted_seconds)}"
    reasons = escape(" ".join(page_words.as_sentence(entry.reason) for entry in found.plan.phases))
    return f'<td title="{reasons}">{word}<span class="num">{peak}</span><span>{_how(found.plan)}</span></td>'


def _how(plan: Plan) -> str:
    streamed = [name for phase, name in COMPONENT_OF.items() if plan.residency(phase) is Residency.STREAMED]
    parts = [words.FITS_BOTH if len(streamed) == len(COMPONENT_OF) else words.FITS_HOW[next(iter(streamed), "")]]
    if plan.phase(Phase.DECODE).tile is not None:
        parts.append(words.FITS_TILED)
    return ", ".join(parts)
