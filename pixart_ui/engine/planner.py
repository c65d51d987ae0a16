"""Where each component's weights are while a group of pictures is made: plain arithmetic, no torch.

`choose_plan` tries every set of components that could stay on the device and, for each phase, every way to run it
beside them: whole, streamed with so many units kept and so many slots, in pieces of some size. It takes the fastest
plan that fits the budget; among equals the one after which the next group is faster, then the smaller one. Each choice
carries its reason.

`step_down` is the ladder for a phase that ran out of memory all the same. What must stay true: more budget never makes
a plan slower, no predicted peak is above the budget, and every step of the ladder is smaller than the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations

from pixart_ui.byte_size import MIB, show_at_least, show_bytes
from pixart_ui.catalog import Component
from pixart_ui.engine.calibration import Calibration
from pixart_ui.engine.costs import COMPONENT_OF, TILES, UNIT_SECONDS, Costs, Demand, Limits, stall
from pixart_ui.engine.shapes import WEIGHTS
from pixart_ui.errors import BudgetTooSmall, InputError
from pixart_ui.events import Phase, PhasePlan, Plan, Residency

ENCODE_SLOTS = (6, 5, 4, 3, 2)
DENOISE_SLOTS = (4, 3, 2)
# Working sizes that are named where the budget is too small for the one that was asked for.
SMALLER_SIDES = (1024, 512, 256)
# What a decode's reason ends with that runs beside the next picture's first steps.
BESIDE = "; beside the next picture's first steps"
# A streamed step that took so much longer than its transfers was not waiting for them.
COMPUTE_BOUND = 1.25


@dataclass(frozen=True)
class _Option:
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
class _Choice:
    """An option for each phase."""

    options: Mapping[Phase, _Option]

    @property
    def residents(self) -> frozenset[Component]:
        return frozenset(COMPONENT_OF[phase] for phase, option in self.options.items() if option.is_resident)


def choose_plan(demand: Demand, limits: Limits) -> Plan:
    """The fastest plan that fits. Raises BudgetTooSmall."""
    costs = Costs(demand, limits)
    tile = decode_tile(demand, limits)
    options = {
        phase: tuple(option for option in _options(costs, phase) if phase is not Phase.DECODE or option.tile == tile)
        for phase in Phase
    }
    choices = [
        choice for residents in _subsets(WEIGHTS) if (choice := _best(costs, options, frozenset(residents))) is not None
    ]
    if not choices:
        raise _too_small(demand, limits)
    choice = min(choices, key=lambda choice: _order(costs, choice))
    return _plan(costs, choice, {phase: _reason(costs, choice, phase) for phase in Phase})


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
            for option in _options(costs, phase)
            if option.residency is wanted
            and not (wanted is Residency.STREAMED and option.kept_units)
            and (phase is not Phase.DECODE or option.tile == tile)
        ]
        if not ways:
            raise _not_streamable(demand, phase)
        options[phase] = min(ways, key=lambda option: (option.now, option.own_bytes))
    choice = _Choice(options)
    plan = _plan(costs, choice, {phase: f"{_words(costs, options[phase])}, as was asked" for phase in Phase})
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
    ways = [_make_option(costs, Phase.DECODE, Residency.STAGED, 0, 0, tile) for tile in _tiles(demand)]
    fitting = [way for way in ways if limits.reserved(way.own_bytes) <= limits.budget_bytes]
    if not fitting:
        return min(ways, key=lambda way: way.own_bytes).tile
    return min(fitting, key=lambda way: (costs.unit_seconds(Phase.DECODE, way.tile).value, way.own_bytes)).tile


def smallest_budget(demand: Demand, limits: Limits) -> int:
    """The least bytes with which `choose_plan` finds a plan."""
    costs = Costs(demand, limits)
    least = max(min(option.own_bytes for option in _options(costs, phase)) for phase in Phase)
    return limits.reserved(least)


def step_down(demand: Demand, limits: Limits, plan: Plan, phase: Phase) -> Plan | None:
    """The next smaller plan for a phase that ran out of memory, None where there is none.

    First decoding waits until denoising is over; then every other component leaves the device; then decoding takes
    smaller pieces, the transformer keeps fewer blocks and then fewer slots, T5 is streamed and then has fewer slots.
    """
    costs = Costs(demand, limits)
    before = _choice_of(costs, plan)
    if plan.phase(Phase.DECODE).is_beside and phase is not Phase.ENCODE:
        return replace(_plan(costs, before, _reasons_apart(plan), may_be_beside=False), budget_bytes=plan.budget_bytes)
    peak = _predicted_peak(costs, before, phase)
    alone = {
        other: option if other is phase or not option.is_resident else _option(costs, other, Residency.STAGED, option)
        for other, option in before.options.items()
    }
    for option in chain([before.options[phase]], _smaller(costs, before.options[phase])):
        choice = _Choice(alone | {phase: option})
        if _predicted_peak(costs, choice, phase) < peak:
            return replace(
                _plan(costs, choice, _reasons_of_step(costs, plan, before, choice, phase), may_be_beside=False),
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


# The ways to run a phase


def _options(costs: Costs, phase: Phase) -> Iterator[_Option]:
    """All of them, whether they fit or not."""
    for tile in _tiles(costs.demand) if phase is Phase.DECODE else (None,):
        for residency in (Residency.RESIDENT, Residency.STAGED):
            yield _make_option(costs, phase, residency, 0, 0, tile)
    for slots in ENCODE_SLOTS if phase is Phase.ENCODE else DENOISE_SLOTS:
        for kept in _kept_beside(slots, phase, costs.demand.shape(phase).num_units):
            yield _make_option(costs, phase, Residency.STREAMED, kept, slots, None)


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


def _tiles(demand: Demand) -> tuple[int | None, ...]:
    return tuple(tile for tile in TILES if tile is None or tile < max(demand.width, demand.height))


def _option(costs: Costs, phase: Phase, residency: Residency, like: _Option) -> _Option:
    """The same way with all weights on the device, staged or resident."""
    return _make_option(costs, phase, residency, 0, 0, like.tile)


def _make_option(costs: Costs, phase: Phase, residency: Residency, kept: int, slots: int, tile: int | None) -> _Option:
    shape = costs.demand.shape(phase)
    if residency is not Residency.STREAMED:
        kept, slots = shape.num_units, 0
    is_there = residency is Residency.RESIDENT and COMPONENT_OF[phase] in costs.limits.on_device
    first = 0.0 if is_there else costs.load_seconds(phase)
    again = 0.0 if residency is Residency.RESIDENT else first
    if phase is Phase.ENCODE and costs.demand.num_texts == 0:
        first = 0.0  # all are known already: T5 is not touched
    seconds = {Phase.ENCODE: _encode_seconds, Phase.DENOISE: _denoise_seconds, Phase.DECODE: _decode_seconds}[phase]
    return _Option(
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


# Putting them together


def _subsets(components: tuple[Component, ...]) -> Iterator[tuple[Component, ...]]:
    return chain.from_iterable(combinations(components, size) for size in range(len(components) + 1))


def _best(
    costs: Costs, options: Mapping[Phase, tuple[_Option, ...]], residents: frozenset[Component]
) -> _Choice | None:
    """The fastest option of each phase beside those residents, None where a phase has none."""
    found = {}
    for phase in Phase:
        is_resident = COMPONENT_OF[phase] in residents
        others = _others_bytes(costs, phase, residents)
        fitting = [
            option
            for option in options[phase]
            if option.is_resident is is_resident
            and costs.limits.reserved(option.own_bytes + others) <= costs.limits.budget_bytes
        ]
        if not fitting:
            return None
        found[phase] = min(fitting, key=lambda option: (option.now, option.later, option.own_bytes))
    return _Choice(found)


def _order(costs: Costs, choice: _Choice) -> tuple[int, int, int]:
    options = choice.options.values()
    peak = max(_full_peak(costs, choice, phase) for phase in Phase)
    return sum(option.now for option in options), sum(option.later for option in options), peak


def _others_bytes(costs: Costs, phase: Phase, residents: frozenset[Component]) -> int:
    return sum(costs.demand.shapes[component].total_bytes for component in residents - {COMPONENT_OF[phase]})


def _full_peak(costs: Costs, choice: _Choice, phase: Phase, beside: int = 0) -> int:
    """With everything that may stay there: what must fit, as the next group begins with it.

    `beside` are the activations of what runs at the same time.
    """
    own = choice.options[phase].own_bytes + beside
    return costs.limits.reserved(own + _others_bytes(costs, phase, choice.residents))


def _predicted_peak(costs: Costs, choice: _Choice, phase: Phase, beside: int = 0) -> int:
    """With what is there by then: a component that stays arrives when its own phase first needs it."""
    demand, there = costs.demand, set(costs.limits.on_device)
    own = choice.options[phase].own_bytes + beside
    if phase is Phase.ENCODE and demand.num_texts == 0:  # it does not run: T5 lies there already, or does not come
        own = demand.shape(phase).total_bytes if COMPONENT_OF[phase] in choice.residents & there else 0
    if phase is not Phase.ENCODE and demand.num_texts > 0:
        there.add("text_encoder")
    if phase is Phase.DECODE or (phase is Phase.DENOISE and demand.num_images > 1):
        there |= {"transformer", "vae"}
    return costs.limits.reserved(own + _others_bytes(costs, phase, choice.residents & there))


def _peak_beside(costs: Costs, choice: _Choice) -> int | None:
    """What is reserved while one picture is decoded and the next one denoised; None where that is not to be.

    Both components must stay, and what both take must have been measured: an estimate leaves no memory to share.
    """
    both = [choice.options[phase] for phase in (Phase.DENOISE, Phase.DECODE)]
    if costs.limits.is_cpu or costs.demand.num_images == 1 or not all(option.is_resident for option in both):
        return None
    beside = round(costs.activation_bytes(Phase.DENOISE, None).value)
    if not all(_is_measured(costs, option) for option in both):
        return None
    if _full_peak(costs, choice, Phase.DECODE, beside) > costs.limits.budget_bytes:
        return None
    return _predicted_peak(costs, choice, Phase.DECODE, beside)


def _plan(costs: Costs, choice: _Choice, reasons: Mapping[Phase, str], *, may_be_beside: bool = True) -> Plan:
    together = _peak_beside(costs, choice) if may_be_beside else None
    return Plan(
        tuple(
            _phase_plan(costs, choice, phase, reasons[phase], None if phase is Phase.ENCODE else together)
            for phase in choice.options
        ),
        costs.limits.budget_bytes,
        is_estimate=not all(_is_measured(costs, option) for option in choice.options.values()),
    )


def _phase_plan(costs: Costs, choice: _Choice, phase: Phase, reason: str, together: int | None) -> PhasePlan:
    """`together` is the peak of denoising and decoding side by side, None where each has its turn."""
    option, is_beside = choice.options[phase], together is not None
    return PhasePlan(
        phase,
        option.residency,
        reason + (BESIDE if is_beside and phase is Phase.DECODE else ""),
        together if together is not None else _predicted_peak(costs, choice, phase),
        option.now / 1e6,
        option.kept_units,
        option.slots,
        option.tile,
        is_beside and phase is Phase.DECODE,
    )


def _is_measured(costs: Costs, option: _Option) -> bool:
    """Whether what the option takes was seen on the device: its memory on a GPU, and its time.

    Encoding is mostly loading, whose rate is known; where T5 passes by, or was never warm, its own time never is.
    """
    phase, tile = option.phase, option.tile
    has_bytes = costs.limits.is_cpu or costs.activation_bytes(phase, tile).is_measured
    return has_bytes and (phase is Phase.ENCODE or costs.unit_seconds(phase, tile).is_measured)


def _choice_of(costs: Costs, plan: Plan) -> _Choice:
    """Back from a plan to what it chose."""
    return _Choice(
        {
            entry.phase: _make_option(costs, entry.phase, entry.residency, entry.kept_units, entry.slots, entry.tile)
            for entry in plan.phases
        }
    )


# The ladder


def _smaller(costs: Costs, option: _Option) -> Iterator[_Option]:
    """Ways to run the phase that take less, largest first."""
    if option.phase is Phase.DECODE:
        tiles = _tiles(costs.demand)
        for tile in tiles[tiles.index(option.tile) + 1 :] if option.tile in tiles else ():
            yield _make_option(costs, option.phase, option.residency, 0, 0, tile)
    elif option.phase is Phase.DENOISE:
        yield from _fewer_units(costs, option)
    else:
        num_units = costs.demand.shape(option.phase).num_units
        for slots in ENCODE_SLOTS:
            if slots < num_units and (not option.slots or slots < option.slots):
                yield _make_option(costs, option.phase, Residency.STREAMED, 0, slots, None)


def _fewer_units(costs: Costs, option: _Option) -> Iterator[_Option]:
    """Half as many kept units each time, whole rounds of the slots where possible; two slots at last."""
    num_units = costs.demand.shape(option.phase).num_units
    kept, slots = option.kept_units, option.slots if option.slots else min(DENOISE_SLOTS)
    while kept > 0:
        kept //= 2
        while kept > 0 and (num_units - kept) % slots:
            kept -= 1
        if num_units - kept > slots:
            yield _make_option(costs, option.phase, Residency.STREAMED, kept, slots, None)
    for fewer in range(slots - 1, 1, -1):
        if num_units > fewer:
            yield _make_option(costs, option.phase, Residency.STREAMED, 0, fewer, None)


def _reasons_of_step(costs: Costs, plan: Plan, before: _Choice, after: _Choice, phase: Phase) -> Mapping[Phase, str]:
    """What changed says so, what did not keeps its reason."""
    reasons = {entry.phase: entry.reason for entry in plan.phases}
    for other, option in after.options.items():
        if other is phase:
            if option == before.options[other]:
                reasons[other] = f"{_words(costs, option)}: memory ran out beside what stayed from other phases"
            else:
                reasons[other] = (
                    f"{_words(costs, option)}, since memory ran out when {_words(costs, before.options[other])}"
                )
        elif option != before.options[other]:
            reasons[other] = f"{_words(costs, option)}: taken off the device, since memory ran out in {phase}"
    return reasons


# Reasons


def _reasons_apart(plan: Plan) -> Mapping[Phase, str]:
    """Of a plan whose decoding is to wait for its turn."""
    reasons = {entry.phase: entry.reason.removesuffix(BESIDE) for entry in plan.phases}
    for phase in (Phase.DENOISE, Phase.DECODE):
        reasons[phase] += ", one after the other since memory ran out"
    return reasons


def _reason(costs: Costs, choice: _Choice, phase: Phase) -> str:
    option = choice.options[phase]
    words = _words(costs, option)
    if option.residency is Residency.RESIDENT:
        own = show_bytes(costs.demand.shape(phase).total_bytes)
        words += f": its {own} stay, {_of(_full_peak(costs, choice, phase), costs.limits)} are used"
    elif option.residency is Residency.STREAMED:
        whole = _option(costs, phase, Residency.STAGED, option)
        need = _full_peak(costs, _Choice({**choice.options, phase: whole}), phase)
        words += _since("keeping all", need, costs.limits, "that is as fast")
    else:
        stays = _Choice({**choice.options, phase: _option(costs, phase, Residency.RESIDENT, option)})
        need = max(_full_peak(costs, stays, other) for other in Phase)
        words += _since("keeping it beside the others", need, costs.limits, "that leaves the others more room")
    if option.tile is not None:
        whole = _make_option(costs, phase, option.residency, 0, 0, None)
        need = _full_peak(costs, _Choice({**choice.options, phase: whole}), phase)
        words += "; pieces" + _since("the whole picture at once", need, costs.limits, "that is faster")
    return words + _from_disk(costs, option)


def _from_disk(costs: Costs, option: _Option) -> str:
    """How fast the disk is, where RAM does not hold the files and the phase waits for it."""
    is_there = option.is_resident and COMPONENT_OF[option.phase] in costs.limits.on_device
    is_needless = option.phase is Phase.ENCODE and costs.demand.num_texts == 0
    if costs.disk_rate is None or is_there or is_needless:
        return ""
    rate = costs.disk_rate
    shown = f"{rate / 1e9:.1f} GB/s" if rate >= 1e9 else f"{rate / 1e6:.0f} MB/s"
    return f"; its weights come from the disk at {shown}"


def _words(costs: Costs, option: _Option) -> str:
    """What is done, such as `streamed: 19 of 28 blocks pass through 2 slots`."""
    if option.residency is Residency.STREAMED:
        num_units = costs.demand.shape(option.phase).num_units
        name = "blocks" if option.phase is Phase.DENOISE else "parts"
        moving = num_units - option.kept_units
        which = f"all {moving} {name}" if moving == num_units else f"{moving} of {num_units} {name}"
        return f"streamed: {which} pass through {option.slots} slots"
    tile = f" in pieces of {option.tile} pixels" if option.tile is not None else ""
    return f"{option.residency}{tile}"


def _since(what: str, need: int, limits: Limits, otherwise: str) -> str:
    if need <= limits.budget_bytes:
        return f", since {otherwise}"
    return f", since {what} would need {_of(need, limits)}"


def _of(need: int, limits: Limits) -> str:
    """`1.6 GiB of 1.0 GiB`; in finer units where rounding would make them look alike."""
    budget = limits.budget_bytes
    ways: tuple[Callable[[int], str], ...] = (show_bytes, lambda count: f"{count / MIB:.0f} MiB", "{:,} bytes".format)
    show = next((way for way in ways if need <= budget or way(need) != way(budget)), str)
    return f"{show(need)} of {show(budget)}"


def _not_streamable(demand: Demand, phase: Phase) -> InputError:
    component = COMPONENT_OF[phase].replace("_", " ")
    why = f"in {demand.transformer} comes whole" if demand.shape(phase).is_whole else "has too few parts"
    return InputError(f"The {component} {why} and cannot be streamed: choose resident or staged.", "strategy")


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
