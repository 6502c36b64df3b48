"""The life of an attempt, against the table of the design, typed out here once more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_calls.lifecycle import (
    ALLOMIA_OUTCOMES,
    KEY_REFUSED_BACKOFF_SECONDS,
    PLACE_WITHIN_SECONDS,
    RELEASE_LEASE_SECONDS,
    TERMINAL,
    TRANSITIONS,
    OutcomeSource,
    PollSchedule,
    Status,
    parking_seconds,
    predecessors,
)
from tests.unit.parts import no_jitter

# A literal copy, in the words of the wire. `scheduled` goes beyond the design twice: it may be put off again, and a
# signed webhook may bring it an outcome, because only a call that was placed has one. `calling` never becomes
# `rejected`, which means "never dialled".
DESIGN: dict[str | None, set[str]] = {
    None: {"scheduled", "dispatching"},
    "scheduled": {"scheduled", "dispatching", "rejected", "completed", "failed", "busy", "no-answer"},
    "dispatching": {"calling", "scheduled", "completed", "failed", "busy", "no-answer", "rejected", "unknown"},
    "calling": {"completed", "failed", "busy", "no-answer", "unknown"},
    "completed": set(),
    "failed": set(),
    "busy": set(),
    "no-answer": set(),
    "rejected": set(),
    "unknown": {"completed", "failed", "busy", "no-answer"},
}
STATUSES = [status for status in DESIGN if status]


def test_the_statuses_are_those_of_the_design() -> None:
    assert {status.value for status in Status} == set(STATUSES)


def test_the_sources_are_those_of_the_design() -> None:
    assert {source.value for source in OutcomeSource} == {"webhook", "poll", "dispatch", "deadline", "operator"}


@pytest.mark.parametrize("before", DESIGN)
def test_what_may_follow_is_what_the_design_says(before: str | None) -> None:
    assert {after.value for after in TRANSITIONS[Status(before) if before else None]} == DESIGN[before]


@pytest.mark.parametrize("after", STATUSES)
def test_predecessors_are_the_same_table_read_backwards(after: str) -> None:
    assert {before.value for before in predecessors(Status(after))} == {
        before for before in STATUSES if after in DESIGN[before]
    }


@pytest.mark.parametrize("status", sorted(TERMINAL - {Status.UNKNOWN}))
def test_a_terminal_status_never_changes(status: Status) -> None:
    assert TRANSITIONS[status] == frozenset()


def test_unknown_gives_way_to_a_real_outcome_and_to_nothing_else() -> None:
    assert TRANSITIONS[Status.UNKNOWN] == ALLOMIA_OUTCOMES


def test_terminal_are_the_outcomes_of_allomia_and_the_two_of_ours() -> None:
    assert {status.value for status in TERMINAL} == {"completed", "failed", "busy", "no-answer", "rejected", "unknown"}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_is_terminal_is_never_dialled_again(status: Status) -> None:
    assert not TRANSITIONS[status] & {Status.SCHEDULED, Status.DISPATCHING, Status.CALLING}


def test_a_call_that_allomia_took_is_never_dialled_again() -> None:
    assert not TRANSITIONS[Status.CALLING] & {Status.SCHEDULED, Status.DISPATCHING}


@pytest.mark.parametrize(
    ("times_parked", "seconds"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (5, 300), (10**9, 300)]
)
def test_parking_doubles_from_half_a_minute_to_five_minutes(times_parked: int, seconds: float) -> None:
    assert parking_seconds(times_parked, 0, no_jitter) == seconds


def test_parking_spreads_upwards_by_half_of_the_backoff() -> None:
    drawn: list[tuple[float, float]] = []

    def most(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    assert parking_seconds(1, 0, most) == 90
    assert drawn == [(0, 30)]


@given(st.integers(0, 10**12), st.floats(0, 10**6), st.floats(0, 1))
def test_parking_is_never_shorter_than_asked_for_nor_endless(times: int, at_least: float, share: float) -> None:
    seconds = parking_seconds(times, at_least, lambda low, high: low + share * (high - low))

    assert max(30, at_least) <= seconds <= max(300, at_least) + 150


def test_the_fixed_times() -> None:
    assert (PLACE_WITHIN_SECONDS, KEY_REFUSED_BACKOFF_SECONDS, RELEASE_LEASE_SECONDS) == (86_400, 300, 60)


def test_the_deadline_counts_from_the_dispatch() -> None:
    assert PollSchedule(grace=180, deadline=7200).deadline_at(1000) == 8200
