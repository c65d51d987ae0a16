"""Why a plan is as it is, in words and figures. What must stay true: a figure in a reason is one that decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pixart_ui.byte_size import MIB, show_bytes
from pixart_ui.engine.costs import COMPONENT_OF, Costs, Demand, Limits
from pixart_ui.engine.options import Choice, Option, full_peak, make_option, on_device
from pixart_ui.errors import InputError
from pixart_ui.events import Phase, Plan, Residency


def of_choice(costs: Costs, choice: Choice, phase: Phase) -> str:
    option = choice.options[phase]
    words = in_words(costs, option)
    if option.residency is Residency.RESIDENT:
        own = show_bytes(costs.demand.shape(phase).total_bytes)
        words += f": its {own} stay, {_of(full_peak(costs, choice, phase), costs.limits)} are used"
    elif option.residency is Residency.STREAMED:
        whole = on_device(costs, phase, Residency.STAGED, option)
        need = full_peak(costs, Choice({**choice.options, phase: whole}), phase)
        words += _since("keeping all", need, costs.limits, "that is as fast")
    else:
        stays = Choice({**choice.options, phase: on_device(costs, phase, Residency.RESIDENT, option)})
        need = max(full_peak(costs, stays, other) for other in Phase)
        words += _since("keeping it beside the others", need, costs.limits, "that leaves the others more room")
    if option.tile is not None:
        whole = make_option(costs, phase, option.residency, 0, 0, None)
        need = full_peak(costs, Choice({**choice.options, phase: whole}), phase)
        words += "; pieces" + _since("the whole picture at once", need, costs.limits, "that is faster")
    return words + _from_disk(costs, option)


def of_step(costs: Costs, plan: Plan, before: Choice, after: Choice, phase: Phase) -> Mapping[Phase, str]:
    """What changed says so, what did not keeps its reason."""
    reasons = {entry.phase: entry.reason for entry in plan.phases}
    for other, option in after.options.items():
        if other is phase:
            if option == before.options[other]:
                reasons[other] = f"{in_words(costs, option)}: memory ran out beside what stayed from other phases"
            else:
                reasons[other] = (
                    f"{in_words(costs, option)}, since memory ran out when {in_words(costs, before.options[other])}"
                )
        elif option != before.options[other]:
            reasons[other] = f"{in_words(costs, option)}: taken off the device, since memory ran out in {phase}"
    return reasons


def beside(reason: str, together: int, limits: Limits) -> str:
    """Of a decode that takes `together` with the next picture's first steps."""
    return f"{reason}; beside the next picture's first steps, {_of(together, limits)} for both"


def with_texts(reason: str, together: int, limits: Limits) -> str:
    """Of steps that take `together` with the next group's texts, which pass through T5 meanwhile."""
    return f"{reason}; beside its last steps the next texts are encoded, {_of(together, limits)} for both"


def apart(plan: Plan) -> Mapping[Phase, str]:
    """Of a plan whose decoding is to wait for its turn."""
    reasons = {entry.phase: entry.reason for entry in plan.phases}
    reasons[Phase.DECODE] = reasons[Phase.DECODE].rpartition("; beside")[0]
    for phase in (Phase.DENOISE, Phase.DECODE):
        reasons[phase] += ", one after the other since memory ran out"
    return reasons


def _from_disk(costs: Costs, option: Option) -> str:
    """How fast the disk is, where RAM does not hold the files and the phase waits for it."""
    is_there = option.is_resident and COMPONENT_OF[option.phase] in costs.limits.on_device
    is_needless = option.phase is Phase.ENCODE and costs.demand.num_texts == 0
    if costs.disk_rate is None or is_there or is_needless:
        return ""
    rate = costs.disk_rate
    shown = f"{rate / 1e9:.1f} GB/s" if rate >= 1e9 else f"{rate / 1e6:.0f} MB/s"
    return f"; its weights come from the disk at {shown}"


def in_words(costs: Costs, option: Option) -> str:
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


def not_streamable(demand: Demand, phase: Phase) -> InputError:
    component = COMPONENT_OF[phase].replace("_", " ")
    why = f"in {demand.transformer} comes whole" if demand.shape(phase).is_whole else "has too few parts"
    return InputError(f"The {component} {why} and cannot be streamed: choose resident or staged.", "strategy")
