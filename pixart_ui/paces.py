"""What pictures take on a worker's device: asked of the planner once for each kind of picture, then kept.

A kind is everything that decides the seconds but the number of steps, with which denoising grows in proportion. What
is kept is asked again, a few kinds at a time, when the device has learned something or has other memory free: a queue
of many kinds must not hold up the page. No torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixart_ui import prediction
from pixart_ui.catalog import Catalog
from pixart_ui.engine import planner, shapes
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.costs import Demand
from pixart_ui.errors import PixArtError
from pixart_ui.events import Phase, Residency
from pixart_ui.forecast import PictureSeconds
from pixart_ui.jobs.open_work import Cost, read_cost

ASKED_AGAIN_AT_ONCE = 4

# What an answer holds for: the device, what was measured there and when, what is free, and how many make a group.
Conditions = tuple[Any, ...]


@dataclass
class _Device:
    """What is known of one worker's device. `kinds` is a new mapping whenever anything in it changed."""

    kinds: Mapping[str, PictureSeconds] = field(default_factory=dict)
    asked: dict[Cost, tuple[Conditions, PictureSeconds]] = field(default_factory=dict)


class Paces:
    """Used by one thread at a time."""

    def __init__(self, catalog: Catalog, calibration_path: Path) -> None:
        self._catalog = catalog
        self._path = calibration_path
        self._table = Table()
        self._table_stamp = 0
        self._devices: dict[str, _Device] = {}

    def of(
        self, device: str, info: Mapping[str, Any], cost_keys: Collection[str], group_size: int
    ) -> Mapping[str, PictureSeconds]:
        """By cost key, what a picture takes on the device of which its worker says `info`.

        The same object for as long as nothing in it changed.
        """
        known = self._devices.setdefault(device, _Device())
        conditions = (self._read_table(), info.get("calibration_key"), prediction.usable_bytes(info), group_size)
        wanted = {key: read_cost(key) for key in cost_keys}
        kinds = {_kind(cost) for cost in wanted.values()}
        for kind in _due(kinds, known, conditions):
            known.asked[kind] = conditions, self._ask(kind, info, group_size)
        found = {key: replace(known.asked[_kind(cost)][1], steps=cost.steps) for key, cost in wanted.items()}
        if found != known.kinds:
            known.kinds = found
        return known.kinds

    def _read_table(self) -> int:
        """Read the measurements again if their file is another; returns its age."""
        try:
            stamp = self._path.stat().st_mtime_ns
        except OSError:
            stamp = 0
        if stamp != self._table_stamp:
            self._table, self._table_stamp = Table.load(self._path), stamp
        return stamp

    def _ask(self, kind: Cost, info: Mapping[str, Any], group_size: int) -> PictureSeconds:
        """What cannot be made there ends at once: it takes no time."""
        try:
            return self._plan(kind, info, max(2, group_size))
        except PixArtError:
            return PictureSeconds()

    def _plan(self, kind: Cost, info: Mapping[str, Any], num_images: int) -> PictureSeconds:
        """From two plans: of one picture for which nothing is there yet, and of a group after another like it."""
        limits = prediction.limits_of(info, self._table)
        one = demand_of_kind(self._catalog, kind, is_cpu=limits.is_cpu)
        many = replace(one, num_images=num_images, num_texts=one.num_texts + num_images - 1)
        cold = planner.choose_plan(one, limits)
        warm = planner.choose_plan(many, replace(limits, on_device=frozenset(shapes.WEIGHTS)))
        first = {phase: cold.phase(phase).predicted_seconds for phase in Phase}
        each = {phase: warm.phase(phase).predicted_seconds / num_images for phase in Phase}
        is_encoder_kept = warm.residency(Phase.ENCODE) is Residency.RESIDENT
        if not is_encoder_kept:  # T5 passes anew for each group
            more = warm.phase(Phase.ENCODE).predicted_seconds - first[Phase.ENCODE]
            each[Phase.ENCODE] = max(0.0, more / (num_images - 1))
        load = {phase: max(0.0, first[phase] - each[phase]) for phase in Phase}
        return PictureSeconds(
            encode=each[Phase.ENCODE],
            step=each[Phase.DENOISE] / one.steps,
            steps=one.steps,
            decode=each[Phase.DECODE],
            encode_pass=0.0 if is_encoder_kept else load[Phase.ENCODE],
            load=load[Phase.DENOISE] + load[Phase.DECODE] + (load[Phase.ENCODE] if is_encoder_kept else 0.0),
            is_estimate=warm.is_estimate,
        )


def demand_of_kind(catalog: Catalog, kind: Cost, *, is_cpu: bool) -> Demand:
    """One picture of that kind in numbers. Raises InputError, CheckpointError for a checkpoint that is not known."""
    checkpoint = catalog.get(kind.checkpoint)
    return Demand(
        prediction.weight_shapes(checkpoint, kind.precision, kind.transformer_precision, is_cpu=is_cpu),
        kind.width,
        kind.height,
        kind.steps,
        kind.is_guided,
        num_images=1,
        num_texts=2 if kind.is_guided else 1,
        num_tokens=prediction.num_tokens(kind.numerics, kind.max_tokens),
        precision=kind.precision,
        numerics=kind.numerics,
        transformer_precision=kind.transformer_precision,
    )


# A kind's seconds of a step are worked out for a picture of so many, which is a usual number.
_STEPS = 20


def _kind(cost: Cost) -> Cost:
    return cost._replace(steps=min(cost.steps, _STEPS))


def _due(kinds: Collection[Cost], known: _Device, conditions: Conditions) -> Iterator[Cost]:
    """Those never asked for, and some of those whose answers are old."""
    again = 0
    for kind in sorted(kinds):
        answer = known.asked.get(kind)
        if answer is None:
            yield kind
        elif answer[0] != conditions and again < ASKED_AGAIN_AT_ONCE:
            again += 1
            yield kind
