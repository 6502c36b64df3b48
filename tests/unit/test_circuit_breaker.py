"""The circuit breaker: when it opens, which calls it permits, and when it closes."""

import threading
import time
from collections.abc import Callable, Iterable

import pytest

from outbound_calls.adapters.circuit_breaker import CircuitBreaker, CircuitBreakers, Permit
from tests.unit.parts import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def permit_of(breaker: CircuitBreaker) -> Permit:
    permit = breaker.acquire()
    assert permit is not None
    return permit


def is_open(breaker: CircuitBreaker) -> bool:
    return breaker._times_opened > 0


def calls(breaker: CircuitBreaker, how_they_go: Iterable[bool]) -> None:
    for healthy in how_they_go:
        with permit_of(breaker) as permit:
            permit.report(healthy)


def opened(breaker: CircuitBreaker) -> CircuitBreaker:
    calls(breaker, [False] * breaker.threshold)
    return breaker


def test_it_opens_after_five_failures_in_a_row(breaker: CircuitBreaker) -> None:
    calls(breaker, [False] * 4)
    assert not is_open(breaker)

    calls(breaker, [False])

    assert is_open(breaker)
    assert breaker.acquire() is None
    assert breaker.seconds_left() == 30


def test_one_success_resets_the_count(breaker: CircuitBreaker) -> None:
    calls(breaker, [False, False, False, False, True] * 5)

    assert not is_open(breaker)
    assert breaker.seconds_left() == 0


def test_it_permits_nothing_while_it_is_open(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)

    clock.pass_seconds(29.9)

    assert breaker.acquire() is None
    assert breaker.seconds_left() == pytest.approx(0.1)


def test_then_it_permits_one_probe_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    assert breaker.seconds_left() == 0
    permit_of(breaker)

    assert [breaker.acquire() for _ in range(10)] == [None] * 10


def test_a_successful_probe_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    calls(breaker, [True])

    assert not is_open(breaker)
    assert not any(permit_of(breaker).probe for _ in range(10))


def test_after_closing_it_counts_from_zero(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    calls(breaker, [True, False, False, False, False])

    assert not is_open(breaker)


def test_each_failed_probe_opens_it_for_twice_as_long_up_to_five_minutes(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    waits = []
    for _ in range(6):
        waits.append(breaker.seconds_left())
        clock.pass_seconds(waits[-1])
        calls(breaker, [False])

    assert waits == [30, 60, 120, 240, 300, 300]


def test_after_a_success_it_opens_for_the_shortest_time_again(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)
    calls(breaker, [False])
    clock.pass_seconds(60)
    calls(breaker, [True])

    opened(breaker)

    assert breaker.seconds_left() == 30


def test_failures_of_calls_in_progress_do_not_keep_it_open_longer(breaker: CircuitBreaker, clock: Clock) -> None:
    in_progress = [permit_of(breaker) for _ in range(10)]
    for permit in in_progress[:5]:
        permit.report(healthy=False)
    clock.pass_seconds(20)

    for permit in in_progress[5:]:
        permit.report(healthy=False)

    assert breaker.seconds_left() == 10
    clock.pass_seconds(10)
    assert permit_of(breaker).probe


def test_a_success_of_a_call_in_progress_closes_it(breaker: CircuitBreaker) -> None:
    straggler = permit_of(breaker)
    opened(breaker)

    straggler.report(healthy=True)

    assert not is_open(breaker)
    assert not permit_of(breaker).probe


def test_a_call_in_progress_does_not_permit_a_second_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    stragglers = [permit_of(breaker) for _ in range(2)]
    opened(breaker)
    clock.pass_seconds(30)
    permit_of(breaker)

    stragglers[0].report(healthy=False)
    breaker.release(stragglers[1])

    assert breaker.acquire() is None


def test_an_unused_permit_passes_to_the_next_call(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    with permit_of(breaker):
        pass

    with permit_of(breaker) as permit:
        assert permit.probe
        assert breaker.acquire() is None


def test_a_permit_is_released_when_the_work_fails_before_the_call(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    def work() -> None:
        with permit_of(breaker):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        work()

    assert permit_of(breaker).probe


def test_a_reported_permit_does_not_end_the_probe_of_another_call(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    with permit_of(breaker) as permit:
        permit.report(healthy=False)
        clock.pass_seconds(60)
        permit_of(breaker)

    assert breaker.acquire() is None


def test_an_unused_permit_counts_neither_way(breaker: CircuitBreaker) -> None:
    calls(breaker, [False] * 4)
    with permit_of(breaker):
        pass
    assert not is_open(breaker)

    calls(breaker, [False])

    assert is_open(breaker)


def at_once(count: int, work: Callable[[], object]) -> None:
    together = threading.Barrier(count)

    def run() -> None:
        together.wait(10)
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)


def test_of_concurrent_threads_one_gets_the_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)
    permits: list[Permit | None] = []

    at_once(32, lambda: permits.append(breaker.acquire()))

    assert len(permits) == 32
    assert sum(permit is not None for permit in permits) == 1


class SlowClock(Clock):
    """Gives the other threads time to come in between."""

    def __call__(self) -> float:
        time.sleep(0.005)
        return super().__call__()


def test_the_check_and_the_permit_are_one_step() -> None:
    clock = SlowClock()
    breaker = opened(CircuitBreaker(clock))
    clock.pass_seconds(30)
    permits: list[Permit | None] = []

    at_once(10, lambda: permits.append(breaker.acquire()))

    assert sum(permit is not None for permit in permits) == 1


def test_concurrent_failures_open_it_once() -> None:
    clock = SlowClock()
    breaker = CircuitBreaker(clock, threshold=1)
    permits = [permit_of(breaker) for _ in range(10)]

    at_once(10, lambda: permits.pop().report(healthy=False))
    clock.pass_seconds(30)
    calls(breaker, [False])

    assert breaker.seconds_left() == 60


def test_no_failure_of_a_thread_is_missed() -> None:
    breaker = CircuitBreaker(Clock(), threshold=32 * 50)

    def work() -> None:
        for _ in range(50):
            assert not is_open(breaker)
            permit_of(breaker).report(healthy=False)

    at_once(32, work)

    assert is_open(breaker)


def test_each_name_has_a_breaker_of_its_own(clock: Clock) -> None:
    breakers = CircuitBreakers(clock)

    opened(breakers.of("wrong"))

    assert breakers.of("wrong").acquire() is None
    assert breakers.of("right").acquire()


def test_breakers_that_remember_something_are_kept(clock: Clock) -> None:
    breakers = CircuitBreakers(clock, most=3)
    opened(breakers.of("open"))
    permit_of(breakers.of("failed once")).report(healthy=False)
    kept = [breakers.of("open"), breakers.of("failed once")]

    for number in range(10):
        permit_of(breakers.of(f"healthy {number}")).report(healthy=True)

    assert [breakers.of("open"), breakers.of("failed once")] == kept
    assert len(breakers._breakers) <= 4


def test_breakers_that_remember_nothing_are_forgotten_where_there_is_no_room_for_another_one(clock: Clock) -> None:
    breakers = CircuitBreakers(clock, most=3)
    first, *_ = [breakers.of(name) for name in ("a", "b", "c")]

    assert len(breakers._breakers) == 3
    assert breakers.of("a") is first
    breakers.of("d")

    assert list(breakers._breakers) == ["d"]
    assert CircuitBreakers(clock).most == 1000
