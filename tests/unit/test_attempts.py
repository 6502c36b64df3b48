"""Keys, and what an attempt says about itself."""

from dataclasses import fields
from typing import Any

import pytest

from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, Priority, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    CallRequest,
    Labels,
    Outcome,
    Redial,
    RequestKey,
    Terms,
)
from tests.unit.parts import ASSISTANT_ID, CALL_ID, KEY, PHONE_NUMBER_ID, SETTING


def an_attempt(status: Status | None = None, outbound_call_id: str | None = None) -> Attempt:
    return Attempt(KEY, created_at=1000, status=status, outbound_call_id=outbound_call_id)


@pytest.mark.parametrize(
    ("key", "text"),
    [(RequestKey("visit-2031"), "visit-2031"), (RequestKey("visit-2031", "north"), "north~visit-2031")],
)
def test_a_request_key_and_its_text(key: RequestKey, text: str) -> None:
    assert str(key) == text
    assert RequestKey.from_text(text) == key


def test_the_text_of_an_attempts_key_ends_with_its_number() -> None:
    assert str(AttemptKey(RequestKey("visit-2031", "north"), 2)) == "north~visit-2031/2"


@pytest.mark.parametrize("text", ["", "..", "a/b", "~a", "north~", "North~a", "a~b~c"])
def test_a_text_that_no_request_can_have_is_invalid(text: str) -> None:
    with pytest.raises(InvalidInput, match="requestId: "):
        RequestKey.from_text(text)


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (RequestKey("visit-2031"), {"request_id"}),
        (CallRequest("+14155550123", "a", "b"), {"phone_number", "assistant_id", "phone_number_id"}),
        (Labels(), {"metadata"}),
        (Terms(), {"priority"}),
        (Allowance(1, "open"), {"policy_version", "preset", "zones"}),
        (CallDetails(), set()),
        (Outcome(Status.FAILED, OutcomeSource.POLL), {"status", "source"}),
        (
            Attempt(AttemptKey(RequestKey("a"), 1), 1000),
            {"key", "created_at", "labels", "terms", "times_parked", "failed_tries", "is_dropped", "is_redial"},
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_field_that_was_not_given_is_none(value: Any, given: set[str]) -> None:
    assert {getattr(value, field.name) for field in fields(value) if field.name not in given} <= {None}


def test_a_new_attempt_has_no_labels_and_was_never_parked_or_dropped() -> None:
    attempt = an_attempt()

    assert (attempt.labels, attempt.terms) == (Labels({}, None), Terms())
    assert (attempt.is_dropped, attempt.is_redial) == (False, False)
    assert (attempt.times_parked, attempt.failed_tries) == (0, 0)


def test_without_rules_no_attempt_follows_and_without_zones_none_is_named() -> None:
    assert Redial() == Redial(1, {}, {})
    assert Allowance(1, "open").zones == ()
    assert Terms().priority is Priority.NORMAL


def test_a_setting_is_named_by_the_first_8_characters_of_its_two_ids() -> None:
    assert CallRequest("+14155550123", ASSISTANT_ID, PHONE_NUMBER_ID).setting == SETTING
    assert CallRequest("+14155550123", None, None).setting == "-"


@pytest.mark.parametrize("status", [None, *Status])
def test_only_a_terminal_attempt_is_final_and_unknown_is_not(status: Status | None) -> None:
    final = {"completed", "failed", "busy", "no-answer", "rejected", "cancelled"}

    assert an_attempt(status).final is (status in final)


DIALLED = {
    None: Dialled.NO,
    Status.SCHEDULED: Dialled.NO,
    Status.REJECTED: Dialled.NO,
    Status.CANCELLED: Dialled.NO,
    Status.DISPATCHING: Dialled.MAYBE,
    Status.UNKNOWN: Dialled.MAYBE,
    Status.COMPLETED: Dialled.YES,
    Status.FAILED: Dialled.YES,
    Status.BUSY: Dialled.YES,
    Status.NO_ANSWER: Dialled.YES,
}


@pytest.mark.parametrize("status", DIALLED)
def test_the_status_says_whether_the_phone_was_dialled(status: Status | None) -> None:
    assert an_attempt(status).dialled is DIALLED[status]


@pytest.mark.parametrize("status", [Status.CALLING, Status.UNKNOWN, Status.DISPATCHING])
def test_an_attempt_with_a_call_id_was_dialled(status: Status) -> None:
    assert an_attempt(status, CALL_ID).dialled is Dialled.YES
