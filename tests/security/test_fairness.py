"""Many people at once on one worker: everybody's wait is about the same, caps hold, and nothing is mixed up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import httpx
import pytest

from pixart_ui.access.limits import LIMITS
from pixart_ui.access.viewer import Role
from pixart_ui.gallery import images
from tests.security.conftest import CROWD, CROWDS_PASSWORD
from tests.security.parts import Person, SharedServer

# Who waits for whom does not depend on the pictures.
QUICKEST = {"width": 64, "height": 64, "steps": 1, "guidance_scale": 0}


def users(count: int) -> list[str]:
    return [f"user{number:02d}" for number in range(count)]


def flags(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for name in ("boss", *names) for part in ("--auth", f"{name}:{CROWDS_PASSWORD}"))


def signed_in(server: SharedServer, name: str) -> Person:
    person = Person(httpx.Client(base_url=server.url, timeout=120))
    assert person.http.post("/login", data={"username": name, "password": CROWDS_PASSWORD}).status_code == 200
    return person


def run(server: SharedServer, names: Sequence[str], jobs_each: int, seconds: float) -> dict[str, float]:
    """Everybody asks at once; the mean wait of each, from asking to the picture being there, in seconds."""
    people = {name: signed_in(server, name) for name in names}

    def ask(name: str) -> None:
        for number in range(jobs_each):
            people[name].submitted(prompt=f"picture {number} of {name}", seed=number, **QUICKEST)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, names))
    for person in people.values():
        person.wait(*person.ids, seconds=seconds)
    waits = {}
    for name, person in people.items():
        found = person.call("list", None, None, 500, 0).json()["data"][0]
        assert found["total"] == jobs_each
        assert {job["owner"] for job in found["jobs"]} == {name}
        assert {job["state"] for job in found["jobs"]} == {"done"}
        assert {job["request"]["prompt"] for job in found["jobs"]} == {
            f"picture {number} of {name}" for number in range(jobs_each)
        }
        for job in found["jobs"]:
            path = server.settings.images_dir / re.sub(r"\?.*", "", job["image"]).rpartition("/")[2]
            assert images.read_request(path).prompt == job["request"]["prompt"]
        waits[name] = mean(job["finished_at"] - job["created_at"] for job in found["jobs"])
    return waits


def fair(waits: dict[str, float]) -> float:
    """The longest wait, as a multiple of the mean."""
    return max(waits.values()) / mean(waits.values())


@pytest.mark.long
@pytest.mark.timeout(400)
def test_six_people_wait_alike(shared: SharedServer) -> None:
    assert fair(run(shared, CROWD, 3, 150)) <= 1.5


@pytest.mark.long
@pytest.mark.timeout(2700)
def test_thirty_people_with_twenty_jobs_each_wait_alike(tmp_path_factory: pytest.TempPathFactory) -> None:
    names = users(30)
    server = SharedServer(tmp_path_factory.mktemp("thirty") / "data", flags=flags(names))
    server.start()
    try:
        server.wait_for_worker()
        waits = run(server, names, 20, 2500)
        shown = f"mean wait {mean(waits.values()):.0f} s, longest {fair(waits):.2f} of it"
        print(f"{len(names)} people, 20 jobs each: {shown}")
        assert fair(waits) <= 1.5
    finally:
        server.stop()


def test_a_cap_holds_when_all_ask_at_once(shared: SharedServer) -> None:
    most = LIMITS[Role.MEMBER].open_jobs
    shared.person("ada").call("list")  # the owner is no member
    people = [shared.person("bob") for _ in range(8)]

    def ask(person: Person) -> int:
        answer = person.submit(prompt="x", steps=50, num_images=10)
        return len(answer.json()["data"][0]) if answer.status_code == 200 else 0

    with ThreadPoolExecutor(8) as threads:
        accepted = sum(threads.map(ask, people))
    assert 0 < accepted <= most
    refused = people[0].submit(prompt="x", steps=50, num_images=20).json()["error"]
    assert "more than the queue has room for" in refused
    for person in people[:1]:
        everything = person.call("list", None, None, 500, 0).json()["data"][0]["jobs"]
        person.call("cancel", [job["id"] for job in everything])
