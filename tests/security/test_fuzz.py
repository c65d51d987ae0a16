"""Generated requests, of which a good part is accepted: none breaks the server, tells too much, or gets a traceback."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from pixart_ui.ui import words
from tests.security.fuzzing import ANOTHER, DATA, EVERY, KINDS, Ask
from tests.security.parts import FIELDS, Person, SharedServer

QUICK, MANY = 60, 10_000
# The least part of them that is done and not refused.
ACCEPTED = 0.2
SECRET = "a violet samovar that nobody else may know of"
LONGEST_SENTENCE = 600
QUICKEST = {"width": 64, "height": 64, "steps": 1, "guidance_scale": 0}
# What the page shows where a request is refused.
PROBLEM = re.compile(r'(?:message|toast) problem"[^>]*>(?:<p>)?(.*?)</p>', re.DOTALL)
BROKEN = words.BROKEN.partition("{")[0]


class Sender:
    """Somebody who sends what was generated, through the endpoints and as the page does."""

    def __init__(self, person: Person, another: int) -> None:
        self.person = person
        self.another = another
        config = person.http.get("/config").json()
        self.parts = {part["id"]: part["props"] for part in config["components"]}
        self.functions = {each["api_name"]: each for each in config["dependencies"]}
        self.by_target = {
            self.parts[id_].get("elem_id"): each
            for each in config["dependencies"]
            for id_, _ in each["targets"]
            if id_ in self.parts and each["inputs"]
        }

    def send(self, ask: Ask) -> httpx.Response:
        if ask.kind == "any":
            return self.post(ask.name, ask.values)
        if ask.kind == "submit":
            return self.post("submit", {"data": [ask.values.get(name) for name in FIELDS]})
        ids = self.picked(ask)
        if ask.kind == "own":
            return self.post(ask.name, {"data": [ids[0] if ask.name == "result" and ids else ids]})
        if ask.kind == "press":
            target = f"{ask.name}:{','.join(map(str, ids))}"
            return self.press(self.by_target["do-queue"], {"queue-answer": target})
        if ask.kind == "preset":
            return self.press(self.functions["act"], {"preset-verb": ask.name, **on_page(ask.values)})
        if ask.kind == "enqueue":
            return self.press(self.functions[ask.name], on_page(ask.values))
        (job_id,) = ids[:1] or self.person.submitted(prompt="to be edited")
        begun = self.press(self.functions["begin"], {"target": str(job_id)})
        kept = self.answered(self.functions["begin"], begun)
        return self.press(self.functions[ask.name], {**kept, **on_page(ask.values)})

    def picked(self, ask: Ask) -> list[int]:
        """Jobs of one's own, the latest by 0, and at times another's."""
        own = self.person.ids[::-1]
        return [
            self.another if pick == ANOTHER else own[pick] for pick in ask.picks if pick in {ANOTHER, *range(len(own))}
        ]

    def post(self, name: str, body: object) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        content = json.dumps(body).encode()
        return self.person.http.post(f"/gradio_api/run/{name}", content=content, headers=headers)

    def press(self, function: dict[str, Any], values: dict[str, Any]) -> httpx.Response:
        """What is not named has what the page opens with."""
        data = [values.get(self.parts[id_].get("elem_id"), self.parts[id_].get("value")) for id_ in function["inputs"]]
        return self.post("predict", {"data": data, "fn_index": function["id"]})

    def answered(self, function: dict[str, Any], answer: httpx.Response) -> dict[str, Any]:
        """What a function put into the fields of a form, by the names of the elements."""
        found = zip(function["outputs"], answer.json().get("data", []), strict=False)
        named = {self.parts[id_].get("elem_id"): value for id_, value in found}
        texts = {name: named.get(name) for name in ("editing", "kept", "seen")}
        return {name: text for name, text in texts.items() if isinstance(text, str)}


def on_page(values: dict[str, Any]) -> dict[str, Any]:
    """The request's fields as the components have them."""
    shown = {f"field-{name}": value for name, value in values.items() if name not in ("width", "height")}
    if "width" in values or "height" in values:
        shown["field-width"] = f"{values.get('width')}x{values.get('height')}"
    return shown


