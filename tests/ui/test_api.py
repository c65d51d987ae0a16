"""The HTTP API: what is documented, what each endpoint says, and one sentence for whatever is wrong."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.errors import InputError
from pixart_ui.jobs.job import JobState
from pixart_ui.request import GenerationRequest
from pixart_ui.services import Services
from pixart_ui.ui.api import Api, build_api
from pixart_ui.ui.build import build
from tests.ui.conftest import finish, start, submit

ENDPOINTS = ["/submit", "/status", "/result", "/cancel", "/list"]


@pytest.fixture
def api(services: Services) -> Api:
    return Api(services)


def refusal(endpoint: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(InputError) as caught:
        endpoint(*args, **named)
    return caught.value.message


def test_exactly_these_endpoints_are_documented_and_each_has_types_and_words(services: Services) -> None:
    info = build(services).get_api_info()
    assert list(info["named_endpoints"]) == ENDPOINTS
    assert info["unnamed_endpoints"] == {}
    for endpoint in info["named_endpoints"].values():
        assert len(endpoint["description"]) > 40
        for entry in [*endpoint["parameters"], *endpoint["returns"]]:
            assert entry["python_type"]["type"] != "Any"


def test_every_field_of_a_request_can_be_named(services: Services) -> None:
    parameters = inspect.signature(Api.submit).parameters
    assert set(parameters) - {"self", "request"} == set(GenerationRequest.model_fields)
    assert all(parameter.default is None for name, parameter in parameters.items() if name != "self")


def test_the_queue_of_gradio_has_no_part_in_it(services: Services) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        build_api(services)
    assert [function.queue for function in page.fns.values()] == [False] * len(ENDPOINTS)


def test_submit_puts_pictures_at_the_end_of_the_queue_and_returns_their_jobs(services: Services, api: Api) -> None:
    (before,) = submit(services)
    ids = api.submit(prompt="a house", steps=7, seed=0, num_images=2)
    jobs = [services.journal.job(id_) for id_ in ids]
    assert [(job.request.prompt, job.request.steps, job.request.seed) for job in jobs] == [
        ("a house", 7, 0),
        ("a house", 7, 1),
    ]
    places = services.journal.places()
    assert [places[id_] for id_ in (before.id, *ids)] == [1, 2, 3]


def test_submit_takes_an_object_and_a_named_field_wins(services: Services, api: Api) -> None:
    (id_,) = api.submit(request={"prompt": "a tree", "steps": 5, "seed": 3}, steps=9)
    asked = services.journal.job(id_).request
    assert (asked.prompt, asked.steps, asked.seed) == ("a tree", 9, 3)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Prompt is missing"),
        ({"prompt": "   "}, "The prompt is empty"),
        ({"prompt": 5}, "Prompt 5 is not text"),
        ({"prompt": "x", "steps": 1000}, "Steps 1000 is not a whole number from 1 to 150"),
        ({"prompt": "x", "steps": "many"}, "Steps 'many' is not"),
        ({"prompt": "x", "style": "cubizm"}, "Unknown style 'cubizm'"),
        ({"prompt": "x", "checkpoint": "tinny"}, "Unknown checkpoint 'tinny', did you mean 'tiny'?"),
        ({"request": {"promt": "x"}}, "Unknown setting 'promt', did you mean 'prompt'?"),
        ({"request": "x"}, "Request is not a JSON object"),
        ({"request": ["x"]}, "Request is not a JSON object"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_adds_nothing(
    services: Services, api: Api, values: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(api.submit, **values)
    assert services.journal.jobs() == ()


def test_status_says_where_each_job_is_in_the_order_asked_for(services: Services, api: Api) -> None:
    waiting, running = submit(services, num_images=2)
    start(services, running, step=3)
    first, second = api.status([running.id, waiting.id])
    assert (first["id"], first["state"], first["phase"], first["step"]) == (running.id, "running", "denoise", 3)
    assert (second["id"], second["state"], second["position"]) == (waiting.id, "queued", 1)
    assert second["finish_in"] is None, "there is no worker that could be predicted"


def test_result_is_the_picture_byte_for_byte(services: Services, api: Api) -> None:
    (job,) = submit(services)
    done = finish(services, start(services, job))
    result = api.result(job.id)
    assert result["path"] == str(services.settings.images_dir / str(done.image))
    assert result["meta"] == {"_type": "gradio.FileData"}
    (told,) = api.status([job.id])
    assert told["image"].startswith(f"/pictures/{done.image}")


def test_a_picture_that_is_not_there_says_why(services: Services, api: Api) -> None:
    waiting, failed, cancelled, gone = submit(services, num_images=4)
    services.journal.fail(start(services, failed), "The device is gone: plug it in.")
    services.journal.cancel([cancelled.id])
    done = finish(services, start(services, gone))
    (services.settings.images_dir / str(done.image)).unlink()
    assert f"Job {waiting.id} is queued" in refusal(api.result, waiting.id)
    assert refusal(api.result, failed.id) == f"Job {failed.id} failed: The device is gone: plug it in."
    assert "was cancelled" in refusal(api.result, cancelled.id)
    assert "no longer on the server's disk" in refusal(api.result, gone.id)


def test_cancel_returns_those_for_which_it_is_news(services: Services, api: Api) -> None:
    first, second = submit(services, num_images=2)
    finish(services, start(services, first))
    assert api.cancel([first.id, second.id, 999]) == [second.id]
    assert api.cancel([second.id]) == []
    assert services.journal.job(second.id).state is JobState.CANCELLED


def test_list_is_narrowed_and_read_page_by_page(services: Services, api: Api) -> None:
    submit(services, "a red house", num_images=3)
    submit(services, "a blue boat")
    found = api.list_jobs(text="HOUSE", limit=2, offset=1)
    assert found["total"] == 3
    assert [job["request"]["prompt"] for job in found["jobs"]] == ["a red house"] * 2
    assert api.list_jobs(state="done") == {"jobs": [], "total": 0}
    assert [job["position"] for job in api.list_jobs(state="queued")["jobs"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "ids", [None, 5, "5", [1.5], [True], [0], [-1], [2**63], [[1]], {"a": 1}, list(range(1, 1002))]
)
def test_what_is_no_list_of_jobs_is_one_sentence(api: Api, ids: Any) -> None:
    for endpoint in (api.status, api.cancel):
        assert "are not job numbers" in refusal(endpoint, ids)


def test_an_unknown_job_is_one_sentence(api: Api) -> None:
    assert "Job 7 is unknown" in refusal(api.status, [7])
    assert "Job 7 is unknown" in refusal(api.result, 7)
    assert "are not job numbers" in refusal(api.result, "seven")


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"state": "doen"}, "Unknown state 'doen', did you mean 'done'?"),
        ({"state": 5}, "Unknown state '5'"),
        ({"text": 5}, "Text 5 is not text"),
        ({"limit": 0}, "Limit 0 is not a whole number from 1 to 500"),
        ({"limit": 501}, "Limit 501 is not"),
        ({"limit": "all"}, "Limit all is not"),
        ({"offset": -1}, "Offset -1 is not"),
        ({"offset": 2**70}, "Offset 1180591620717411303424 is not"),
    ],
)
def test_a_wrong_question_for_the_list_is_one_sentence(api: Api, named: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(api.list_jobs, **named)


def test_what_nobody_foresaw_is_told_without_its_details(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        build_api(services)
    cancel = next(function.fn for function in page.fns.values() if function.api_name == "cancel")

    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(services.journal, "cancel", broken)
    assert cancel is not None
    with pytest.raises(gr.Error) as caught:
        cancel([1])
    assert "RuntimeError" in caught.value.message
    assert "/secret" not in caught.value.message


def test_asking_again_and_again_for_a_picture_makes_one_copy(services: Services, api: Api) -> None:
    (job,) = services.submit(GenerationRequest(prompt="a red circle"), "bob")
    start(services, job)
    finish(services, services.journal.job(job.id))
    with seen_by(Viewer("bob", Role.MEMBER)):
        told = {api.result(job.id)["path"] for _ in range(5)}
    (path,) = told
    assert b"a red circle" not in Path(path).read_bytes()
    assert [file.name for file in Path(path).parent.iterdir()] == [Path(path).name]
    copies = services.settings.temp_dir / "gradio"
    assert len([file for file in copies.rglob("*") if file.is_file()]) == 1
