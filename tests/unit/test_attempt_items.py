"""The stored shape of an attempt. Items outlive releases, so each attribute is pinned here as written and read."""

from decimal import Decimal
from typing import Any

import pytest

from outbound_calls.adapters.attempt_items import (
    REPORTED_FIELDS,
    WAITS_FOR_POLICY,
    WAITS_FOR_SETTING,
    allowance_text,
    attempt_from_item,
    details_item,
    ended_on,
    item_key,
    key_item,
    optional_int,
    redial_from_text,
    redial_text,
    request_item,
    terms_item,
    waits_for_line,
    waits_for_policy,
    waits_for_setting,
    without_none,
)
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Priority, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    CallRequest,
    Labels,
    Redial,
    Refusal,
    RequestKey,
    Terms,
)
from tests.unit.parts import ASSISTANT_ID, CALL_ID, CONTACT_ID, KEY, PHONE_NUMBER, PHONE_NUMBER_ID, SETTING, a_request

CLINIC = RequestKey("visit-2031", "clinic-a")
REQUEST = CallRequest(PHONE_NUMBER, ASSISTANT_ID, PHONE_NUMBER_ID, "Ada", {"day": "Monday"})
REQUEST_ITEM = {
    "phoneNumber": PHONE_NUMBER,
    "assistantId": ASSISTANT_ID,
    "phoneNumberId": PHONE_NUMBER_ID,
    "customerName": "Ada",
    "dynamicVariables": {"day": "Monday"},
}

LEAST = {"requestId": "visit-2031", "attempt": Decimal(1), "status": "scheduled", "createdAt": 1, "timesParked": 0}
WHOLE = {
    "requestId": "clinic-a~visit-2031",
    "attempt": Decimal(2),
    "status": "scheduled",
    "createdAt": Decimal(101),
    "request": REQUEST_ITEM,
    "metadata": {"chart": "9"},
    "batch": "recalls",
    "purpose": "reminder",
    "notBefore": Decimal(102),
    "notAfter": Decimal(103),
    "terms": {
        "timeZone": "America/Toronto",
        "callingWindows": '[{"days": ["mon"]}]',
        "redial": '{"max": 2}',
        "priority": "urgent",
    },
    "fingerprint": "print",
    "timesParked": Decimal(3),
    "failedTries": Decimal(4),
    "parkReason": "paused",
    "refusal": {"firstAt": Decimal(104), "times": Decimal(5), "words": "no"},
    "setting": SETTING,
    "dueAt": Decimal(105),
    "expiry": Decimal(106),
    "policyVersion": Decimal(7),
    "allowedBy": "canada 12 2026f number America/Toronto America/Detroit",
    "redial": '{"max":3,"on":{"busy":[60,120]},"reasons":{"voicemail":[5]}}',
    "redialAt": Decimal(107),
    "nextAttempt": Decimal(8),
    "cancelRequestedAt": Decimal(108),
    "cancelRequestedBy": "operator",
    "answeredAt": Decimal(109),
    "isDropped": True,
    "isRedial": True,
    "claimId": "claim",
    "line": "line",
    "dispatchedAt": Decimal(110),
    "postResult": "timeout",
    "numberHash": "hash",
    "soughtSince": Decimal(111),
    "outboundCallId": CALL_ID,
    "contactId": CONTACT_ID,
    "callLogId": "log",
    "allomiaStatus": "ringing",
    "callDetails": {"startedAt": "s", "endedAt": "e", "duration": Decimal("1.5"), "endedReason": "hung-up"},
    "outcomeSource": "poll",
    "recordedAt": Decimal(112),
    "reasonCode": "expired",
    "reason": "too late",
    "resolvedBy": "arn",
}
READ = Attempt(
    key=AttemptKey(CLINIC, 2),
    created_at=101,
    status=Status.SCHEDULED,
    request=REQUEST,
    labels=Labels({"chart": "9"}, "recalls", "reminder"),
    terms=Terms(102, 103, "America/Toronto", [{"days": ["mon"]}], {"max": 2}, Priority.URGENT),
    fingerprint="print",
    times_parked=3,
    failed_tries=4,
    park_reason=ParkReason.PAUSED,
    refusal=Refusal(104, 5, "no"),
    setting=SETTING,
    due_at=105,
    expires_at=106,
    policy_version=7,
    allowance=Allowance(12, "canada", ("America/Toronto", "America/Detroit"), "number", "2026f"),
    redial=Redial(3, {"busy": (60, 120)}, {"voicemail": (5,)}),
    redial_at=107,
    next_attempt=8,
    cancel_requested_at=108,
    cancel_requested_by=OutcomeSource.OPERATOR,
    answered_at=109,
    is_dropped=True,
    is_redial=True,
    claim_id="claim",
    line="line",
    dispatched_at=110,
    post_result="timeout",
    number_hash="hash",
    sought_since=111,
    outbound_call_id=CALL_ID,
    contact_id=CONTACT_ID,
    call_log_id="log",
    allomia_status="ringing",
    call_details=CallDetails("s", "e", 1.5, "hung-up"),
    outcome_source=OutcomeSource.POLL,
    recorded_at=112,
    reason_code=ReasonCode.EXPIRED,
    reason="too late",
    resolved_by="arn",
)
PRIVATE = {"request", "terms", "fingerprint", "numberHash"}
NOT_REPORTED = PRIVATE | {
    *("failedTries", "redial", "cancelRequestedBy", "line", "postResult", "soughtSince"),
}


