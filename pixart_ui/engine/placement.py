"""Whether the text encoder goes to a second GPU beside the one that draws: plain arithmetic, no torch.

It helps where the first GPU cannot keep T5 beside the rest, so that every new prompt waits for it. Where one GPU holds
all, nothing is gained: the second one then draws pictures of its own as another worker. What must stay true: each GPU
has a plan of its own that fits it, and neither is charged with what lies on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pixart_ui.catalog import Component
from pixart_ui.engine import planner
from pixart_ui.engine.costs import COMPONENT_OF, Demand, Limits
from pixart_ui.engine.shapes import ComponentShape
from pixart_ui.errors import BudgetTooSmall
from pixart_ui.events import Phase, Plan, Residency

TEXT_ENCODER: Component = "text_encoder"
NOTHING = ComponentShape(0)
# What a second GPU must save of a group's time, so that a near tie is not decided by chance.
WORTH = 0.02

Shapes = Mapping[Component, ComponentShape]


@dataclass(frozen=True)
class Spread:
    """`plan` is the group's. `there` is the second GPU's, of which only the encoding is run, and `there_shapes` what
    lies there; `shapes` what lies on the first."""

    plan: Plan
    shapes: Shapes
    there: Plan
    there_shapes: Shapes

    def after(self, encoding: Plan) -> Plan:
        """The group's plan once texts are encoded, by a plan that may have been stepped down meanwhile."""
        return _merged(encoding, self.plan, is_estimate=self.plan.is_estimate)


def choose(demand: Demand, here: Limits, there: Limits) -> Spread | None:
    """T5 on the second GPU, where the next group like this one is then faster; None where it is not.

    The first group is the same either way: T5 has to come to one of the two. Raises BudgetTooSmall where the first GPU
    can draw in neither way.
    """
    shapes = {name: NOTHING if name == TEXT_ENCODER else shape for name, shape in demand.shapes.items()}
    there_shapes = {name: shape if name == TEXT_ENCODER else NOTHING for name, shape in demand.shapes.items()}
    rest, texts = replace(demand, shapes=shapes, num_texts=0), replace(demand, shapes=there_shapes, num_images=1)
    alone = planner.choose_plan(demand, here)
    try:
        drawing, encoding = planner.choose_plan(rest, here), planner.choose_plan(texts, there)
    except BudgetTooSmall:
        return None
    seconds = _next_seconds(rest, here, drawing) + _next_seconds(texts, there, encoding)
    if seconds > (1 - WORTH) * _next_seconds(demand, here, alone):
        return None
    plan = _merged(encoding, drawing, is_estimate=alone.is_estimate)
    return Spread(plan, shapes, replace(encoding, is_estimate=alone.is_estimate), there_shapes)


def _next_seconds(demand: Demand, limits: Limits, plan: Plan) -> float:
    """Of the next group, which finds there what stays."""
    stays = frozenset(COMPONENT_OF[entry.phase] for entry in plan.phases if entry.residency is Residency.RESIDENT)
    return planner.choose_plan(demand, replace(limits, on_device=stays)).predicted_seconds


def _merged(encoding: Plan, drawing: Plan, *, is_estimate: bool) -> Plan:
    encode = encoding.phase(Phase.ENCODE)
    reason = encode.reason if encode.reason.startswith("on the second") else f"on the second GPU, {encode.reason}"
    others = tuple(entry for entry in drawing.phases if entry.phase is not Phase.ENCODE)
    return replace(drawing, phases=(replace(encode, reason=reason), *others), is_estimate=is_estimate)
