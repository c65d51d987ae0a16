"""Which components stay on the device: plain arithmetic on bytes, no torch.

`resident` keeps a component there between phases and groups, `staged` brings it for its phase and takes it away
afterwards. The fastest choice that fits is taken; each comes with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixart_ui.catalog import Component
from pixart_ui.events import Phase, PhasePlan, Plan, Residency

GIB = 1024**3
# What a phase needs beside weights, per picture pixel; measured at 1024² in fp16 (see bench/), rounded up.
DENOISE_BYTES_PER_PIXEL = 300
DECODE_BYTES_PER_PIXEL = 2700
ENCODE_BYTES = 300 * 1024**2
COMPONENT_OF: Mapping[Phase, Component] = {
    Phase.ENCODE: "text_encoder",
    Phase.DENOISE: "transformer",
    Phase.DECODE: "vae",
}


@dataclass(frozen=True)
class Demand:
    """Weight bytes by component as they will be on the device, and the working size in pixels."""

    weight_bytes: Mapping[Component, int]
    pixels: int

    def activations(self, phase: Phase) -> int:
        return {
            Phase.ENCODE: ENCODE_BYTES,
            Phase.DENOISE: DENOISE_BYTES_PER_PIXEL * self.pixels,
            Phase.DECODE: DECODE_BYTES_PER_PIXEL * self.pixels,
        }[phase]

    def weights(self, phase: Phase) -> int:
        return self.weight_bytes[COMPONENT_OF[phase]]


def plan(demand: Demand, budget_bytes: int) -> Plan:
    """Everything resident where it fits; else T5 staged and the other two resident; else all staged."""
    worst_activation = max(demand.activations(phase) for phase in Phase)
    pictures = (Phase.DENOISE, Phase.DECODE)
    all_weights = sum(demand.weights(phase) for phase in Phase)
    picture_weights = sum(demand.weights(phase) for phase in pictures)
    if all_weights + worst_activation <= budget_bytes:
        return _plan(frozenset(Phase), all_weights + worst_activation, budget_bytes)
    if picture_weights + max(demand.activations(phase) for phase in pictures) <= budget_bytes:
        return _plan(frozenset(pictures), all_weights + worst_activation, budget_bytes)
    return _plan(frozenset(), picture_weights + worst_activation, budget_bytes)


def _plan(resident: frozenset[Phase], wanted_bytes: int, budget_bytes: int) -> Plan:
    def phase_plan(phase: Phase) -> PhasePlan:
        if phase in resident:
            return PhasePlan(phase, Residency.RESIDENT, f"fits beside the others in {_gib(budget_bytes)}")
        return PhasePlan(
            phase,
            Residency.STAGED,
            f"keeping it would need {_gib(wanted_bytes)} in all, {_gib(budget_bytes)} are free",
        )

    return Plan(tuple(phase_plan(phase) for phase in Phase))


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
