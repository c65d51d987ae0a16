"""A draft against the checkpoints that are here: checked, predicted, added as one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pixart_ui.batches import predict_seconds, read_draft
from pixart_ui.catalog import Checkpoint, hub_checkpoints
from pixart_ui.engine import planner
from pixart_ui.engine.calibration import Table
from pixart_ui.errors import BudgetTooSmall, CheckpointError, InputError
from pixart_ui.request import GenerationRequest, resolve
from pixart_ui.services import Services, presets_dir

TINY = {"prompt": "a cat", "checkpoint": "tiny"}
CPU = {"device": "cpu", "name": "CPU", "memory_free_bytes": 8 << 30, "state": "ready"}
GPU = {"device": "cuda:0", "name": "Card", "memory_free_bytes": 1 << 30, "weight_bytes": 0, "state": "ready"}


def asked(**values: Any) -> GenerationRequest:
    return GenerationRequest.parse(TINY | values)


@pytest.fixture
def worker(services: Services) -> None:
    services.journal.register_worker("one", device="cpu", pid=1, info=CPU)


# Checking


def test_rows_that_cannot_be_resolved_are_problems_of_their_rows(services: Services) -> None:
    content = """prompt,checkpoint,size,style,scheduler,steps
a {red|blue} cat,tiny,,,,
a,tiny,1024x1024,,,
a,tiney,,,,
b,,,Neonn,,
b,tiny,,Neon,,
a,sigma-1024,,,,
c,tiny,,,lcm,
,tiny,,,,
"""
    draft = services.draft(content, name="queue.csv")
    assert [(problem.row, problem.field) for problem in draft.problems] == [
        (3, "width"),
        (4, "checkpoint"),
        (5, "style"),
        (7, "checkpoint"),
        (8, "scheduler"),
        (9, "prompt"),
    ]
    for problem, words in zip(
        draft.problems,
        ("too large for tiny", "did you mean 'tiny'", "did you mean 'Neon'", "not on this disk", "lcm", "missing"),
        strict=True,
    ):
        assert words in problem.message
    assert [(request.prompt, row) for request, row in zip(draft.requests, draft.rows, strict=True)] == [
        ("a red cat", 2),
        ("a blue cat", 2),
        ("b", 6),
    ]


def test_a_row_that_stands_for_many_prompts_is_one_problem(services: Services) -> None:
    draft = services.draft('[{"prompt": "{a|b|c}", "checkpoint": "tiney"}]')
    assert [problem.row for problem in draft.problems] == [1]
    assert draft.requests == ()


# Adding


def test_thousands_of_rows_are_added_in_one_transaction(services: Services) -> None:
    draft = services.draft("prompt,n\n" + "a cat,2\n" * 1500, name="queue.csv")
    before = services.journal.revision()
    jobs = services.enqueue(draft.requests, "local")
    assert services.journal.revision() == before + 1
    assert len(jobs) == draft.num_jobs == 3000
    assert len({job.batch for job in jobs}) == 1500
    assert len({job.request.seed for job in jobs}) > 2900, "every row has a seed of its own"


def test_one_row_that_cannot_be_resolved_adds_none(services: Services) -> None:
    for wrong, error in (({"checkpoint": "tiney"}, InputError), ({"checkpoint": "sigma-512"}, CheckpointError)):
        with pytest.raises(error):
            services.enqueue([asked(), asked(**wrong)])
    assert services.journal.jobs() == ()


def test_the_files_of_a_checkpoint_are_looked_at_once_for_all_rows(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    located: list[str] = []
    locate = type(services.hub).locate

    def counted(self: Any, checkpoint: Checkpoint) -> Any:
        located.append(checkpoint.name)
        return locate(self, checkpoint)

    monkeypatch.setattr(type(services.hub), "locate", counted)
    services.enqueue([asked(seed=seed) for seed in range(20)])
    assert located == ["tiny"]


# Predicting


def test_nothing_is_predicted_while_no_worker_runs(services: Services) -> None:
    assert services.predict_draft(services.draft("a cat")) is None


def test_one_picture_takes_as_long_as_the_form_says(services: Services, worker: None) -> None:
    predicted = services.predict(asked())
    assert predicted is not None
    assert services.predict_draft(services.draft('[{"prompt": "a cat", "checkpoint": "tiny"}]')) == pytest.approx(
        predicted.plan.predicted_seconds
    )


def test_a_draft_takes_as_long_as_its_steps_and_pictures_together(services: Services, worker: None) -> None:
    def seconds(*rows: str) -> float:
        found = services.predict_draft(services.draft("prompt,steps,n,size\n" + "\n".join(rows)))
        assert found is not None
        return found

    one = seconds("a,20,1,")
    many = seconds(*["a,20,1,"] * 1000)
    assert 500 * one < many <= 1000 * one
    assert seconds("a,20,64,") == pytest.approx(seconds(*["a,20,1,"] * 64))
    assert seconds("a,10,1,", "a,30,1,") == pytest.approx(seconds("a,20,1,", "a,20,1,"))
    assert seconds("a,20,1,256x256", "b,20,1,352x192") == pytest.approx(seconds("a,20,1,", "b,20,1,"), rel=0.2)


def test_thousands_of_rows_are_planned_a_few_times(
    services: Services, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Any] = []
    choose = planner.choose_plan

    def counted(demand: Any, limits: Any) -> Any:
        planned.append(demand)
        return choose(demand, limits)

    monkeypatch.setattr(planner, "choose_plan", counted)
    rows = [f"prompt {row},{row % 140 + 5},{256 if row % 2 else 352}x192" for row in range(2000)]
    services.predict_draft(services.draft("prompt,steps,size\n" + "\n".join(rows)))
    assert 1 < len(planned) <= 5


def test_a_draft_that_does_not_fit_the_device_says_so(services: Services) -> None:
    services.journal.register_worker("one", device="GPU-1", pid=1, info=GPU | {"memory_free_bytes": 1 << 20})
    with pytest.raises(BudgetTooSmall):
        services.predict_draft(services.draft("a cat"))


def on_a_card(memory_bytes: int, prompts: list[str]) -> float:
    """Seconds of pictures of PixArt-Σ at 1024², in groups of eight, on a card that has nothing on it yet."""
    checkpoint = next(entry for entry in hub_checkpoints() if entry.name == "sigma-1024")
    return predict_seconds(
        [asked(prompt=prompt, checkpoint="sigma-1024") for prompt in prompts],
        lambda request: resolve(request, checkpoint, None, random_seed=0),
        lambda name: checkpoint,
        GPU | {"memory_free_bytes": memory_bytes},
        Table(),
        8,
    )


def test_what_stays_on_the_device_is_loaded_once() -> None:
    eight, sixteen = (on_a_card(80 << 30, [str(number) for number in range(count)]) for count in (8, 16))
    assert sixteen - eight < eight - 0.5


def test_t5_is_brought_again_for_each_group_where_it_does_not_stay() -> None:
    eight, sixteen = (on_a_card(4 << 30, [str(number) for number in range(count)]) for count in (8, 16))
    assert sixteen == pytest.approx(2 * eight, rel=0.05)


def test_texts_that_are_known_are_not_encoded_again() -> None:
    assert on_a_card(4 << 30, ["a cat"] * 80) < on_a_card(4 << 30, [str(number) for number in range(80)]) - 5


# What is shipped


@pytest.mark.parametrize("path", sorted((presets_dir() / "queues").iterdir()), ids=lambda path: path.name)
def test_every_shipped_queue_can_be_read(services: Services, path: Path) -> None:
    base = None
    if path.name == "article.json":
        base = asked(checkpoint="tiny", width=256, height=256)
    draft = services.draft(path.read_bytes(), name=path.name, base=base)
    if path.name != "article.json":
        assert draft.problems == ()
        assert len(services.enqueue(draft.requests)) == draft.num_jobs > 5


def test_the_articles_own_queue_is_shipped(services: Services) -> None:
    """With what it says, and the checkpoint that it is for, which is not here."""
    content = (presets_dir() / "queues" / "article.json").read_bytes()
    draft = services.draft(content, name="article.json")
    assert [problem.row for problem in draft.problems] == [1, 2, 3, 4, 5]
    assert "python -m pixart_ui models download alpha-1024" in draft.problems[0].message
    bare = read_draft(content, name="article.json", base=None, wildcards=services.wildcards)
    first, second, *others = [request.model_dump(exclude_defaults=True) for request in bare.requests]
    assert first["prompt"].startswith("Oppenheimer sits on the beach on a chair, watching a nuclear explosion")
    assert {
        "width": 1024,
        "height": 1024,
        "seed": 1152753,
        "guidance_scale": 5.0,
        "steps": 30,
    }.items() <= second.items()
    assert others == [{"checkpoint": "alpha-1024", "prompt": "supercar", "guidance_scale": 4.0}] * 3


def test_a_transaction_that_fails_adds_none(services: Services) -> None:
    draft = services.draft("a cat\n" * 50)
    with sqlite3.connect(services.settings.journal_path) as db:
        db.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON jobs WHEN (SELECT count(*) FROM jobs) = 40 "
            "BEGIN SELECT RAISE(ABORT, 'enough'); END"
        )
    db.close()
    with pytest.raises(Exception, match="enough"):
        services.enqueue(draft.requests)
    assert services.journal.jobs() == ()
