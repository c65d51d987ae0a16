"""The workers of one page: a supervised process for each of its devices, or one that speaks for a Ray cluster.

It starts and ends them together and says what is wrong with them in one sentence. Each process has its own lock,
restarts and back-off; they share the journal and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from pixart_ui.cluster.environment import ray_environment
from pixart_ui.devices import found_devices, is_processor
from pixart_ui.gpus import num_gpus
from pixart_ui.jobs.journal import Journal
from pixart_ui.jobs.supervisor import Supervisor, Task, budget_argument, queue_arguments
from pixart_ui.settings import Settings


class Fleet:
    """`start` and `stop` are called once each, `status` from any thread."""

    def __init__(self, settings: Settings, journal: Journal, environ: Mapping[str, str]) -> None:
        """`environ` is the page's own, for how many GPUs and threads may be used."""
        self.supervisors = _supervisors(settings, journal, environ)

    def start(self) -> None:
        """Returns at once; the workers become ready later."""
        for supervisor in self.supervisors:
            supervisor.start()

    def stop(self) -> None:
        """End all workers, at the same time; their unfinished jobs are back in the queue afterwards."""
        for supervisor in self.supervisors:
            supervisor.ask_to_stop()
        for supervisor in self.supervisors:
            supervisor.stop()

    def status(self) -> str | None:
        """Why no worker can run, in a sentence; None while at least one runs, or starts."""
        found = [supervisor.status() for supervisor in self.supervisors]
        return None if None in found else found[0]


def _supervisors(settings: Settings, journal: Journal, environ: Mapping[str, str]) -> list[Supervisor]:
    if settings.cluster is not None:
        return [Supervisor(settings, journal, Task(driver_arguments, ray_environment(settings, environ)))]
    if not settings.devices:
        return [Supervisor(settings, journal)]
    names = found_devices(settings.devices, num_gpus(environ))
    task = Task(environ=_threads(names, environ))
    return [Supervisor(replace(settings, device=name, devices=()), journal, task) for name in names]


def driver_arguments(settings: Settings) -> list[str]:
    """Of `python -m pixart_ui` for the process that speaks for the cluster."""
    return ["driver", f"--cluster={settings.cluster}", *budget_argument(settings), *queue_arguments(settings)]


def _threads(names: tuple[str, ...], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Slots of one processor share its cores; more threads than those would only get in each other's way."""
    num_slots = sum(map(is_processor, names))
    if num_slots < 2 or "OMP_NUM_THREADS" in environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // num_slots))}
