"""When each job of the queue will begin and end, as far as planner and measurements can say. Pure: no torch, no disk.

The queue is walked as workers will: groups formed by turns of the owners, each group taken by the worker that is free
first. `services.forecast()` gives one for the present state of the journal. It is a prediction: what was never measured
counts with the planner's formulas, every prompt as one that T5 has not seen yet, and nothing is known of what people
will add. Times are seconds from the moment that it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapreplace
from itertools import chain
from typing import NamedTuple

from pixart_ui.events import Phase
from pixart_ui.jobs.grouping import Group, Groups
from pixart_ui.jobs.open_work import OpenWork, RunningJob


@dataclass(frozen=True)
class PictureSeconds:
    """What a picture of one kind takes on one device.

    `encode` is its own share of encoding; `encode_pass` comes once a group, however many pictures it has, and `load`
    once a group before which other weights were there. `is_estimate`: not all of it was measured on that device.
    """

    encode: float = 0.0
    step: float = 0.0
    steps: int = 1
    decode: float = 0.0
    encode_pass: float = 0.0
    load: float = 0.0
    is_estimate: bool = False

    @property
    def denoise(self) -> float:
        return self.step * self.steps


_Plain = tuple[float, float, float, float, float]


class GroupSeconds(NamedTuple):
    """What a group takes on one device; `key` says which weights it needs, `load` is there unless they are."""

    key: str
    encode: float
    denoise: float
    decode: float
    load: float


@dataclass(frozen=True)
class WorkerPace:
    """A live worker: what open jobs take there, by their cost keys, and the waiting groups.

    `loaded` is the group key of the weights on its device, None where that is not known; `elapsed` are the seconds for
    which its running jobs have been seen where they are now. One that is not `is_taking` ends what it runs.
    """

    id: str
    kinds: Mapping[str, PictureSeconds]
    groups: Sequence[GroupSeconds]
    loaded: str | None = None
    elapsed: float = 0.0
    is_taking: bool = True


@dataclass(frozen=True)
class JobForecast:
    """Seconds from now. A job starts when its group does, or when the one before it in the group is done."""

    start_in: float
    finish_in: float


@dataclass(frozen=True)
class Forecast:
    """`seconds_left` is until all that is open has ended; None while no worker runs, it is paused or nothing is open.

    `by_phase` is what is left to do, in seconds of work of all workers; loading weights counts to the phase that waits
    for them. `is_estimate` says that some of it was never measured on its device.
    """

    seconds_left: float | None = None
    by_phase: Mapping[Phase, float] = field(default_factory=lambda: dict.fromkeys(Phase, 0.0))
    is_estimate: bool = False
    running: Mapping[int, JobForecast] = field(default_factory=dict, repr=False)
    waiting: Timeline | None = field(default=None, repr=False)

    def of(self, job_id: int) -> JobForecast | None:
        """None where nothing can be said: the job has ended, or nobody will run it as things are."""
        found = self.running.get(job_id)
        return found if found is not None or self.waiting is None else self.waiting.of(job_id)


@dataclass(frozen=True)
class Timeline:
    """When the waiting groups begin, how long their weights load first, and what their pictures take there."""

    groups: Groups
    starts: Sequence[float]
    loads: Sequence[float]
    kinds: Sequence[Mapping[str, PictureSeconds]]

    def of(self, job_id: int) -> JobForecast | None:
        number = self.groups.number_of.get(job_id)
        if number is None:
            return None
        group, kinds = self.groups.groups[number], self.kinds[number]
        found = [kinds[row[3]] for row in group]
        begin, at = self.starts[number], self.starts[number] + self.loads[number] + _encode_seconds(found)
        for row, kind in zip(group, found, strict=True):
            end = at + kind.denoise + kind.decode
            if row[0] == job_id:
                return JobForecast(begin, end)
            begin = at = end
        return None


def forecast(work: OpenWork, groups: Groups, workers: Sequence[WorkerPace]) -> Forecast:
    """What comes of all that is open if these workers go on; `groups` are those of `work.waiting`."""
    has_waiting = work.pause_reason is None and bool(groups.groups)
    left = [_running_left(worker, [job for job in work.running if job.worker == worker.id]) for worker in workers]
    by_phase = {phase: sum(part.by_phase[phase] for part in left) for phase in Phase}
    running = dict(chain.from_iterable(part.jobs.items() for part in left))
    timeline, end = None, max((part.seconds for part in left), default=0.0)
    taking = [place for place, worker in enumerate(workers) if worker.is_taking]
    if taking and has_waiting:
        free_in = [left[place].seconds for place in taking]
        timeline, end_of_waiting = _assign(groups, [workers[place] for place in taking], free_in, by_phase)
        end = max(end, end_of_waiting)
    is_known = work.pause_reason is None and bool(running or timeline is not None)
    return Forecast(
        end if is_known else None,
        by_phase,
        any(kind.is_estimate for worker in workers for kind in worker.kinds.values()),
        running,
        timeline,
    )


# What runs


@dataclass(frozen=True)
class _RunningLeft:
    """What is left of the jobs that a worker has claimed."""

    seconds: float
    by_phase: Mapping[Phase, float]
    jobs: Mapping[int, JobForecast]


def _running_left(worker: WorkerPace, jobs: Sequence[RunningJob]) -> _RunningLeft:
    """The one that is furthest comes first, those that only wait keep their order."""
    at = encode = _encode_left(worker, jobs)
    by_phase = {Phase.ENCODE: encode, Phase.DENOISE: 0.0, Phase.DECODE: 0.0}
    found: dict[int, JobForecast] = {}
    for job in sorted(jobs, key=_is_begun, reverse=True):
        denoise, decode = _picture_left(job, worker.kinds[job.cost_key], worker.elapsed)
        begin, at = 0.0 if not found or _is_begun(job) else at, at + denoise + decode
        found[job.id] = JobForecast(begin, at)
        by_phase[Phase.DENOISE] += denoise
        by_phase[Phase.DECODE] += decode
    return _RunningLeft(at, by_phase, found)


def _is_begun(job: RunningJob) -> bool:
    """Whether the engine works, or has worked, on this very picture."""
    return job.step > 0 or job.phase in (Phase.DENOISE, Phase.DECODE)


def _encode_left(worker: WorkerPace, jobs: Sequence[RunningJob]) -> float:
    """Encoding is for the whole group, before its first picture."""
    if not jobs or any(_is_begun(job) for job in jobs):
        return 0.0
    return max(0.0, _encode_seconds([worker.kinds[job.cost_key] for job in jobs]) - worker.elapsed)


def _picture_left(job: RunningJob, kind: PictureSeconds, elapsed: float) -> tuple[float, float]:
    """Seconds of denoising and of decoding. `elapsed` has passed in the present step or phase."""
    is_being_saved = job.phase is None and job.step > 0
    if is_being_saved or job.is_cancel_requested:
        return 0.0, 0.0
    if job.phase is Phase.DECODE:
        return 0.0, max(0.0, kind.decode - elapsed)
    denoise = kind.step * max(0, kind.steps - job.step)
    return max(0.0, denoise - min(elapsed, kind.step)) if job.phase is Phase.DENOISE else denoise, kind.decode


# What waits


def _assign(
    groups: Groups, workers: Sequence[WorkerPace], free_in: Sequence[float], by_phase: dict[Phase, float]
) -> tuple[Timeline, float]:
    """Each group goes to the worker that is free first. Adds to `by_phase`; the second value is when all have ended."""
    free = sorted((at, index) for index, at in enumerate(free_in))
    loaded = [worker.loaded for worker in workers]
    timeline = Timeline(groups, starts := [], loads := [], kinds := [])
    for number in range(len(groups.groups)):
        at, index = free[0]
        key, encode, denoise, decode, load = workers[index].groups[number]
        if loaded[index] == key:
            load = 0.0
        loaded[index] = key
        starts.append(at)
        loads.append(load)
        kinds.append(workers[index].kinds)
        by_phase[Phase.ENCODE] += encode
        by_phase[Phase.DENOISE] += load + denoise
        by_phase[Phase.DECODE] += decode
        heapreplace(free, (at + load + encode + denoise + decode, index))
    return timeline, max(at for at, _ in free)


def _encode_seconds(kinds: Sequence[PictureSeconds]) -> float:
    """Of a group of pictures of these kinds."""
    return max(kind.encode_pass for kind in kinds) + sum(kind.encode for kind in kinds)


def group_seconds(groups: Groups, kinds: Mapping[str, PictureSeconds]) -> list[GroupSeconds]:
    """What each takes on a device where pictures take that, by their cost keys."""
    plain = {key: (kind.encode, kind.denoise, kind.decode, kind.encode_pass, kind.load) for key, kind in kinds.items()}
    known: dict[tuple[str, ...], GroupSeconds] = {}
    found = []
    for group in groups.groups:  # there are a thousand, most of them alike
        made_of = (group[0][2], *[row[3] for row in group])
        if made_of not in known:
            known[made_of] = _group_seconds(group, plain)
        found.append(known[made_of])
    return found


def _group_seconds(group: Group, plain: Mapping[str, _Plain]) -> GroupSeconds:
    encode = denoise = decode = encode_pass = load = 0.0
    for _, _, _, kind in group:
        own, drawing, decoding, one_pass, loading = plain[kind]
        encode += own
        denoise += drawing
        decode += decoding
        encode_pass = max(encode_pass, one_pass)
        load = max(load, loading)
    return GroupSeconds(group[0][2], encode_pass + encode, denoise, decode, load)
