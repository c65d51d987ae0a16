"""How many jobs a worker claims at a time: as many as share one load of T5 without making the first picture late.

Plain arithmetic on what the planner predicts; no torch. A larger group costs those who come later nothing, since
between two pictures it makes way, and its texts are kept: only while it encodes do they wait.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixart_ui import prediction
from pixart_ui.catalog import Catalog
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import PixArtError
from pixart_ui.events import Phase
from pixart_ui.request import Numerics, ResolvedRequest
from pixart_ui.settings import MOST_IN_A_GROUP

# So few are claimed without a question: predicting takes longer than it could gain.
FEW = 8
# English has four and a half.
CHARS_A_TOKEN = 3


def choose_size(encode_seconds: Callable[[int], float], picture_seconds: float) -> int:
    """The most jobs, up to a limit, that take no more than one picture's time longer to encode than one job alone.

    `encode_seconds` of so many jobs, loading included, must not fall; `picture_seconds` is one more picture's denoise
    and decode. So an urgent job that comes while a group is encoded waits for a load and one picture's time at most.

    >>> choose_size(lambda jobs: 10 + 0.5 * jobs, picture_seconds=4)
    9
    """
    allowed = encode_seconds(1) + picture_seconds
    return 1 + bisect_right(range(2, MOST_IN_A_GROUP + 1), allowed, key=encode_seconds)


def fair_share(num_open: int, num_workers: int) -> int:
    """How many of the jobs that wait or run one of so many workers takes at most, and at least one.

    What the others have is their part of it: were only those counted that wait, the second of two workers would take a
    quarter, then an eighth, and so on, and every group begins with its texts and ends with a picture being written.

    >>> fair_share(10, 3), fair_share(0, 2)
    (4, 1)
    """
    return max(1, -(-num_open // max(1, num_workers)))


class PredictedSizes:
    """The default size of a group. `info` is what the worker reports of its device."""

    def __init__(self, catalog: Catalog, calibration_path: Path, info: Callable[[], Mapping[str, Any]]) -> None:
        self._catalog = catalog
        self._calibration_path = calibration_path
        self._info = info

    def of(self, request: ResolvedRequest) -> int:
        """For jobs like this one; 1 where nothing can be predicted, as the engine will say why."""
        try:
            info = self._info()
            checkpoint = self._catalog.get(request.checkpoint)
            demand = prediction.demand_of([request], checkpoint, is_cpu=prediction.is_cpu(info))
            limits = replace(
                prediction.limits_of(info, Table.load(self._calibration_path)),
                on_device=prediction.on_device(info, request),
            )

            def seconds(num_jobs: int) -> dict[Phase, float]:
                # The negative prompt is mostly the same for all.
                num_texts = num_jobs + 1 if request.is_guided else num_jobs
                wanted = replace(demand, num_images=num_jobs, num_texts=num_texts, num_tokens=_num_tokens(request))
                plan = planner.choose_plan(wanted, limits)
                return {entry.phase: entry.predicted_seconds for entry in plan.phases}

            one, two = seconds(1), seconds(2)
            picture = sum(two[phase] - one[phase] for phase in (Phase.DENOISE, Phase.DECODE))
            return choose_size(lambda num_jobs: seconds(num_jobs)[Phase.ENCODE], picture)
        except PixArtError:
            return 1


def _num_tokens(request: ResolvedRequest) -> int:
    """Of its prompt, rather too many."""
    if request.numerics is Numerics.EXACT:
        return request.max_tokens
    return min(request.max_tokens, 2 + len(request.full_prompt) // CHARS_A_TOKEN)
