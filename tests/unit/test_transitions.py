"""Statuses and timing, against a literal copy of the design's table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.domain.timing import (
    DEFERRALS,
    DISPATCH_LEASE_SECONDS,
    EXPIRE_AFTER_SECONDS,
    FAILED_TRIES,
    HAND_ON_LEASE_SECONDS,
    KEY_DECLINED_BACKOFF_SECONDS,
    MAX_DECISION_AGE_SECONDS,
    OPENING_SPREAD_SECONDS,
    PollSchedule,
    backoff_seconds,
    utc_text,
)
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, TERMINAL, TRANSITIONS, predecessors
from tests.unit.parts import no_jitter

# `calling` never becomes `rejected`, which means "never dialled".
DESIGN: dict[str | None, set[str]] = {
    None: {"scheduled", "dispatching", "rejected", "cancelled"},
    "scheduled": {"scheduled", "dispatching", "rejected", "cancelled", "completed", "failed", "busy", "no-answer"},
    "dispatching": {
        "calling",
        "scheduled",
        "completed",
        "failed",
        "busy",
        "no-answer",
        "rejected",
        "cancelled",
        "unknown",
    },
    "calling": {"completed", "failed", "busy", "no-answer", "unknown"},
    "completed": set(),
    "failed": set(),
    "busy": set(),
    "no-answer": set(),
    "rejected": {"completed", "failed", "busy", "no-answer"},
    "cancelled": {"completed", "failed", "busy", "no-answer"},
    "unknown": {"completed", "failed", "busy", "no-answer"},
}
STATUSES = [status for status in DESIGN if status]


def test_the_statuses_are_those_of_the_design() -> None:
    assert {status.value for status in Status} == set(STATUSES)


def test_the_sources_are_those_of_the_design() -> None:
    assert {source.value for source in OutcomeSource} == {
        *("webhook", "poll", "call-log", "dispatch", "deadline", "upstream", "operator", "policy")
    }


@pytest.mark.parametrize("before", DESIGN)
def test_transitions_are_those_of_the_design(before: str | None) -> None:
    assert {after.value for after in TRANSITIONS[Status(before) if before else None]} == DESIGN[before]


@pytest.mark.parametrize("after", STATUSES)
def test_predecessors_are_the_same_table_read_backwards(after: str) -> None:
    assert {before.value for before in predecessors(Status(after))} == {
        before for before in STATUSES if after in DESIGN[before]
    }


@pytest.mark.parametrize("status", sorted(ALLOMIA_OUTCOMES))
def test_an_outcome_of_allomia_never_changes(status: Status) -> None:
    assert TRANSITIONS[status] == frozenset()


@pytest.mark.parametrize("status", sorted(TERMINAL - ALLOMIA_OUTCOMES))
def test_what_this_stack_concluded_gives_way_to_a_real_outcome_and_to_nothing_else(status: Status) -> None:
    assert TRANSITIONS[status] == ALLOMIA_OUTCOMES


def test_the_terminal_statuses_are_allomias_and_three_of_ours() -> None:
    assert {status.value for status in TERMINAL} - {status.value for status in ALLOMIA_OUTCOMES} == {
        *("rejected", "cancelled", "unknown")
    }


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_attempt_is_never_dialled_again(status: Status) -> None:
    assert not TRANSITIONS[status] & {Status.SCHEDULED, Status.DISPATCHING, Status.CALLING}


def test_an_accepted_call_is_never_dialled_again() -> None:
    assert not TRANSITIONS[Status.CALLING] & {Status.SCHEDULED, Status.DISPATCHING}


@pytest.mark.parametrize(
    ("times_parked", "seconds"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (5, 300), (10**9, 300)]
)
def test_the_backoff_doubles_from_half_a_minute_to_five_minutes(times_parked: int, seconds: float) -> None:
    assert backoff_seconds(times_parked, 0, no_jitter) == seconds


def test_jitter_adds_up_to_half_of_the_backoff() -> None:
    drawn: list[tuple[float, float]] = []

    def most(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    assert backoff_seconds(1, 0, most) == 90
    assert drawn == [(0, 30)]


@settings(deadline=None)
@given(st.integers(0, 10**12), st.floats(0, 10**6), st.floats(0, 1))
def test_the_backoff_is_at_least_as_long_as_asked_for_and_bounded(times: int, at_least: float, share: float) -> None:
    seconds = backoff_seconds(times, at_least, lambda low, high: low + share * (high - low))

    assert max(30, at_least) <= seconds <= max(300, at_least) + 150


def test_the_fixed_times() -> None:
    assert (EXPIRE_AFTER_SECONDS, KEY_DECLINED_BACKOFF_SECONDS, DISPATCH_LEASE_SECONDS) == (86_400, 300, 60)
    assert (HAND_ON_LEASE_SECONDS, OPENING_SPREAD_SECONDS, MAX_DECISION_AGE_SECONDS) == (120, 300, 5)


def test_a_backoff_grows_only_by_tries_that_allomia_did_not_accept() -> None:
    assert {reason.value for reason in FAILED_TRIES} == {"allomia-unreachable", "rate-limited", "key-declined"}
    assert {reason.value for reason in DEFERRALS} == {
        *("not-before", "paused", "outside-calling-window", "recipient-cap", "concurrency-limit", "redial")
    }


def test_the_deadline_counts_from_the_dispatch() -> None:
    assert PollSchedule(grace_seconds=180, deadline_seconds=7200).deadline_at(1000) == 8200


def test_times_are_written_in_utc() -> None:
    assert utc_text(1_775_053_800) == "2026-04-01T14:30:00Z"
