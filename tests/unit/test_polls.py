"""The words for what happens to a due attempt in a sweep. They are logged and counted."""

from dataclasses import asdict

from outbound_calls.adapters.allomia import MAX_EXCHANGE_SECONDS
from outbound_calls.use_cases.polls import (
    KEY_FAULTS,
    KEY_OF_ANOTHER_ORGANIZATION,
    NOT_ASKED,
    NOT_ITS_TURN,
    SECONDS_TO_POLL,
    SHORT_OF_TIME,
    Poll,
    PollResult,
)


def test_the_results_of_a_look() -> None:
    assert list(PollResult) == [
        "recorded",
        "dispatched",
        "redialled",
        "kept",
        "batch-cancelled",
        "waiting",
        "unavailable",
        "skipped",
    ]


def test_why_nothing_may_be_learned() -> None:
    assert (SHORT_OF_TIME, NOT_ITS_TURN) == ("short-of-time", "not-its-turn")
    assert KEY_OF_ANOTHER_ORGANIZATION == "key-of-another-organization"
    assert sorted(NOT_ASKED) == ["not-its-turn", "short-of-time"]
    assert sorted(KEY_FAULTS) == ["key-of-another-organization", "key-unusable"]


def test_a_look_needs_the_longest_exchange_and_time_to_record() -> None:
    assert SECONDS_TO_POLL == MAX_EXCHANGE_SECONDS + 5


def test_a_look_says_no_more_than_it_learned() -> None:
    assert asdict(Poll(PollResult.WAITING, None)) == {
        "result": "waiting",
        "key": None,
        "detail": "",
        "outcome": None,
        "attempt": None,
        "organization": None,
        "released": 0,
        "allomia_status": None,
        "lines": None,
    }