def test_every_attribute_is_read_into_its_field() -> None:
    assert attempt_from_item(WHOLE) == READ


def test_an_attempt_without_more_than_it_must_have() -> None:
    read = attempt_from_item(LEAST)

    assert read == Attempt(KEY, 1, Status.SCHEDULED)
    assert [type(number) for number in (read.key.number, read.created_at, read.times_parked)] == [int, int, int]


def test_whole_numbers_are_integers_again() -> None:
    whole = attempt_from_item(WHOLE)

    assert not [name for name in Attempt.__slots__ if isinstance(getattr(whole, name), Decimal)]


def test_a_report_reads_nothing_of_the_request() -> None:
    assert set(REPORTED_FIELDS) == WHOLE.keys() - NOT_REPORTED
    assert len(set(REPORTED_FIELDS)) == len(REPORTED_FIELDS)
    assert attempt_from_item({name: WHOLE[name] for name in REPORTED_FIELDS}).key == READ.key


@pytest.mark.parametrize(
    ("key", "item"),
    [
        (KEY, {"requestId": "visit-2031", "attempt": 1}),
        (AttemptKey(CLINIC, 12), {"requestId": "clinic-a~visit-2031", "attempt": 12}),
    ],
)
def test_a_key_and_its_attributes(key: AttemptKey, item: dict[str, Any]) -> None:
    assert key_item(key) == item
    assert item_key(item | {"attempt": Decimal(item["attempt"])}) == key


def test_a_key_that_no_request_can_have_is_not_read() -> None:
    with pytest.raises(InvalidInput):
        item_key({"requestId": "..", "attempt": 1})


def test_what_is_to_be_dialled_is_stored_without_what_it_lacks() -> None:
    assert request_item(REQUEST) == REQUEST_ITEM
    assert request_item(CallRequest(PHONE_NUMBER, None, None)) == {"phoneNumber": PHONE_NUMBER}
    assert attempt_from_item(LEAST | {"request": {"phoneNumber": PHONE_NUMBER}}).request == CallRequest(
        PHONE_NUMBER, None, None
    )
    assert request_item(a_request(dynamic_variables={}))["dynamicVariables"] == {}


def test_terms_are_stored_as_far_as_they_say_something() -> None:
    assert terms_item(Terms()) == {}
    assert terms_item(READ.terms) == WHOLE["terms"]
    assert terms_item(Terms(priority=Priority.LOW)) == {"priority": "low"}
    assert attempt_from_item(LEAST | {"terms": {"priority": "low"}}).terms == Terms(priority=Priority.LOW)
    assert attempt_from_item(LEAST | {"terms": {"timeZone": "UTC"}}).terms == Terms(time_zone="UTC")


