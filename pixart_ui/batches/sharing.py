"""Requests of a draft that differ in their texts and seeds alone: they are right or wrong together, and cost the same.

So thousands of rows are resolved and predicted a few times rather than thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from pixart_ui.batches.draft import Draft, RowProblem
from pixart_ui.catalog import Checkpoint, Component
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Table
from pixart_ui.engine.costs import COMPONENT_OF, Limits
from pixart_ui.errors import CheckpointError, InputError
from pixart_ui.events import Phase, Plan, Residency
from pixart_ui.prediction import demand_of, limits_of, on_device
from pixart_ui.request import GenerationRequest, ResolvedRequest

K = TypeVar("K")
T = TypeVar("T")

_OWN = ("prompt", "negative_prompt", "seed", "num_images")
_settings_of = attrgetter(*(field for field in GenerationRequest.model_fields if field not in _OWN))
_weights_of = attrgetter("checkpoint", "precision", "transformer_precision", "numerics", "compile_blocks")
_work_of = attrgetter("bin_width", "bin_height", "is_guided")

Resolve = Callable[[GenerationRequest], tuple[ResolvedRequest, ...]]


def check_rows(draft: Draft, resolve: Resolve) -> Draft:
    """The draft with what `resolve` refuses as problems of their rows, and without the requests of those rows."""
    refusals = {
        settings: _refusal(requests[0], resolve) for settings, requests in _by(_settings_of, draft.requests).items()
    }
    found: dict[int, RowProblem] = {}
    for row, request in zip(draft.rows, draft.requests, strict=True):
        error = refusals[_settings_of(request)]
        if error is not None:
            found.setdefault(row, RowProblem(row, error.message, getattr(error, "field", "checkpoint")))
    if not found:
        return draft
    kept = [(row, request) for row, request in zip(draft.rows, draft.requests, strict=True) if row not in found]
    return replace(
        draft,
        requests=tuple(request for _, request in kept),
        rows=tuple(row for row, _ in kept),
        problems=tuple(sorted([*draft.problems, *found.values()], key=lambda problem: problem.row)),
    )


def predict_seconds(
    requests: Sequence[GenerationRequest],
    resolve: Resolve,
    checkpoint_of: Callable[[str], Checkpoint],
    info: Mapping[str, Any],
    table: Table,
    group_size: int,
) -> float:
    """What all pictures take on the device of the worker that says `info` of itself, one set of weights after another.

    They are made in groups of `group_size`, each of which brings T5 again where it does not stay, for the texts that
    it does not know; what stays is not loaded again. Raises InputError, CheckpointError, and BudgetTooSmall where one
    does not fit.
    """
    limits = limits_of(info, table)
    seconds, is_first = 0.0, True
    for shares in _by(lambda share: _weights_of(share.resolved), _shares(requests, resolve)).values():
        there = on_device(info, shares[0].resolved) if is_first else frozenset()
        checkpoint = checkpoint_of(shares[0].resolved.checkpoint)
        seconds += _seconds_of_weights(shares, checkpoint, replace(limits, on_device=there), group_size)
        is_first = False
    return seconds


@dataclass(frozen=True)
class _Share:
    """Pictures that ask for the same work; `resolved` is one of them. `texts` are those that T5 reads for them."""

    resolved: ResolvedRequest
    num_images: int
    texts: frozenset[str]


def _refusal(request: GenerationRequest, resolve: Resolve) -> InputError | CheckpointError | None:
    try:
        resolve(request)
    except (InputError, CheckpointError) as error:
        return error
    return None


def _shares(requests: Sequence[GenerationRequest], resolve: Resolve) -> list[_Share]:
    found = []
    for alike in _by(_settings_of, requests).values():
        resolved = resolve(alike[0])[0]
        texts = {request.prompt for request in alike}
        if resolved.is_guided:
            texts |= {"" if request.negative_prompt is None else request.negative_prompt for request in alike}
        found.append(_Share(resolved, sum(request.num_images for request in alike), frozenset(texts)))
    return found


def _seconds_of_weights(shares: Sequence[_Share], checkpoint: Checkpoint, limits: Limits, group_size: int) -> float:
    num_images = sum(share.num_images for share in shares)
    num_texts = len(frozenset[str]().union(*(share.texts for share in shares)))
    num_encodings = min(-(-num_images // group_size), num_texts)
    in_group = min(num_images, group_size)
    group = partial(replace, num_images=in_group, num_texts=-(-num_texts // num_encodings))
    work = [
        (group(demand_of([alike[0].resolved], checkpoint, is_cpu=limits.is_cpu), steps=steps), number)
        for alike in _by(lambda share: _work_of(share.resolved), shares).values()
        for steps, number in _evened(alike)
    ]
    cold = planner.choose_plan(work[0][0], limits)
    later = replace(limits, on_device=_residents(cold))
    warm = [planner.choose_plan(demand, later) for demand, _ in work]
    drawing = sum(_drawing(plan) / in_group * number for plan, (_, number) in zip(warm, work, strict=True))
    encoding = _encoding(cold) + (num_encodings - 1) * _encoding(warm[0])
    return encoding + drawing + _drawing(cold) - _drawing(warm[0])


def _encoding(plan: Plan) -> float:
    return plan.phase(Phase.ENCODE).predicted_seconds


def _drawing(plan: Plan) -> float:
    return plan.predicted_seconds - _encoding(plan)


def _evened(shares: Sequence[_Share]) -> list[tuple[int, int]]:
    """Steps and pictures: as many in all, of two kinds at most. A picture's time grows evenly with its steps."""
    num_images = sum(share.num_images for share in shares)
    steps, num_longer = divmod(sum(share.num_images * share.resolved.steps for share in shares), num_images)
    both = [(steps, num_images - num_longer), (steps + 1, num_longer)]
    return [(steps, num) for steps, num in both if num]


def _residents(plan: Plan) -> frozenset[Component]:
    return frozenset(COMPONENT_OF[part.phase] for part in plan.phases if part.residency is Residency.RESIDENT)


def _by(key: Callable[[T], K], values: Iterable[T]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found
