"""Generated requests on every named endpoint: none breaks the server, none gets a traceback, and it is alive after."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.security.fuzzing import BODIES, DATA
from tests.security.parts import Person, SharedServer

QUICK, MANY = 200, 10_500


def run(shared: SharedServer, person: Person, count: int) -> Counter[str]:
    """Send so many, look at each answer, and at the log and the app afterwards."""
    told: Counter[str] = Counter()

    @seed(20261121)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BODIES)
    def send(asked: tuple[str, object]) -> None:
        name, body = asked
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        answer = person.http.post(f"/gradio_api/run/{name}", content=content, headers=headers)
        told[f"{name} {answer.status_code}"] += 1
        told["all"] += 1
        assert answer.status_code < 500, (name, content[:500], answer.text[:500])
        assert "Traceback" not in answer.text
        if name != "result":  # Gradio names the file that it serves by its path
            assert str(shared.data_dir) not in answer.text
        if name == "submit" and answer.status_code == 200:
            person.call("cancel", answer.json()["data"][0])

    send()
    assert {name.split()[0] for name in told} >= set(DATA)
    assert "Traceback" not in shared.log()
    assert person.http.get("/healthz").text == "ok"
    (job_id,) = person.submitted(prompt="after all that")
    (job,) = person.wait(job_id)
    assert job["state"] == "done"
    return told


def test_generated_requests_break_nothing(shared: SharedServer, ada: Person) -> None:
    assert run(shared, ada, QUICK)["all"] >= QUICK


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_ten_thousand_generated_requests_break_nothing(shared: SharedServer, ada: Person) -> None:
    told = run(shared, ada, MANY)
    print(dict(told))
    assert told["all"] >= 10_000