@pytest.mark.parametrize(
    ("allowance", "text"),
    [
        (Allowance(0, "open"), "open 0"),
        (Allowance(12, "canada", ("America/Toronto",), "number", "2026f"), "canada 12 2026f number America/Toronto"),
        (READ.allowance, WHOLE["allowedBy"]),
    ],
)
def test_what_allowed_a_dial_is_stored_in_short(allowance: Allowance, text: str) -> None:
    assert allowance_text(allowance) == text
    assert attempt_from_item(LEAST | {"allowedBy": text}).allowance == allowance


@pytest.mark.parametrize(
    ("redial", "text"),
    [
        (Redial(), '{"max":1}'),
        (Redial(2, {"busy": (60,)}), '{"max":2,"on":{"busy":[60]}}'),
        (Redial(2, {}, {"voicemail": (60,)}), '{"max":2,"reasons":{"voicemail":[60]}}'),
        (READ.redial, WHOLE["redial"]),
    ],
)
def test_redial_rules_are_one_text_that_a_condition_can_compare(redial: Redial, text: str) -> None:
    assert redial_text(redial) == text
    assert redial_from_text(text) == redial


@pytest.mark.parametrize(
    ("duration", "stored", "read"),
    [
        (150, 150, 150),
        (1.5, Decimal("1.5"), 1.5),
        (0.1, Decimal("0.1"), 0.1),
        (2.0, Decimal("2.0"), 2),
        (None, None, None),
    ],
)
def test_a_duration_is_a_decimal_number_without_the_error_of_a_float(
    duration: float | None, stored: object, read: object
) -> None:
    item = details_item(CallDetails(duration=duration))

    assert item == without_none({"duration": stored})
    found = attempt_from_item(LEAST | {"callDetails": item}).call_details
    assert found is not None
    assert (found, type(found.duration)) == (CallDetails(duration=duration), type(read))


def test_the_details_of_a_call_are_stored_as_far_as_they_are_known() -> None:
    assert details_item(None) is None
    assert details_item(READ.call_details) == WHOLE["callDetails"]
    assert details_item(CallDetails(started_at="s")) == {"startedAt": "s"}
    assert attempt_from_item(LEAST | {"callDetails": {}}).call_details == CallDetails()
    assert attempt_from_item(LEAST | {"callDetails": {"duration": Decimal(150)}}).call_details == CallDetails(
        duration=150
    )


def test_the_partitions_of_the_index_of_what_ended() -> None:
    assert ended_on(None, 1_775_053_800.9) == "~2026-04-01"
    assert ended_on("clinic-a", 1_775_087_999.9) == "clinic-a~2026-04-01"
    assert ended_on("clinic-a", 1_775_088_000) == "clinic-a~2026-04-02"


def test_the_partitions_of_the_index_of_what_waits() -> None:
    assert [waits_for_policy(None), waits_for_policy("clinic-a")] == ["~policy", "clinic-a~policy"]
    assert waits_for_line(None, Priority.NORMAL) == "~line~normal"
    assert waits_for_line("clinic-a", Priority.URGENT) == "clinic-a~line~urgent"
    assert waits_for_setting(READ) == f"clinic-a~refused~{SETTING}"
    # One that is read without its request has its setting alone; one that was never stored, its request alone.
    assert waits_for_setting(Attempt(KEY, 1, setting="a-b")) == "~refused~a-b"
    assert waits_for_setting(Attempt(KEY, 1, request=a_request(), setting="a-b")) == f"~refused~{SETTING}"


def test_what_waits_for_another_policy_and_what_for_another_setting() -> None:
    assert sorted(WAITS_FOR_POLICY) == ["outside-calling-window", "paused", "policy-unreadable", "recipient-cap"]
    assert sorted(WAITS_FOR_SETTING) == ["circuit-open", "refused-by-allomia"]


def test_an_attribute_that_holds_nothing_is_not_stored() -> None:
    assert without_none({"a": None, "b": 0, "c": "", "d": False}) == {"b": 0, "c": "", "d": False}
    assert (optional_int({"a": Decimal(5)}, "a"), optional_int({}, "a")) == (5, None)
