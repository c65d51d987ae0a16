"""When each job of the queue will begin and end, as far as planner and measurements can say. Pure: no torch, no disk.

`services.forecast()` gives one for the present state of the journal. It is a prediction: a job that was never measured
counts with the planner's formulas, and nothing is known of what people will add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pixart_ui.events import Phase


@dataclass(frozen=True)
class JobForecast:
    """Seconds from now."""

    start_in: float
    finish_in: float


@dataclass(frozen=True)
class Forecast:
    """`seconds_left` is until all that is open has ended; None while no worker runs, it is paused or nothing is open.

    `by_phase` is what is left to do, in seconds of work of all workers. `is_estimate` says that some of it was never
    measured on its device.
    """

    seconds_left: float | None = None
    by_phase: Mapping[Phase, float] = field(default_factory=lambda: dict.fromkeys(Phase, 0.0))
    is_estimate: bool = False
    jobs: Mapping[int, JobForecast] = field(default_factory=dict, repr=False)

    def of(self, job_id: int) -> JobForecast | None:
        """None where nothing can be said: the job has ended, or nobody will run it as things are."""
        return self.jobs.get(job_id)
