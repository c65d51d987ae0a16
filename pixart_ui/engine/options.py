"""The ways in which a phase can be run, each with what it takes: plain arithmetic, no torch.

The planner chooses among them. What must stay true: a phase's options depend on the pictures and the device alone,
never on what else is kept there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pixart_ui.catalog import Component
from pixart_ui.engine.costs import COMPONENT_OF, TILES, UNIT_SECONDS, Costs, Demand, stall
from pixart_ui.events import Phase, Residency

ENCODE_SLOTS = (6, 5, 4, 3, 2)
DENOISE_SLOTS = (4, 3, 2)


@dataclass(frozen=True)
class Option:
    """One way to run a phase. Times in whole microseconds, so that equal ones are equal.

    `now` is the group at hand, `later` the next one like it; `own_bytes` are weights, slots and activations.
    """

    phase: Phase
    residency: Residency
    own_bytes: int
    now: int
    later: int
    kept_units: int
    slots: int
    tile: int | None

    @property
    def is_resident(self) -> bool:
        return self.residency is Residency.RESIDENT


@dataclass(frozen=True)
class Choice:
    """An option for each phase."""

    options: Mapping[Phase, Option]

    @property
    def residents(self) -> frozenset[Component]:
        return frozenset(COMPONENT_OF[phase] for phase, option in self.options.items() if option.is_resident)


def options_of(costs: Costs, phase: Phase) -> Iterator[Option]:
    """All of them, whether they fit or not."""
    for tile in tiles_of(costs.demand) if phase is Phase.DECODE else (None,):
        for residency in (Residency.RESIDENT, Residency.STAGED):
            yield make_option(costs, phase, residency, 0, 0, tile)
    for slots in ENCODE_SLOTS if phase is Phase.ENCODE else DENOISE_SLOTS:
        for kept in _kept_beside(slots, phase, costs.demand.shape(phase).num_units):
            yield make_option(costs, phase, Residency.STREAMED, kept, slots, None)


def _kept_beside(slots: int, phase: Phase, num_units: int) -> Iterator[int]:
    """How many units may stay while more than `slots` others pass.

    T5 passes once for all texts of a group: keeping some of its units would save nothing. The transformer's others pass
    in whole rounds of the slots, so that the last of a pass never holds the slot that the next one's first is to have.
    """
    if phase is Phase.ENCODE:
        yield from (0,) if num_units > slots else ()
        return
    for kept in range(num_units - slots):
        if (num_units - kept) % slots == 0 or (kept == 0 and slots == min(DENOISE_SLOTS)):
            yield kept


def tiles_of(demand: Demand) -> tuple[int | None, ...]:
    return tuple(tile for tile in TILES if tile is None or tile < max(demand.width, demand.height))


def on_device(costs: Costs, phase: Phase, residency: Residency, like: Option) -> Option:
    """The same way with all weights on the device, staged or resident."""
    return make_option(costs, phase, residency, 0, 0, like.tile)


def make_option(costs: Costs, phase: Phase, residency: Residency, kept: int, slots: int, tile: int | None) -> Option:
    shape = costs.demand.shape(phase)
    if residency is not Residency.STREAMED:
        kept, slots = shape.num_units, 0
    is_there = residency is Residency.RESIDENT and COMPONENT_OF[phase] in costs.limits.on_device
    first = 0.0 if is_there else costs.load_seconds(phase)
    again = 0.0 if residency is Residency.RESIDENT else first
    if phase is Phase.ENCODE and costs.demand.num_texts == 0:
        first = 0.0  # all are known already: T5 is not touched
    seconds = {Phase.ENCODE: _encode_seconds, Phase.DENOISE: _denoise_seconds, Phase.DECODE: _decode_seconds}[phase]
    return Option(
        phase,
        residency,
        shape.device_bytes(kept, slots) + costs.ring_bytes(phase) + round(costs.activation_bytes(phase, tile).value),
        round(1e6 * seconds(costs, first, again, kept, slots, tile)),
        round(1e6 * seconds(costs, again, again, kept, slots, tile)),
        kept,
        slots,
        tile,
    )


def _encode_seconds(costs: Costs, first: float, again: float, kept: int, slots: int, tile: int | None) -> float:
    """Every unit computes all texts while the next ones arrive."""
    one_pass = costs.unit_seconds(Phase.ENCODE).value if costs.demand.num_texts > 0 else 0.0
    first_pass = costs.overlapped_seconds(Phase.ENCODE, one_pass, first * stall(slots) if slots else first)
    later = max(one_pass, costs.pass_seconds(Phase.ENCODE, kept, slots))
    return first_pass + max(0, costs.demand.num_passes - 1) * later


def _denoise_seconds(costs: Costs, first: float, again: float, kept: int, slots: int, tile: int | None) -> float:
    """Each picture's first step brings all weights, the others those that did not stay."""
    demand = costs.demand
    step = costs.unit_seconds(Phase.DENOISE).value
    moving = demand.shape(Phase.DENOISE).num_units - kept
    later = max(step, costs.pass_seconds(Phase.DENOISE, kept, slots)) + moving * UNIT_SECONDS
    loads = costs.overlapped_seconds(Phase.DENOISE, step, first)
    loads += (demand.num_images - 1) * costs.overlapped_seconds(Phase.DENOISE, step, again)
    return loads + demand.num_images * (demand.steps - 1) * later


def _decode_seconds(costs: Costs, first: float, again: float, kept: int, slots: int, tile: int | None) -> float:
    pictures = costs.demand.num_images
    return first + (pictures - 1) * again + pictures * costs.unit_seconds(Phase.DECODE, tile).value


def others_bytes(costs: Costs, phase: Phase, residents: frozenset[Component]) -> int:
    return sum(costs.demand.shapes[component].total_bytes for component in residents - {COMPONENT_OF[phase]})


def full_peak(costs: Costs, choice: Choice, phase: Phase, beside: int = 0) -> int:
    """With everything that may stay there: what must fit, as the next group begins with it.

    `beside` are the activations of what runs at the same time.
    """
    own = choice.options[phase].own_bytes + beside
    nbytes = own + others_bytes(costs, phase, choice.residents)
    return costs.limits.reserved(nbytes, num_streams=2 if beside else 1)
