"""ZeroGPU: the real `spaces` package forks, pickles and lends; see `forked.py` for what is played."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from pixart_ui.spaces.duration import LEAST_SECONDS, MOST_SECONDS
from tests.cli.commands import ROOT

# Each scene forks a process that opens the engine: minutes, on a machine that is busy.
PATIENCE_SECONDS = 170.0


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("space")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.spaces.forked", str(folder)],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            _end_group(process)
    assert process.returncode == 0, (folder / "log").read_text()[-3000:]
    result: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return result


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Also what it forked."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_two_visitors_get_their_pictures_one_after_the_other(told: dict[str, Any]) -> None:
    (first,), (second,) = told["two_in_turn"]["first"], told["two_in_turn"]["second"]
    assert (first["state"], first["owner"]) == ("done", "anna")
    assert (second["state"], second["owner"]) == ("done", "ben")
    assert first["image"]["size"] == [256, 256]
    assert first["image"]["colours"] > 1000
    assert first["image"]["name"] != second["image"]["name"]


def test_results_and_records_are_those_of_any_other_worker(told: dict[str, Any]) -> None:
    (first,) = told["two_in_turn"]["first"]
    facts = first["image"]["facts"]
    assert facts["request"]["prompt"] == "a red circle"
    assert {"plan", "measurements", "versions", "components", "device"} <= set(facts)
    assert set(facts["measurements"]) == {"encode", "denoise", "decode"}
    assert first["step"] == facts["request"]["steps"]


def test_whoever_waits_hears_of_every_step_and_a_request_is_drawn_once(told: dict[str, Any]) -> None:
    first, second, again = told["two_in_turn"]["events"]
    assert min(first, second) > 4
    assert again == 0


def test_a_warm_process_keeps_what_it_loaded(told: dict[str, Any]) -> None:
    (second,) = told["two_in_turn"]["second"]
    encode = second["image"]["facts"]["measurements"]["encode"]
    assert encode["bytes_moved"] == 0


def test_pictures_of_one_request_share_a_gpu(told: dict[str, Any]) -> None:
    jobs = told["several_at_once"]["jobs"]
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert [job["image"]["facts"]["group_size"] for job in jobs] == [2, 2]


def test_cancelling_ends_the_call_in_the_middle_and_the_next_one_works(told: dict[str, Any]) -> None:
    (job,), (after,) = told["cancelled"]["jobs"], told["cancelled"]["after"]
    assert job["state"] == "cancelled"
    assert 3 <= job["step"] < 30
    assert job["image"] is None
    assert after["state"] == "done"


def test_a_visitor_who_leaves_gives_the_gpu_back(told: dict[str, Any]) -> None:
    (job,) = told["left"]["jobs"]
    assert job["state"] == "cancelled"
    assert job["image"] is None
    assert told["left"]["given_back"]


def test_a_request_whose_page_left_before_it_was_drawn_does_not_stay(told: dict[str, Any]) -> None:
    (job,) = told["never_asked_for"]["jobs"]
    assert job["state"] == "cancelled"
    assert told["never_asked_for"]["events"] == 0


def test_a_refusal_to_lend_is_one_sentence(told: dict[str, Any]) -> None:
    (job,) = told["without_quota"]["jobs"]
    assert job["state"] == "failed"
    assert job["error"].startswith("ZeroGPU lent no GPU for this picture: ")


def test_nobody_learns_from_a_quick_picture_what_another_asked(told: dict[str, Any]) -> None:
    encoded = {
        who: job["image"]["facts"]["measurements"]["encode"]
        for who in ("first", "other", "again")
        for job in told["the_same_words"][who]
    }
    assert not encoded["first"].get("is_cached")
    assert not encoded["other"].get("is_cached")
    assert encoded["again"]["is_cached"]


def test_an_error_of_the_engine_crosses_the_fork_as_its_sentence(told: dict[str, Any]) -> None:
    (job,) = told["engine_says_no"]["jobs"]
    assert job["state"] == "failed"
    assert "cannot be written" in job["error"]
    assert "Error" not in job["error"].split()


def test_a_process_that_is_killed_costs_its_own_picture_only(told: dict[str, Any]) -> None:
    (job,), (after,) = told["killed"]["jobs"], told["killed"]["after"]
    assert job["state"] == "failed"
    assert job["error"].startswith("The GPU went away while this picture was made")
    assert after["state"] == "done"


def test_a_gpu_is_asked_for_as_long_as_is_predicted(told: dict[str, Any]) -> None:
    durations = told["state_of_things"]["durations"]
    assert all(LEAST_SECONDS <= seconds <= MOST_SECONDS for seconds in durations)
    four_steps, thirty = durations[1], durations[3]
    assert thirty >= four_steps


def test_the_journal_outlives_every_fork(told: dict[str, Any]) -> None:
    state = told["state_of_things"]
    assert state["integrity"] == "ok"
    assert state["workers"] == ["zero-gpu"]
    assert state["latents"] == []
    assert state["previews"] == []
