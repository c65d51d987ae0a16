"""Exports: what they say of each job, and that reading one gives the same pictures again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pixart_ui.batches import queue_rows, write_csv, write_json
from pixart_ui.batches.columns import RESULTS, SETTINGS
from pixart_ui.events import Phase, PhaseMeasurement
from pixart_ui.jobs.job import Job
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from tests.jobs.parts import request

PROMPTS = (
    "a cat",
    "a {red|blue} __season__ cat",
    r"back\slash \{ \\ \x",
    "=1+1",
    "+a",
    "-a",
    "@a",
    "'=quoted",
    "''=twice",
    "'a quote'",
    "#1",
    'with "quotes", commas; semicolons\tand tabs',
    "two\nlines",
    "two\r\nlines, and\ra third",
    "Grün 猫 🐈",
    "true",
    "null",
    "_",
    "__",
    "a | b",
    "x" * 10_000,
)
Write = Callable[[Iterable[Job]], Iterator[str]]


def measured(phase: Phase, seconds: float, **peaks: Any) -> dict[str, Any]:
    return {phase.value: PhaseMeasurement(phase, seconds, **peaks).as_json()}


def table(jobs: Iterable[Job]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(write_csv(jobs)), newline="")))


@pytest.mark.parametrize(("write", "name"), [(write_csv, "queue.csv"), (write_json, "queue.json")])
def test_reading_an_export_gives_the_same_pictures(services: Services, write: Write, name: str) -> None:
    asked = [GenerationRequest.parse({"prompt": prompt, "checkpoint": "tiny"}) for prompt in PROMPTS]
    unusual = {"style": "Neon", "precision": "bf16", "numerics": "exact", "size": None, "scheduler": "euler"}
    asked.append(
        GenerationRequest.parse(
            {
                "prompt": "a house",
                "negative_prompt": "=ugly, {x}",
                "seed": 2**64 - 1,
                "guidance_scale": 0.1 + 0.2,
                "width": 352,
                "height": 192,
                "steps": 3,
            }
            | {key: value for key, value in unusual.items() if value is not None}
        )
    )
    asked.append(GenerationRequest.parse({"prompt": "a boat", "compile_blocks": True, "transformer_precision": "bf16"}))
    before = services.enqueue(asked)
    exported = "".join(write(before))
    for content in (exported, exported.encode(), f"\ufeff{exported}"):
        draft = services.draft(content, name=name)
        assert draft.problems == ()
        after = services.enqueue(draft.requests)
        assert [job.request for job in after] == [job.request for job in before]


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_an_export_takes_nothing_from_the_form(services: Services, write: Write) -> None:
    (job,) = services.enqueue([GenerationRequest.parse({"prompt": "a cat"})])
    form = GenerationRequest.parse({"prompt": "any", "negative_prompt": "dogs", "style": "Neon", "num_images": 4})
    draft = services.draft("".join(write([job])), base=form)
    (again,) = services.enqueue(draft.requests)
    assert again.request == job.request
    assert any("the settings given beside are not used" in note for note in draft.notes)
    assert draft.notes[0] == f"Left aside, as they tell of results: {', '.join(RESULTS)}."


def test_an_export_says_what_became_of_each_job(services: Services) -> None:
    services.journal.submit([request(seed) for seed in range(4)], "somebody")
    done, on_gpu, failed = services.journal.claim("one", lease_seconds=60, limit=3)
    work = measured(Phase.ENCODE, 6.0, peak_rss_bytes=900) | measured(Phase.DENOISE, 2.5, peak_rss_bytes=800)
    services.journal.finish(done, image="000001.png", facts={"measurements": work, "group_size": 3})
    work = measured(Phase.DECODE, 1.0, peak_reserved_bytes=500, peak_rss_bytes=10**9)
    services.journal.finish(on_gpu, image="000002.png", facts={"measurements": work})
    services.journal.fail(failed, "=It broke.")
    jobs = services.journal.jobs(newest_first=False)
    rows = list(queue_rows(jobs))
    assert [list(row) for row in rows] == [[*SETTINGS, *RESULTS]] * 4
    assert [
        (row["id"], row["state"], row["owner"], row["image"], row["seconds"], row["peak_bytes"], row["error"])
        for row in rows
    ] == [
        (1, "done", "somebody", "000001.png", 4.5, 900, None),
        (2, "done", "somebody", "000002.png", 1.0, 500, None),
        (3, "failed", "somebody", None, None, None, "=It broke."),
        (4, "queued", "somebody", None, None, None, None),
    ]
    assert rows[0]["created_at"].endswith("+00:00")
    assert rows[3]["finished_at"] is None
    assert [row["error"] for row in table(jobs)] == ["", "", "'=It broke.", ""]
    assert [row["seconds"] for row in table(jobs)] == ["4.5", "1.0", "", ""]
    assert json.loads("".join(write_json(jobs)))[0]["peak_bytes"] == 900


def test_no_cell_of_a_table_is_a_formula(services: Services) -> None:
    jobs = services.enqueue([GenerationRequest.parse({"prompt": prompt}) for prompt in PROMPTS])
    cells = [cell for row in table(jobs) for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


def test_an_empty_export_is_a_header_or_an_empty_list() -> None:
    assert "".join(write_csv([])) == f"{','.join((*SETTINGS, *RESULTS))}\r\n"
    assert json.loads("".join(write_json([]))) == []


def test_an_export_comes_in_pieces(services: Services) -> None:
    """A job is written when it is asked for: nothing is gathered before."""
    seen: list[int] = []

    def jobs() -> Iterator[Job]:
        for job in services.enqueue([GenerationRequest.parse({"prompt": "a cat", "num_images": 3})]):
            seen.append(job.id)
            yield job

    for write in (write_csv, write_json):
        seen.clear()
        pieces = write(jobs())
        next(pieces)
        assert len(seen) == 1
        assert len(list(pieces)) >= 3
