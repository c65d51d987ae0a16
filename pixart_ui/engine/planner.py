"""Where each component's weights are while a group of pictures is made: plain arithmetic, no torch.

`choose_plan` tries every set of components that could stay on the device and, for each phase, every way to run it
beside them: whole, streamed with so many units kept and so many slots, in pieces of some size. It takes the fastest
plan that fits the budget; among equals the one after which the next group is faster, then the smaller one. Each choice
carries its reason.

`step_down` is the ladder for a phase that ran out of memory all the same. What must stay true: more budget never makes
a plan slower, no predicted peak is above the budget, and every step of the ladder is smaller than the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, combinations

from pixart_ui.byte_size import show_at_least, show_bytes
from pixart_ui.catalog import Component
from pixart_ui.engine import reasons
from pixart_ui.engine.calibration import Calibration
from pixart_ui.engine.costs import COMPONENT_OF, Costs, Demand, Limits
from pixart_ui.engine.options import (
    DENOISE_SLOTS,
    ENCODE_SLOTS,
    Choice,
    Option,
    full_peak,
    make_option,
    on_device,
    options_of,
    others_bytes,
    tiles_of,
)
from pixart_ui.engine.shapes import WEIGHTS
from pixart_ui.errors import BudgetTooSmall
from pixart_ui.events import Phase, PhasePlan, Plan, Residency
from pixart_ui.request import Precision

# Working sizes that are named where the budget is too small for the one that was asked for.
SMALLER_SIDES = (1024, 512, 256)
# A streamed step that took so much longer than its transfers was not waiting for them.
COMPUTE_BOUND = 1.25
# Slots for texts of the next group beside the last steps, and the part of those steps that they may fill.
AHEAD_SLOTS, AHEAD_SHARE = (2, 3, 4, 6, 8, 12, 16, 24), 0.75


def choose_plan(demand: Demand, limits: Limits) -> Plan:
    """The fastest plan that fits. Raises BudgetTooSmall."""
    costs = Costs(demand, limits)
    tile = decode_tile(demand, limits)
    options = {
        phase: tuple(option for option in options_of(costs, phase) if phase is not Phase.DECODE or option.tile == tile)
        for phase in Phase
    }
    choices = [
        choice for residents in _subsets(WEIGHTS) if (choice := _best(costs, options, frozenset(residents))) is not None
    ]
    if not choices:
        raise _too_small(demand, limits)
    choice = min(choices, key=lambda choice: _order(costs, choice))
    return _plan(costs, choice, {phase: reasons.of_choice(costs, choice, phase) for phase in Phase})


def forced_plan(demand: Demand, limits: Limits, residency: Residency) -> Plan:
    """The plan with one residency in every phase, the VAE staged where the others are streamed.

    Streamed units all pass, through as many slots as are fastest. Raises BudgetTooSmall where that does not fit,
    InputError where a component cannot be streamed.
    """
    costs = Costs(demand, limits)
    tile = decode_tile(demand, limits)
    options = {}
    for phase in Phase:
        wanted = Residency.STAGED if phase is Phase.DECODE and residency is Residency.STREAMED else residency
        ways = [
            option
            for option in options_of(costs, phase)
            if option.residency is wanted
            and not (wanted is Residency.STREAMED and option.kept_units)
            and (phase is not Phase.DECODE or option.tile == tile)
        ]
        if not ways:
            raise reasons.not_streamable(demand, phase)
        options[phase] = min(ways, key=lambda option: (option.now, option.own_bytes))
    choice = Choice(options)
    why = {phase: f"{reasons.in_words(costs, options[phase])}, as was asked" for phase in Phase}
    plan = _plan(costs, choice, why, may_be_beside=False)
    if plan.predicted_peak_bytes > limits.budget_bytes:
        raise BudgetTooSmall(
            f"{show_bytes(limits.budget_bytes)} of memory are too little: {demand.width}×{demand.height} in "
            f"{demand.precision}, {residency}, needs at least {show_at_least(plan.predicted_peak_bytes)}."
        )
    return plan


def decode_tile(demand: Demand, limits: Limits) -> int | None:
    """The side of the pieces to decode in: the fastest that fits the budget with nothing beside it on the device.

    It changes pixels, so it may depend on the picture and the budget, never on what else is kept or drawn.
    """
    costs = Costs(demand, limits)
    ways = [make_option(costs, Phase.DECODE, Residency.STAGED, 0, 0, tile) for tile in tiles_of(demand)]
    fitting = [way for way in ways if limits.reserved(way.own_bytes) <= limits.budget_bytes]
    if not fitting:
        return min(ways, key=lambda way: way.own_bytes).tile
    return min(fitting, key=lambda way: (costs.unit_seconds(Phase.DECODE, way.tile).value, way.own_bytes)).tile


def may_look_ahead(plan: Plan, precision: Precision) -> bool:
    """Whether texts of another group may pass through T5 beside the steps: the link is idle, and T5 does not stay.

    Products of an 8-bit T5 make the host wait for the device, and the steps with it.
    """
    is_link_taken = plan.residency(Phase.DENOISE) is Residency.STREAMED
    return not is_link_taken and plan.residency(Phase.ENCODE) is not Residency.RESIDENT and precision != Precision.INT8


def look_ahead(
    demand: Demand, following: Demand, limits: Limits, plan: Plan, steps_left: int
) -> tuple[Plan, PhasePlan] | None:
    """How the texts of the following group are encoded beside the steps that are left of the last picture.

    The plan as it is then, and how T5 is streamed: in the fewest slots that get it through in time. None where
    `may_look_ahead` says no, where one pass is not enough, and where memory or time would not do or was never measured.
    """
    costs, texts, denoise = Costs(demand, limits), Costs(following, limits), plan.phase(Phase.DENOISE)
    choice = _choice_of(costs, plan)
    if limits.is_cpu or not may_look_ahead(plan, following.precision) or following.num_passes != 1:
        return None
    if not (texts.activation_bytes(Phase.ENCODE).is_measured and _is_measured(costs, choice.options[Phase.DENOISE])):
        return None
    option = _passing_beside(texts, steps_left, costs.unit_seconds(Phase.DENOISE).value)
    if option is None or full_peak(costs, choice, Phase.DENOISE, option.own_bytes) > limits.budget_bytes:
        return None
    together = max(_predicted_peak(costs, choice, Phase.DENOISE, option.own_bytes), denoise.predicted_peak_bytes)
    raised = replace(
        denoise, reason=reasons.with_texts(denoise.reason, together, limits), predicted_peak_bytes=together
    )
    changed = replace(plan, phases=tuple(raised if entry is denoise else entry for entry in plan.phases))
    return changed, _phase_plan(texts, Choice({Phase.ENCODE: option}), Phase.ENCODE, raised.reason, together)


def _passing_beside(texts: Costs, steps_left: int, step_seconds: float) -> Option | None:
    """T5 in the fewest slots with which it gets through: the host uses and frees each slot about once a step."""
    num_units = texts.demand.shape(Phase.ENCODE).num_units
    for slots in AHEAD_SLOTS:
        if slots < num_units <= slots * steps_left * AHEAD_SHARE:
            option = make_option(texts, Phase.ENCODE, Residency.STREAMED, 0, slots, None)
            if option.now <= 1e6 * steps_left * step_seconds * AHEAD_SHARE:
                return option
    return None


def smallest_budget(demand: Demand, limits: Limits) -> int:
    """The least bytes with which `choose_plan` finds a plan."""
    costs = Costs(demand, limits)
    least = max(min(option.own_bytes for option in options_of(costs, phase)) for phase in Phase)
    return limits.reserved(least)


def step_down(demand: Demand, limits: Limits, plan: Plan, phase: Phase) -> Plan | None:
    """The next smaller plan for a phase that ran out of memory, None where there is none.

    First decoding waits until denoising is over; then every other component leaves the device; then decoding takes
    smaller pieces, the transformer keeps fewer blocks and then fewer slots, T5 is streamed and then has fewer slots.
    """
    costs = Costs(demand, limits)
    before = _choice_of(costs, plan)
    if plan.phase(Phase.DECODE).is_beside and phase is not Phase.ENCODE:
        return replace(_plan(costs, before, reasons.apart(plan), may_be_beside=False), budget_bytes=plan.budget_bytes)
    peak = _predicted_peak(costs, before, phase)
    alone = {
        other: option if other is phase or not option.is_resident else on_device(costs, other, Residency.STAGED, option)
        for other, option in before.options.items()
    }
    for option in chain([before.options[phase]], _smaller(costs, before.options[phase])):
        choice = Choice(alone | {phase: option})
        if _predicted_peak(costs, choice, phase) < peak:
            return replace(
                _plan(costs, choice, reasons.of_step(costs, plan, before, choice, phase), may_be_beside=False),
                budget_bytes=plan.budget_bytes,
            )
    return None


def observe(
    demand: Demand,
    limits: Limits,
    phase_plan: PhasePlan,
    *,
    activation_bytes: int | None = None,
    unit_seconds: float | None = None,
) -> Calibration:
    """What a finished phase teaches.

    `activation_bytes` is the peak that torch reserved less all weights and slots that lay on the device;
    `unit_seconds` one pass of texts, one step after the first, or one picture, without loading. The seconds of a phase
    that waited for its weights say nothing of the device's speed and are left out.
    """
    phase, tile = phase_plan.phase, phase_plan.tile
    costs = Costs(demand, limits)
    if unit_seconds is not None and phase_plan.residency is Residency.STREAMED:
        transfers = costs.pass_seconds(phase, phase_plan.kept_units, phase_plan.slots)
        if phase is Phase.ENCODE or unit_seconds < COMPUTE_BOUND * transfers:
            unit_seconds = None
    return limits.calibration.learn(
        demand.kind(phase, tile),
        demand.x(phase),
        activation_bytes=activation_bytes,
        seconds=unit_seconds,
        formula=lambda x: costs.seconds_formula(phase, tile, x),
    )


# Putting them together


def _subsets(components: tuple[Component, ...]) -> Iterator[tuple[Component, ...]]:
    return chain.from_iterable(combinations(components, size) for size in range(len(components) + 1))


def _best(costs: Costs, options: Mapping[Phase, tuple[Option, ...]], residents: frozenset[Component]) -> Choice | None:
    """The fastest option of each phase beside those residents, None where a phase has none."""
    found = {}
    for phase in Phase:
        is_resident = COMPONENT_OF[phase] in residents
        others = others_bytes(costs, phase, residents)
        fitting = [
            option
            for option in options[phase]
            if option.is_resident is is_resident
            and costs.limits.reserved(option.own_bytes + others) <= costs.limits.budget_bytes
        ]
        if not fitting:
            return None
        found[phase] = min(fitting, key=lambda option: (option.now, option.later, option.own_bytes))
    return Choice(found)


def _order(costs: Costs, choice: Choice) -> tuple[int, int, int]:
    options = choice.options.values()
    peak = max(full_peak(costs, choice, phase) for phase in Phase)
    return sum(option.now for option in options), sum(option.later for option in options), peak


def _predicted_peak(costs: Costs, choice: Choice, phase: Phase, beside: int = 0) -> int:
    """With what is there by then: a component that stays arrives when its own phase first needs it."""
    demand, there = costs.demand, set(costs.limits.on_device)
    own = choice.options[phase].own_bytes + beside
    if phase is Phase.ENCODE and demand.num_texts == 0:  # it does not run: T5 lies there already, or does not come
        own = demand.shape(phase).total_bytes if COMPONENT_OF[phase] in choice.residents & there else 0
    if phase is not Phase.ENCODE and demand.num_texts > 0:
        there.add("text_encoder")
    if phase is Phase.DECODE or (phase is Phase.DENOISE and demand.num_images > 1):
        there |= {"transformer", "vae"}
    nbytes = own + others_bytes(costs, phase, choice.residents & there)
    return costs.limits.reserved(nbytes, num_streams=2 if beside else 1)


def _peak_beside(costs: Costs, choice: Choice) -> int | None:
    """What is reserved while one picture is decoded and the next one denoised; None where that is not to be.

    Both components must stay, and what both take must have been measured: an estimate leaves no memory to share.
    """
    both = [choice.options[phase] for phase in (Phase.DENOISE, Phase.DECODE)]
    if costs.limits.is_cpu or costs.demand.num_images == 1 or not all(option.is_resident for option in both):
        return None
    beside = round(costs.activation_bytes(Phase.DENOISE, None).value)
    if not all(_is_measured(costs, option) for option in both):
        return None
    if full_peak(costs, choice, Phase.DECODE, beside) > costs.limits.budget_bytes:
        return None
    return _predicted_peak(costs, choice, Phase.DECODE, beside)


def _plan(costs: Costs, choice: Choice, why: Mapping[Phase, str], *, may_be_beside: bool = True) -> Plan:
    together = _peak_beside(costs, choice) if may_be_beside else None
    return Plan(
        tuple(
            _phase_plan(costs, choice, phase, why[phase], None if phase is Phase.ENCODE else together)
            for phase in choice.options
        ),
        costs.limits.budget_bytes,
        is_estimate=not all(_is_measured(costs, option) for option in choice.options.values()),
    )


def _phase_plan(costs: Costs, choice: Choice, phase: Phase, reason: str, together: int | None) -> PhasePlan:
    """`together` is the peak of denoising and decoding side by side, None where each has its turn."""
    option, is_beside = choice.options[phase], together is not None and phase is Phase.DECODE
    return PhasePlan(
        phase,
        option.residency,
        reasons.beside(reason, together, costs.limits) if together is not None and is_beside else reason,
        together if together is not None else _predicted_peak(costs, choice, phase),
        option.now / 1e6,
        option.kept_units,
        option.slots,
        option.tile,
        is_beside,
    )


def _is_measured(costs: Costs, option: Option) -> bool:
    """Whether what the option takes was seen on the device: its memory on a GPU, and its time.

    Encoding is mostly loading, whose rate is known; where T5 passes by, or was never warm, its own time never is.
    """
    phase, tile = option.phase, option.tile
    has_bytes = costs.limits.is_cpu or costs.activation_bytes(phase, tile).is_measured
    return has_bytes and (phase is Phase.ENCODE or costs.unit_seconds(phase, tile).is_measured)


def _choice_of(costs: Costs, plan: Plan) -> Choice:
    """Back from a plan to what it chose."""
    return Choice(
        {
            entry.phase: make_option(costs, entry.phase, entry.residency, entry.kept_units, entry.slots, entry.tile)
            for entry in plan.phases
        }
    )


# The ladder


def _smaller(costs: Costs, option: Option) -> Iterator[Option]:
    """Ways to run the phase that take less, largest first."""
    if option.phase is Phase.DECODE:
        tiles = tiles_of(costs.demand)
        for tile in tiles[tiles.index(option.tile) + 1 :] if option.tile in tiles else ():
            yield make_option(costs, option.phase, option.residency, 0, 0, tile)
    elif option.phase is Phase.DENOISE:
        yield from _fewer_units(costs, option)
    else:
        num_units = costs.demand.shape(option.phase).num_units
        for slots in ENCODE_SLOTS:
            if slots < num_units and (not option.slots or slots < option.slots):
                yield make_option(costs, option.phase, Residency.STREAMED, 0, slots, None)


def _fewer_units(costs: Costs, option: Option) -> Iterator[Option]:
    """Half as many kept units each time, whole rounds of the slots where possible; two slots at last."""
    num_units = costs.demand.shape(option.phase).num_units
    kept, slots = option.kept_units, option.slots if option.slots else min(DENOISE_SLOTS)
    while kept > 0:
        kept //= 2
        while kept > 0 and (num_units - kept) % slots:
            kept -= 1
        if num_units - kept > slots:
            yield make_option(costs, option.phase, Residency.STREAMED, kept, slots, None)
    for fewer in range(slots - 1, 1, -1):
        if num_units > fewer:
            yield make_option(costs, option.phase, Residency.STREAMED, 0, fewer, None)


def _too_small(demand: Demand, limits: Limits) -> BudgetTooSmall:
    """One sentence with the smallest budget that would do, and a smaller size that needs less, if one does."""
    least = smallest_budget(demand, limits)
    whole = f" with the transformer in {demand.transformer}" if demand.shape(Phase.DENOISE).is_whole else ""
    sentence = (
        f"{show_bytes(limits.budget_bytes)} of memory are too little: {demand.width}×{demand.height} in "
        f"{demand.precision}{whole} needs at least {show_at_least(least)}"
    )
    smaller = [
        (side, need)
        for side in SMALLER_SIDES
        if side * side < demand.pixels
        and show_at_least(need := smallest_budget(replace(demand, width=side, height=side), limits))
        != show_at_least(least)
    ]
    if not smaller:
        return BudgetTooSmall(f"{sentence}, and so does any smaller size.")
    fitting = [entry for entry in smaller if entry[1] <= limits.budget_bytes]
    side, need = fitting[0] if fitting else smaller[-1]
    return BudgetTooSmall(f"{sentence}; {show_at_least(need)} would do for {side}×{side}.")