def sentences(answer: httpx.Response) -> list[str]:
    """What somebody is told who was refused; Gradio's own of a body that it cannot read are none of ours."""
    if not answer.headers["content-type"].startswith("application/json"):
        return [answer.text.strip()]
    told = answer.json()
    if "error" in told:
        return [told["error"]]
    found = [value for value in told.get("data", []) if isinstance(value, str)]
    return [sentence for value in found for sentence in PROBLEM.findall(value)]


def looked_at(answer: httpx.Response, ask: Ask, folder: str, hidden: tuple[str, ...]) -> bool:
    """Whether it was accepted, after everything that must hold was seen to."""
    shown = (ask, answer.text[:500])
    assert answer.status_code in (200, 404, 422), shown
    assert "Traceback" not in answer.text, shown
    assert BROKEN not in answer.text, shown
    if ask.name != "result":  # Gradio names the file that it serves by its path
        assert folder not in answer.text, shown
    assert not any(secret in answer.text for secret in hidden), shown
    told = sentences(answer)
    for sentence in told:
        assert sentence.endswith("."), shown
        assert "\n" not in sentence, shown
        assert len(sentence) < LONGEST_SENTENCE, shown
    return answer.status_code == 200 and not told


def run(shared: SharedServer, ada: Person, bob: Person, eve: Person, count: int) -> Counter[str]:
    """Send so many, look at each answer, and at the log, the app and another's job afterwards."""
    told: Counter[str] = Counter()
    (hidden,) = eve.submitted(prompt=SECRET, **QUICKEST)
    (drawn,) = eve.wait(hidden)
    # Her prompt, and the name of her picture's file.
    secrets = (SECRET, drawn["image"].partition("?")[0].rpartition("/")[2])
    senders = {"ada": Sender(ada, hidden), "bob": Sender(bob, hidden)}

    @seed(20261121)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(EVERY)
    def send(asked: tuple[str, Ask]) -> None:
        name, ask = asked
        # What is pressed for all jobs is the owner's to press for everybody.
        sender = senders["bob" if ask.kind == "press" else name]
        answer = sender.send(ask)
        is_accepted = looked_at(answer, ask, str(shared.data_dir), secrets if sender is senders["bob"] else ())
        told["all"] += 1
        told["accepted"] += is_accepted
        told[f"{ask.kind} {'accepted' if is_accepted else 'refused'}"] += 1
        if ask.kind == "any":
            told[ask.name] += 1
        if is_accepted and ask.kind == "submit":
            sender.person.ids += answer.json()["data"][0]
        if told["all"] % 5 == 0:
            tidied(sender)

    send()
    assert told["accepted"] >= ACCEPTED * told["all"], told
    assert "Traceback" not in shared.log()
    assert ada.http.get("/healthz").text == "ok"
    assert eve.status(hidden) == [drawn]
    (job_id,) = ada.submitted(prompt="after all that", **QUICKEST)
    (job,) = ada.wait(job_id)
    assert job["state"] == "done"
    return told


def tidied(sender: Sender) -> None:
    """Learn the jobs that the page added, and let no more of them wait than what others may find the app busy with."""
    person = sender.person
    found = person.call("list", None, None, 12, 0).json()["data"][0]["jobs"]
    own = [job["id"] for job in found if job["owner"] != "eve"]
    person.ids[:] = sorted(own)
    person.call("cancel", [job["id"] for job in found if job["owner"] != "eve" and job["state"] == "queued"])


def test_generated_requests_break_nothing(shared: SharedServer, ada: Person, bob: Person, eve: Person) -> None:
    assert run(shared, ada, bob, eve, QUICK)["all"] >= QUICK


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_ten_thousand_generated_requests_break_nothing(
    shared: SharedServer, ada: Person, bob: Person, eve: Person
) -> None:
    told = run(shared, ada, bob, eve, MANY)
    print(dict(told))
    assert told["all"] >= 10_000
    assert {name for name in DATA if told[name]} == set(DATA)
    assert {kind for kind in KINDS if told[f"{kind} accepted"]} == set(KINDS)
