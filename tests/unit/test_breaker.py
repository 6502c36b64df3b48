"""The circuit breaker: when it opens, whom it lets try, and when it closes again."""

import threading
import time
from collections.abc import Callable, Iterable

import pytest

from outbound_calls.breaker import Breaker, Permit
from tests.unit.parts import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def is_open(breaker: Breaker) -> bool:
    return breaker._opened > 0


def calls(breaker: Breaker, how_they_go: Iterable[bool]) -> None:
    for healthy in how_they_go:
        with admitted(breaker) as permit:
            permit.report(healthy)


def opened(breaker: Breaker) -> Breaker:
    calls(breaker, [False] * breaker.threshold)
    return breaker


def test_it_opens_after_five_failures_in_a_row(breaker: Breaker) -> None:
    calls(breaker, [False] * 4)
    assert not is_open(breaker)

    calls(breaker, [False])

    assert is_open(breaker)
    assert breaker.admit() is None
    assert breaker.seconds_left() == 30


def test_one_success_makes_the_count_begin_anew(breaker: Breaker) -> None:
    calls(breaker, [False, False, False, False, True] * 5)

    assert not is_open(breaker)
    assert breaker.seconds_left() == 0


def test_it_holds_everything_back_while_it_is_open(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)

    clock.pass_seconds(29.9)

    assert breaker.admit() is None
    assert breaker.seconds_left() == pytest.approx(0.1)


def test_then_one_call_passes_at_a_time(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    assert breaker.seconds_left() == 0
    admitted(breaker)

    assert [breaker.admit() for _ in range(10)] == [None] * 10


def test_its_success_closes_it_for_all(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    calls(breaker, [True])

    assert not is_open(breaker)
    assert not any(admitted(breaker).probe for _ in range(10))


def test_after_it_closed_a_run_is_counted_from_nothing(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    calls(breaker, [True, False, False, False, False])

    assert not is_open(breaker)


def test_each_failure_of_the_trying_call_opens_it_for_twice_as_long_up_to_five_minutes(
    breaker: Breaker, clock: Clock
) -> None:
    opened(breaker)
    waits = []
    for _ in range(6):
        waits.append(breaker.seconds_left())
        clock.pass_seconds(waits[-1])
        calls(breaker, [False])

    assert waits == [30, 60, 120, 240, 300, 300]


def test_after_a_success_it_opens_for_the_shortest_time_again(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)
    calls(breaker, [False])
    clock.pass_seconds(60)
    calls(breaker, [True])

    opened(breaker)

    assert breaker.seconds_left() == 30


def test_failures_of_calls_that_were_under_way_do_not_prolong_it(breaker: Breaker, clock: Clock) -> None:
    under_way = [admitted(breaker) for _ in range(10)]
    for permit in under_way[:5]:
        permit.report(healthy=False)
    clock.pass_seconds(20)

    for permit in under_way[5:]:
        permit.report(healthy=False)

    assert breaker.seconds_left() == 10
    clock.pass_seconds(10)
    assert admitted(breaker).probe


def test_a_success_of_a_call_that_was_under_way_does_not_close_it(breaker: Breaker) -> None:
    straggler = admitted(breaker)
    opened(breaker)

    straggler.report(healthy=True)

    assert is_open(breaker)
    assert breaker.admit() is None


def test_a_straggler_does_not_let_a_second_call_try(breaker: Breaker, clock: Clock) -> None:
    stragglers = [admitted(breaker) for _ in range(3)]
    opened(breaker)
    clock.pass_seconds(30)
    admitted(breaker)

    stragglers[0].report(healthy=True)
    stragglers[1].report(healthy=False)
    breaker.abandon(stragglers[2])

    assert breaker.admit() is None


def test_a_permit_that_was_not_used_passes_to_the_next(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    with admitted(breaker):
        pass

    with admitted(breaker) as permit:
        assert permit.probe
        assert breaker.admit() is None


def test_a_permit_is_given_back_when_the_work_fails_before_the_call(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)

    def work() -> None:
        with admitted(breaker):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        work()

    assert admitted(breaker).probe


def test_a_permit_that_was_not_used_counts_neither_way(breaker: Breaker) -> None:
    calls(breaker, [False] * 4)
    with admitted(breaker):
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


def test_of_threads_that_come_at_once_one_gets_to_try(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.pass_seconds(30)
    permits: list[Permit | None] = []

    at_once(32, lambda: permits.append(breaker.admit()))

    assert len(permits) == 32
    assert sum(permit is not None for permit in permits) == 1


class SlowClock(Clock):
    """Gives the other threads time to come in between."""

    def __call__(self) -> float:
        time.sleep(0.005)
        return super().__call__()


def test_threads_cannot_come_between_the_look_and_the_permit() -> None:
    clock = SlowClock()
    breaker = opened(Breaker(clock))
    clock.pass_seconds(30)
    permits: list[Permit | None] = []

    at_once(10, lambda: permits.append(breaker.admit()))

    assert sum(permit is not None for permit in permits) == 1


def test_threads_that_fail_at_once_open_it_once() -> None:
    clock = SlowClock()
    breaker = Breaker(clock, threshold=1)
    permits = [admitted(breaker) for _ in range(10)]

    at_once(10, lambda: permits.pop().report(healthy=False))
    clock.pass_seconds(30)
    calls(breaker, [False])

    assert breaker.seconds_left() == 60


def test_no_failure_of_a_thread_is_missed() -> None:
    breaker = Breaker(Clock(), threshold=32 * 50)

    def work() -> None:
        for _ in range(50):
            assert not is_open(breaker)
            admitted(breaker).report(healthy=False)

    at_once(32, work)

    assert is_open(breaker)
