"""How a picture was made: predicted against measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pixart_ui.byte_size import GIB, MIB
from pixart_ui.events import Phase, PhaseMeasurement, PhasePlan, Plan, Residency
from pixart_ui.jobs.job import Job, JobState
from pixart_ui.ui import words
from pixart_ui.ui.account import account, notes
from tests.jobs.parts import request

PLAN = Plan(
    (
        PhasePlan(Phase.ENCODE, Residency.STREAMED, "streamed: all 72 parts pass", GIB, 2.0),
        PhasePlan(Phase.DENOISE, Residency.RESIDENT, "resident <b>", 1_400 * MIB, 8.0),
        PhasePlan(Phase.DECODE, Residency.STAGED, "staged", 900 * MIB, 4.0),
    )
)


def facts(**changes: Any) -> dict[str, Any]:
    measured = (
        PhaseMeasurement(Phase.ENCODE, 1.5, bytes_moved=3 * GIB, peak_reserved_bytes=1000 * MIB),
        PhaseMeasurement(Phase.DENOISE, 7.25, peak_reserved_bytes=1_300 * MIB),
        PhaseMeasurement(Phase.DECODE, 3.0, bytes_moved=90 * MIB, peak_reserved_bytes=800 * MIB),
    )
    return {
        "plan": PLAN.as_json(),
        "measurements": {entry.phase.value: entry.as_json() for entry in measured},
        "device": {"type": "cuda"},
        "group_size": 1,
    } | changes


def job(facts: dict[str, Any] | None) -> Job:
    return Job(1, "batch", "local", JobState.DONE, request(), 0.0, facts=facts)


def test_each_phase_shows_both_figures_how_it_was_done_and_what_was_moved() -> None:
    html = account(job(facts()))
    assert "<td>1.0 GiB</td><td>1000 MiB</td><td>2.0 s</td><td>1.5 s</td>" in html
    assert "<td>1.4 GiB</td><td>1.3 GiB</td><td>8.0 s</td><td>7.2 s</td>" in html
    assert "Streamed: all 72 parts pass. 3.0 GiB were moved." in html
    assert f"Resident &lt;b&gt;. {words.NOTHING_MOVED}" in html
    assert "1.3 GiB, predicted 1.4 GiB · 11.8 s, predicted 14.0 s" in html
    assert "Made in a group" not in html


def test_of_a_group_each_picture_shows_its_part() -> None:
    html = account(job(facts(group_size=4)))
    assert "<td>2.0 s</td><td>1.5 s</td>" in html, "encoding was measured for all"
    assert "<td>2.0 s</td><td>7.2 s</td>" in html
    assert "<td>1.0 s</td><td>3.0 s</td>" in html
    assert "Made in a group of 4" in html
    assert "predicted 14.0 s" not in html


def test_a_prompt_that_was_known_says_so() -> None:
    known = facts()
    known["measurements"]["encode"] = PhaseMeasurement(Phase.ENCODE, 0.0, is_cached=True).as_json()
    html = account(job(known))
    assert words.PROMPT_KNOWN in html
    assert f"<td>{words.CACHED}</td>" in html
    assert "were moved" in html, "of the others"


def test_on_a_cpu_the_columns_say_what_they_count() -> None:
    on_cpu = facts(device={"type": "cpu"})
    measured = PhaseMeasurement(Phase.DENOISE, 1.0, peak_rss_bytes=700 * MIB)
    on_cpu["measurements"] = {"denoise": measured.as_json()}
    html = account(job(on_cpu))
    assert f">{words.RAM}<" in html
    assert words.RAM_NOTE in html
    assert "<td>1.4 GiB</td><td>700 MiB</td>" in html
    assert words.VRAM not in html


@pytest.mark.parametrize("lack", ["plan", "measurements", "device", "group_size"])
def test_pictures_of_other_versions_may_lack_anything(lack: str) -> None:
    some = facts()
    del some[lack]
    html = account(job(some))
    assert (html == "") is (lack in ("plan", "measurements"))
    if lack == "group_size":
        assert f"<td>{words.NO_FIGURE}</td><td>1.5 s</td>" in html, "whose seconds the plan's are is not known"


def test_a_picture_without_facts_has_no_account() -> None:
    assert account(job(None)) == ""
    assert account(replace(job(facts()), facts={"plan": {"phases": []}, "measurements": {}})) == ""


def test_notes_are_sentences_and_inert() -> None:
    html = notes(["decode: in <b>pieces</b>"])
    assert words.STEPPED_DOWN in html
    assert "Decode: in &lt;b&gt;pieces&lt;/b&gt;." in html
    assert notes(None) == notes([]) == ""
