"""When a refused attempt is tried again, and when its refusal is final. Its way through the table: tests/cloud."""

import pytest

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Attempt, Refusal
from outbound_calls.policy.refusals import (
    CLOCKS_APART_SECONDS,
    MOST_ACCEPTED,
    MOST_REFUSED,
    again,
    is_final,
    may_be_final,
    retry_at,
)
from tests.unit.parts import KEY


def test_a_refusal_counts_from_the_first_and_keeps_the_last_words() -> None:
    first = again(None, 1000.9, "HTTP 400")

    assert first == Refusal(1000, 1, "HTTP 400")
    assert again(again(first, 1060, "HTTP 402"), 1180, "HTTP 422") == Refusal(1000, 3, "HTTP 422")


@pytest.mark.parametrize(
    ("times", "now", "at"),
    [
        *((1, 1001, 1060), (2, 1061, 1180), (3, 1181, 1360), (1, 1060, 1060), (2, 1200.5, 1200.5)),
        *((4, 1361, 1661), (5, 2000.5, 2300.5)),
    ],
)
def test_it_is_tried_after_1_3_and_6_minutes_and_then_every_5(times: int, now: float, at: float) -> None:
    assert retry_at(Refusal(1000, times, ""), now) == at


def test_it_may_be_final_from_its_third_retry_on() -> None:
    assert [may_be_final(Refusal(1000, times, "")) for times in (1, 2, 3, 4, 5)] == [False, False, False, True, True]


def ended(began: int | None, ended_at: int) -> Attempt:
    return Attempt(KEY, 0, Status.COMPLETED, dispatched_at=began, recorded_at=ended_at)


def in_progress(began: int) -> Attempt:
    return Attempt(KEY, 0, Status.CALLING, dispatched_at=began)


def unknown(began: int) -> Attempt:
    """AlloMia took it, and nothing was heard of it: it counts as a call at once with all later ones."""
    return Attempt(KEY, 0, Status.UNKNOWN, dispatched_at=began)


THREE = [ended(0, 10), ended(20, 30), ended(40, 50)]


@pytest.mark.parametrize(
    ("others", "refused", "expected"),
    [
        *(([], 0, False), ([], 1, False), (THREE[:2], 0, False), (THREE[:2], 1, False)),
        *((THREE, 0, True), (THREE, 1, True), (THREE, 2, False), (THREE * 2, 2, True), (THREE * 2, 3, False)),
    ],
)
def test_three_times_as_many_must_be_accepted_as_are_refused_now(
    others: list[Attempt], refused: int, expected: bool
) -> None:
    assert is_final(others, refused) is expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        # One at a time was borne, and one is in progress: the line may be full.
        ([*THREE, in_progress(60)], False),
        ([*THREE, in_progress(50)], False),
        ([*THREE, in_progress(49)], True),
        ([*THREE, ended(5, 25), in_progress(60)], True),
        ([*THREE, ended(5, 25), in_progress(60), in_progress(70)], False),
        ([*THREE, ended(5, 25), ended(6, 25), in_progress(60), in_progress(70)], True),
        ([*THREE, unknown(60), in_progress(70)], True),
        # Without a time it counts as begun at the start.
        ([*THREE, ended(None, 1), in_progress(60)], True),
        ([*THREE, ended(None, 0), in_progress(60)], False),
    ],
)
def test_allomia_must_have_borne_more_calls_at_once_than_are_in_progress(others: list[Attempt], expected: bool) -> None:
    assert is_final(others, 1) is expected


def test_how_much_is_read_at_most() -> None:
    assert (CLOCKS_APART_SECONDS, MOST_ACCEPTED, MOST_REFUSED) == (10, 100, 34)
    # More refused than this can't be outnumbered three to one by all that are read.
    assert 3 * MOST_REFUSED > MOST_ACCEPTED
