"""A rate limiter that threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from outbound_calls.adapters.rate_limiter import RateLimiter
from tests.unit.parts import Clock


@dataclass
class Sleeper:
    """Sleeps by moving the clock, and remembers when it woke."""

    clock: Clock
    woken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)
        self.woken.append(self.clock())


def a_limiter(per_second: float) -> tuple[RateLimiter, Sleeper]:
    sleeper = Sleeper(Clock(now=100.0))
    return RateLimiter(per_second, sleeper.clock, sleeper), sleeper


def test_permits_are_evenly_spaced_and_the_first_one_waits_too() -> None:
    limiter, sleeper = a_limiter(4)

    assert all(limiter.acquire(60) for _ in range(4))

    assert sleeper.woken == [100.25, 100.5, 100.75, 101.0]


def test_an_unused_permit_is_not_saved_for_later() -> None:
    limiter, sleeper = a_limiter(1)
    limiter.acquire(60)
    sleeper.clock.pass_seconds(10)

    limiter.acquire(60)
    limiter.acquire(60)

    assert sleeper.woken == [101.0, 111.0, 112.0]


@pytest.mark.parametrize("timeout", [0.9, 0.0, -1.0])
def test_a_permit_after_the_timeout_is_left_to_others(timeout: float) -> None:
    limiter, sleeper = a_limiter(1)

    assert not limiter.acquire(timeout)
    assert limiter.acquire(1.0)
    assert sleeper.woken == [101.0]


def test_threads_share_one_pace() -> None:
    # Given a clock that stands still: each permit comes later by the number of permits before it
    naps: list[float] = []
    lock = threading.Lock()

    def nap(seconds: float) -> None:
        with lock:
            naps.append(seconds)

    limiter = RateLimiter(10, lambda: 0.0, nap)

    # When ten threads take a hundred permits
    with ThreadPoolExecutor(10) as pool:
        taken = list(pool.map(lambda _: limiter.acquire(60), range(100)))

    # Then no two have the same
    assert all(taken)
    assert sorted(naps) == pytest.approx([number / 10 for number in range(1, 101)])
