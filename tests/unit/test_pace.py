"""A pace that several keep together."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from outbound_calls.pace import Pace
from tests.unit.parts import Clock


@dataclass
class Sleeper:
    """Sleeps by moving the clock, and remembers when it woke."""

    clock: Clock
    woken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        self.woken.append(self.clock())


def a_pace(per_second: float) -> tuple[Pace, Sleeper]:
    sleeper = Sleeper(Clock(now=100.0))
    return Pace(per_second, sleeper.clock, sleeper), sleeper


def test_turns_are_equally_far_apart_and_the_first_waits_as_well() -> None:
    pace, sleeper = a_pace(4)

    assert all(pace.wait(60) for _ in range(4))

    assert sleeper.woken == [100.25, 100.5, 100.75, 101.0]


def test_a_turn_that_was_not_taken_is_not_made_up_for() -> None:
    pace, sleeper = a_pace(1)
    pace.wait(60)
    sleeper.clock.pass_seconds(10)

    pace.wait(60)
    pace.wait(60)

    assert sleeper.woken == [101.0, 111.0, 112.0]


@pytest.mark.parametrize("at_most", [0.9, 0.0, -1.0])
def test_a_turn_that_comes_too_late_is_left_to_others(at_most: float) -> None:
    pace, sleeper = a_pace(1)

    assert not pace.wait(at_most)
    assert pace.wait(1.0)
    assert sleeper.woken == [101.0]


def test_threads_share_one_pace() -> None:
    # Given a clock that stands still: each turn is as much later as there were turns before it
    naps: list[float] = []
    lock = threading.Lock()

    def nap(seconds: float) -> None:
        with lock:
            naps.append(seconds)

    pace = Pace(10, lambda: 0.0, nap)

    # When ten threads take a hundred turns
    with ThreadPoolExecutor(10) as pool:
        taken = list(pool.map(lambda _: pace.wait(60), range(100)))

    # Then no two have the same
    assert all(taken)
    assert sorted(naps) == pytest.approx([number / 10 for number in range(1, 101)])
