"""T5 alone on our engine: the texts of four new prompts, streamed in little memory, and whole from the store.

All parts share one process, each with an engine of its own that begins with nothing on the device; torch's peaks are
set back between them. `seconds` run from asking the engine to the end of its encode phase. The first time brings the
weights; `warm` ones are new prompts afterwards. Of a part that is whole, the first time is one short text: what it
takes is T5's way from the store to the device, and that text.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.job import CellJob, prompt
from bench.ours import as_prediction, open_engine, plan_of, requests
from bench.recorder import peaks, reset_peaks
from pixart_ui import prediction
from pixart_ui.byte_size import MIB, parse_bytes
from pixart_ui.catalog import from_folder
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.engine import Engine
from pixart_ui.errors import BudgetTooSmall, PixArtError
from pixart_ui.events import ImageFailed, Phase, PhaseFinished, Planned
from pixart_ui.request import Numerics, Precision, ResolvedRequest

NUM_PROMPTS, NUM_WARM = 4, 3
# By how much a budget grows that was too small, and how often.
BUDGET_STEP, MAX_STEPS = 1.03, 20
# A text of a word or two, without a second one for guidance.
SHORT = {"guidance_scale": 0}


@dataclass(frozen=True)
class Part:
    """One way to have T5. `budget` None with `is_least` is the least that any plan needs, else all that is free."""

    name: str
    precision: Precision
    numerics: Numerics = Numerics.FAST
    budget: str | None = None
    is_least: bool = False

    @property
    def is_whole(self) -> bool:
        return self.budget is None and not self.is_least


PARTS = (
    Part("fp16 streamed, 1.2 GiB", Precision.FP16, budget="1.2GiB"),
    Part("fp16 streamed, 1.2 GiB, exact", Precision.FP16, Numerics.EXACT, budget="1.2GiB"),
    Part("nf4 streamed, least", Precision.NF4, is_least=True),
    Part("int8 streamed, least", Precision.INT8, is_least=True),
    Part("nf4 whole", Precision.NF4),
    Part("int8 whole", Precision.INT8),
    Part("fp16 whole", Precision.FP16),
)


def prepare(job: CellJob) -> None:
    """Before the clock: T5 in every form that is wanted."""
    engine = open_engine(job, None)
    for precision in dict.fromkeys(part.precision for part in PARTS):
        engine.prepare(_requests(job, Part("", precision), [prompt(0)]))
    engine.close()


def run(job: CellJob) -> dict[str, Any]:
    """The row's `parts`: each with what was measured, or the error that ended it."""
    return {"parts": [_measured(job, part) for part in PARTS]}


def predict(job: CellJob) -> dict[str, Any]:
    """Each part's plan for its first texts, by the part's name."""
    return {part.name: plan_of_part(job, part) for part in PARTS}


def plan_of_part(job: CellJob, part: Part) -> dict[str, Any]:
    engine = open_engine(job, budget_of(job, part))
    try:
        return plan_of(engine, _requests(job, part, _prompts(0)))
    finally:
        engine.close()


def budget_of(job: CellJob, part: Part) -> str | None:
    """What the part's engine may use; the least is found by asking the planner."""
    if not part.is_least or job.device == "cpu":
        return part.budget
    wanted = _requests(job, part, _prompts(0))
    budget = f"{_least_bytes(job, wanted) / MIB:.0f}MiB"
    for _ in range(MAX_STEPS):
        engine = open_engine(job, budget)
        try:
            plan_of(engine, wanted)
        except BudgetTooSmall:
            budget = _more(budget)
        else:
            return budget
        finally:
            engine.close()
    raise RuntimeError(f"no plan with {budget}")


def _more(budget: str) -> str:
    return f"{parse_bytes(budget) * BUDGET_STEP / MIB:.0f}MiB"


def _least_bytes(job: CellJob, wanted: Sequence[ResolvedRequest]) -> int:
    """For texts of usual length; those of the part may need a little more."""
    engine = open_engine(job, None)
    info = engine.info()
    engine.close()
    demand = prediction.demand_of(wanted, from_folder(job.checkpoint), is_cpu=prediction.is_cpu(info))
    table = Table.load(job.calibration) if job.calibration is not None else Table()
    return prediction.predict(replace(demand, num_texts=NUM_PROMPTS + 1), info, table).least_bytes


def _measured(job: CellJob, part: Part) -> dict[str, Any]:
    row: dict[str, Any] = {"name": part.name, "numerics": part.numerics.value, "error": None}
    try:
        budget = budget_of(job, part)
        for _ in range(MAX_STEPS):
            found = _at_budget(job, part, budget)
            if found is not None:
                return row | found
            assert budget is not None
            budget = _more(budget)
        raise RuntimeError(f"{budget} do not do")
    except (PixArtError, RuntimeError) as error:
        return row | {"error": f"{type(error).__name__}: {error}"}


def _at_budget(job: CellJob, part: Part, budget: str | None) -> dict[str, Any] | None:
    """None where the least that the planner named is a little too small: libraries take some of it, sooner or later."""
    engine = open_engine(job, budget)
    try:
        found = _encoded(engine, lambda prompts, **asked: _requests(job, part, prompts, **asked), part)
    except BudgetTooSmall:
        if not part.is_least:
            raise
        return None
    finally:
        engine.close()
    return {"budget": budget} | found


def _encoded(engine: Engine, make: Callable[..., tuple[ResolvedRequest, ...]], part: Part) -> dict[str, Any]:
    """First and warm times, and the most that torch had reserved meanwhile."""
    reset_peaks()
    short = make(["fox"], **SHORT)
    first = encode(engine, short if part.is_whole else make(_prompts(0)))
    warm = [encode(engine, make(_prompts(1 + number))) for number in range(NUM_WARM)]
    reserved = [found["peak_reserved_bytes"] for found in (first, *warm)]
    return {
        "first": first,
        "warm": warm,
        "warm_seconds": statistics.median(found["seconds"] for found in warm),
        "peak_reserved_bytes": max(reserved) if None not in reserved else peaks()[1],
    }


def encode(engine: Engine, wanted: Sequence[ResolvedRequest]) -> dict[str, Any]:
    """Run the group's encode phase alone. Raises RuntimeError where it fails."""
    found: dict[str, Any] = {}
    started = time.perf_counter()
    running = engine.run(wanted, lambda index: False)
    for event in running:
        if isinstance(event, Planned):
            found["predicted"] = as_prediction(event.plan)
        elif isinstance(event, ImageFailed):
            raise RuntimeError(event.message)
        elif isinstance(event, PhaseFinished) and event.measurement.phase is Phase.ENCODE:
            found["seconds"] = time.perf_counter() - started
            found |= {"load_seconds": event.measurement.load_seconds}
            found |= {"peak_reserved_bytes": event.measurement.peak_reserved_bytes}
            found |= {"weight_bytes": event.measurement.weight_bytes}
            break
    running.close()  # type: ignore[attr-defined]
    return found


def _requests(job: CellJob, part: Part, prompts: Sequence[str], **asked: Any) -> tuple[ResolvedRequest, ...]:
    common = {"steps": job.steps, "width": job.size, "height": job.size}
    own = {"precision": part.precision, "numerics": part.numerics}
    return requests(from_folder(job.checkpoint), prompts, seed=0, **(common | own | asked))


def _prompts(group: int) -> list[str]:
    return [prompt(NUM_PROMPTS * group + index) for index in range(NUM_PROMPTS)]
