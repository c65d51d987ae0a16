"""How a picture was made: what was predicted against what was measured, phase by phase, as HTML.

It reads the facts that the picture carries; pictures of other versions may lack any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pixart_ui.byte_size import show_bytes
from pixart_ui.events import Phase
from pixart_ui.jobs.job import Job
from pixart_ui.ui import words

Facts = Mapping[str, Any]


def notes(sentences: object) -> str:
    """What did not go as planned, for everybody to see."""
    found = sentences if isinstance(sentences, list) else []
    return "".join(
        f'<p class="message note">{words.STEPPED_DOWN} {escape(words.as_sentence(str(text)))}</p>' for text in found
    )


def account(job: Job) -> str:
    """A line with the sums, and a table in it; empty where the picture says nothing of its plan."""
    facts = job.facts if job.facts is not None else {}
    plans, measured = _plans(facts), facts.get("measurements", {})
    if not plans or not measured:
        return ""
    rows = "".join(_rows(phase, plans[phase], measured[phase], facts) for phase in Phase if phase in measured)
    return (
        f'<details class="account"><summary>{words.HOW_MADE}<span class="sum">{_sum(plans, measured, facts)}</span>'
        f"</summary><table>{_head(facts)}{rows}</table>{_footnotes(facts)}</details>"
    )


def _plans(facts: Facts) -> dict[str, Facts]:
    entries = facts.get("plan", {}).get("phases", [])
    plans = {str(entry["phase"]): entry for entry in entries}
    return plans if set(plans) == set(Phase) else {}


def _head(facts: Facts) -> str:
    memory = words.RAM if _is_cpu(facts) else words.VRAM
    pair = f'<th scope="col">{words.PREDICTED}</th><th scope="col">{words.MEASURED}</th>'
    return (
        f'<thead><tr><td></td><th scope="colgroup" colspan="2">{memory}</th>'
        f'<th scope="colgroup" colspan="2">{words.TIME}</th></tr><tr><td></td>{pair}{pair}</tr></thead>'
    )


def _rows(phase: Phase, plan: Facts, measured: Facts, facts: Facts) -> str:
    """One row of figures, and under it how it was done."""
    cells = (
        (words.NO_FIGURE, words.NO_FIGURE, words.NO_FIGURE, words.CACHED)
        if measured.get("is_cached")
        else (
            _bytes(plan.get("predicted_peak_bytes")),
            _bytes(_peak(measured)),
            _seconds(_predicted_seconds(phase, plan, facts)),
            _seconds(measured.get("seconds")),
        )
    )
    figures = "".join(f"<td>{cell}</td>" for cell in cells)
    return (
        f'<tbody><tr><th scope="row">{words.PHASES[phase]}</th>{figures}</tr>'
        f'<tr><td colspan="5" class="reason">{escape(_how(plan, measured))}</td></tr></tbody>'
    )


def _how(plan: Facts, measured: Facts) -> str:
    if measured.get("is_cached"):
        return words.PROMPT_KNOWN
    moved = measured.get("bytes_moved")
    how = words.as_sentence(str(plan.get("reason", "")))
    return f"{how} {words.MOVED.format(size=show_bytes(moved)) if moved else words.NOTHING_MOVED}"


def _sum(plans: Mapping[str, Facts], measured: Mapping[str, Facts], facts: Facts) -> str:
    """Peak and time. The time only of a picture that had its group to itself: else parts of it were for others."""
    parts = []
    if not _is_cpu(facts):
        peaks = [peak for entry in measured.values() if (peak := _peak(entry)) is not None]
        predicted = max(int(plan.get("predicted_peak_bytes", 0)) for plan in plans.values())
        if peaks and predicted:
            parts.append(words.SUM_BYTES.format(measured=show_bytes(max(peaks)), predicted=show_bytes(predicted)))
    if facts.get("group_size") == 1:
        took = sum(float(entry.get("seconds", 0.0)) for entry in measured.values())
        predicted_seconds = sum(float(plan.get("predicted_seconds", 0.0)) for plan in plans.values())
        parts.append(words.SUM_SECONDS.format(measured=_seconds(took), predicted=_seconds(predicted_seconds)))
    return " · ".join(parts)


def _predicted_seconds(phase: Phase, plan: Facts, facts: Facts) -> float | None:
    """A plan's seconds are the group's. Encoding was measured for all of it, the other phases for this picture."""
    seconds, group_size = plan.get("predicted_seconds"), facts.get("group_size")
    if seconds is None or not group_size:
        return None
    return float(seconds) if phase is Phase.ENCODE else float(seconds) / int(group_size)


def _footnotes(facts: Facts) -> str:
    group_size = facts.get("group_size", 1)
    texts = [words.GROUP_NOTE.format(count=group_size)] if group_size > 1 else []
    texts += [words.RAM_NOTE] if _is_cpu(facts) else []
    return "".join(f'<p class="hint">{text}</p>' for text in texts)


def _is_cpu(facts: Facts) -> bool:
    return facts.get("device", {}).get("type") != "cuda"


def _peak(measured: Facts) -> int | None:
    """Reserved VRAM, which is what is predicted; on a CPU the worker's RAM."""
    reserved = measured.get("peak_reserved_bytes")
    peak = reserved if reserved is not None else measured.get("peak_rss_bytes")
    return int(peak) if peak is not None else None


def _bytes(count: int | None) -> str:
    return show_bytes(count) if count else words.NO_FIGURE


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return words.NO_FIGURE
    return words.SECONDS.format(seconds=seconds) if seconds < 100 else words.duration(seconds)
