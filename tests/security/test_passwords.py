"""A thousand wrong passwords, and what signing in and out does to a cookie."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from pixart_ui.access.gate import Door, Mode
from pixart_ui.access.users import Users, user
from pixart_ui.access.viewer import Role
from tests.security.parts import PASSWORDS, SharedServer


def test_of_a_thousand_wrong_passwords_five_a_minute_reach_the_check(shared: SharedServer) -> None:
    started, client = time.monotonic(), httpx.Client(base_url=shared.url, timeout=60)

    def wrong(number: int) -> int:
        form = {"username": "bob", "password": f"wrong-password-{number}"}
        return client.post("/login", data=form).status_code

    with ThreadPoolExecutor(4) as threads:
        told = Counter(threads.map(wrong, range(1000)))
    minutes = 1 + int((time.monotonic() - started) // 60)
    assert set(told) == {401, 429}
    assert told[401] <= 5 * minutes


def test_a_name_that_nobody_has_is_answered_like_one_that_somebody_has(shared: SharedServer) -> None:
    """Also after many such names, by which somebody could else find out who may sign in."""
    client = httpx.Client(base_url=shared.url, timeout=60)

    def told(name: str) -> int:
        return client.post("/login", data={"username": name, "password": "wrong-password"}).status_code

    assert {told(f"user{number}") for number in range(30)} == {401}
    for name in ("ian", "jan"):
        assert [told(name) for _ in range(7)] == [401] * 5 + [429] * 2


def test_of_names_that_nobody_has_five_a_minute_cost_a_check() -> None:
    door = Door(Mode.SHARED, 1, Users([user("ada", PASSWORDS["ada"], Role.OWNER)]), check_seconds=0.0)
    for number in range(200):
        assert door.wait(f"user{number}") == 0
        assert door.check(f"user{number}", "wrong-password") is None
        door.check_seconds = 0.0
    assert door.num_checks == 5
    for _ in range(5):
        assert door.wait("ada") == 0
    for number in range(20_000):
        door.wait(f"name{number}")
    assert door.wait("ada") > 0, "any number of other names makes no try forgotten"


def test_whoever_is_signed_in_is_not_locked_out(shared: SharedServer) -> None:
    eve = shared.person("eve")
    for number in range(10):
        form = {"username": "eve", "password": f"wrong-password-{number}"}
        last = httpx.post(f"{shared.url}/login", data=form)
    assert last.status_code == 429
    assert 0 < int(last.headers["retry-after"]) <= 60
    assert eve.http.get("/live").status_code == 200


def test_a_wrong_name_takes_as_long_as_a_wrong_password(shared: SharedServer) -> None:
    door = Door(Mode.SHARED, 1, Users([user("ada", PASSWORDS["ada"], Role.OWNER)]))

    def seconds(name: str) -> float:
        times = []
        for _ in range(5):
            started = time.process_time()
            assert door.check(name, "wrong-password") is None
            times.append(time.process_time() - started)
        return min(times)

    assert 0.5 < seconds("ada") / seconds("nobody-has-this") < 2


def test_signing_out_ends_the_session_and_not_only_the_cookie(shared: SharedServer) -> None:
    ada = shared.person("ada")
    kept = dict(ada.http.cookies)
    assert ada.http.get("/live").status_code == 200
    assert ada.http.post("/logout").status_code == 303
    assert httpx.get(f"{shared.url}/live", cookies=kept).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(shared: SharedServer) -> None:
    answer = httpx.post(f"{shared.url}/login", data={"username": "ada", "password": PASSWORDS["ada"]})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    secure = httpx.post(
        f"{shared.url}/login",
        data={"username": "ada", "password": PASSWORDS["ada"]},
        headers={"X-Forwarded-Proto": "https"},
    )
    assert "Secure" in secure.headers["set-cookie"]


def test_no_password_is_written_anywhere(shared: SharedServer) -> None:
    for path in shared.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(password.encode() in content for password in PASSWORDS.values()), path
