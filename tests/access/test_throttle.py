"""So many tries in so long."""

from __future__ import annotations

from pixart_ui.access.throttle import Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_five_a_minute_and_no_more() -> None:
    clock = Clock()
    throttle = Throttle(5, 60, clock)
    passed = 0
    for _ in range(1000):
        passed += throttle.wait("ada") == 0
        clock.now += 0.05
    assert passed == 5
    assert throttle.wait("bob") == 0
    clock.now += 60
    assert throttle.wait("ada") == 0


def test_it_says_how_long_and_forgets_on_success() -> None:
    clock = Clock()
    throttle = Throttle(1, 60, clock)
    assert throttle.wait("ada") == 0
    clock.now += 20
    assert throttle.wait("ada") == 40
    throttle.forget("ada")
    assert throttle.wait("ada") == 0
