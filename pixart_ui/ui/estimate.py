"""What the form's request would take, as HTML for the line above the button; the reasons are one click away."""

from __future__ import annotations

from html import escape

from pixart_ui.byte_size import GIB, show_at_least, show_bytes
from pixart_ui.events import PhasePlan
from pixart_ui.prediction import Prediction
from pixart_ui.ui import words

# Cards as they are sold, in GiB. A display and the driver keep a little of one for themselves.
CARDS = (2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 80, 96, 141)
CARD_SHARE = 0.95


def sentence(text: str, *, is_problem: bool = False) -> str:
    """Why there is no figure."""
    return f'<p class="estimate sentence{" problem" if is_problem else ""}">{escape(text)}</p>'


def estimate(prediction: Prediction | None) -> str:
    """Time and memory; with the figures and the reason of each phase when it is opened."""
    if prediction is None:
        return sentence(words.NO_ESTIMATE)
    plan = prediction.plan
    certainty = f'<span class="tag">{words.ESTIMATE if plan.is_estimate else ""}</span>'
    phases = "".join(_phase(entry) for entry in plan.phases)
    return (
        f'<details class="estimate"><summary><span class="sum">{_sum(prediction)}</span>{certainty}'
        f'<span class="why">{words.WHY}</span><span class="beside">{_beside(prediction)}</span></summary>'
        f'<ul>{phases}</ul><p class="hint">{_least(prediction)}</p></details>'
    )


def smallest_card(nbytes: int) -> int | None:
    """The smallest card, in GiB, that holds so many bytes; None where none does."""
    return next((size for size in CARDS if nbytes <= CARD_SHARE * size * GIB), None)


def _sum(prediction: Prediction) -> str:
    plan, count = prediction.plan, prediction.num_images
    time = words.about(plan.predicted_seconds)
    pictures = words.FOR_PICTURES.format(count=count) if count > 1 else ""
    peak = show_bytes(plan.predicted_peak_bytes)
    memory = words.OF_RAM if prediction.is_cpu else words.OF_BUDGET
    return f"{time}{pictures} · {memory.format(peak=peak, budget=show_bytes(plan.budget_bytes))}"


def _beside(prediction: Prediction) -> str:
    """What comes on top: on a CPU the worker itself, on a GPU CUDA's context, and the card that holds both."""
    if prediction.is_cpu:
        return words.BESIDE_WORKER
    context = prediction.context_bytes
    if context is None:
        return words.BESIDE_CONTEXT_UNKNOWN
    text = words.BESIDE_CONTEXT.format(size=show_bytes(context))
    card = smallest_card(prediction.plan.predicted_peak_bytes + context)
    return text + words.FITS_CARD.format(size=card) if card is not None else text


def _phase(entry: PhasePlan) -> str:
    figures = f"{show_bytes(entry.predicted_peak_bytes)}, {words.duration(entry.predicted_seconds)}"
    return (
        f'<li><span class="name">{words.PHASES[entry.phase]}</span><span class="num">{figures}</span>'
        f'<span class="reason">{escape(words.as_sentence(entry.reason))}</span></li>'
    )


def _least(prediction: Prediction) -> str:
    return words.LEAST.format(size=show_at_least(prediction.least_bytes))
