"""A call as AlloMia reports it: what is required, and what may be missing, new or odd."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.adapters.call_states import details_on_the_wire, outcome_from_state
from outbound_calls.contracts.allomia import CallDetails, CallState, is_failed_without_id, read_call_state
from outbound_calls.contracts.vocabulary import OutcomeSource, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import CallDetails as AttemptDetails
from outbound_calls.domain.attempts import Outcome
from tests.unit.parts import CALL_ID, CONTACT_ID

# The example in AlloMia's documentation.
DETAILS: dict[str, Any] = {
    "startedAt": "2026-04-01T14:30:00Z",
    "endedAt": "2026-04-01T14:32:30Z",
    "duration": 150,
    "endedReason": "customer-ended-call",
}
DOCUMENTED = {"outboundCallId": CALL_ID, "contactId": CONTACT_ID, "status": "completed", "callDetails": DETAILS}


def state(**changes: Any) -> CallState:
    return read_call_state(json.dumps(DOCUMENTED | changes))


def details(**changes: Any) -> CallDetails:
    found = state(callDetails=DETAILS | changes).call_details
    assert found
    return found


def error_of(body: str | bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_call_state(body)
    return caught.value


def test_the_documented_answer_is_read() -> None:
    assert state() == CallState(
        outbound_call_id=CALL_ID,
        contact_id=CONTACT_ID,
        status="completed",
        call_details=CallDetails(
            started_at="2026-04-01T14:30:00Z",
            ended_at="2026-04-01T14:32:30Z",
            duration=150,
            ended_reason="customer-ended-call",
        ),
    )


@pytest.mark.parametrize("status", ["ringing", "Completed", "no_answer", "unknown", "rejected", "", None, 1, ["busy"]])
def test_an_undocumented_status_is_invalid(status: object) -> None:
    error = error_of(json.dumps(DOCUMENTED | {"status": status}))

    assert str(error) == "status: required: one of calling, completed, failed, busy, no-answer"


@pytest.mark.parametrize("call_id", [None, "", "call-1", CALL_ID + "0", CALL_ID + "\n", 7])
def test_the_id_of_the_call_is_required(call_id: object) -> None:
    assert error_of(json.dumps(DOCUMENTED | {"outboundCallId": call_id})).field == "outboundCallId"


def test_an_id_in_capitals_is_the_same_id() -> None:
    assert state(outboundCallId=CALL_ID.upper()).outbound_call_id == CALL_ID


@pytest.mark.parametrize("contact_id", [None, "", "contact-1", 7, {}])
def test_an_unreadable_contact_is_dropped(contact_id: object) -> None:
    assert state(contactId=contact_id).contact_id is None


@pytest.mark.parametrize("call_details", [None, "ended", 7, [], [1], True])
def test_unreadable_details_are_dropped(call_details: object) -> None:
    assert state(callDetails=call_details).call_details is None


@pytest.mark.parametrize("detail", ["startedAt", "endedAt", "endedReason"])
@pytest.mark.parametrize("value", [None, 7, {}, ["a"], True])
def test_an_unreadable_detail_is_dropped_and_the_others_are_kept(detail: str, value: object) -> None:
    assert details(**{detail: value}).wire().keys() == DETAILS.keys() - {detail}


@pytest.mark.parametrize("reason", ["customer-ended-call", "a reason of 2031", "", "Ünïcode 👋\n", "x" * 5000])
def test_a_reason_is_kept_unchanged(reason: str) -> None:
    assert details(endedReason=reason).ended_reason == reason


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *((number, number) for number in (0, 1, 150, 150.5, 0.1, 10**9)),
        *((1e-200, 0.0), (0.30000000000000004, 0.3), (12.3456789, 12.345679)),
    ],
)
def test_a_duration_is_kept_to_the_microsecond(sent: float, kept: float) -> None:
    assert details(duration=sent).duration == kept


@pytest.mark.parametrize(
    "duration",
    ["-1", "-0.5", "1e10", "1e300", "1e400", "NaN", "Infinity", "-Infinity", "1" + "0" * 50, '"long"', "null", "[]"],
)
def test_a_duration_that_the_table_cannot_hold_is_dropped(duration: str) -> None:
    read = read_call_state(json.dumps(DOCUMENTED).replace("150", duration, 1))

    assert read.call_details
    assert read.call_details.wire() == {name: value for name, value in DETAILS.items() if name != "duration"}


def test_unknown_fields_are_ignored() -> None:
    assert state(message="Call started", cost={"cents": 7}, outbound_call_id="x") == state()
    assert details(recordingUrl="https://allomia.example/r") == details()


def test_a_snake_case_name_does_not_stand_for_the_field() -> None:
    assert error_of(json.dumps({"status": "busy", "outbound_call_id": CALL_ID})).field == "outboundCallId"


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "OK", "<html>502</html>", '"completed"', '{"outboundCallId"', "{}{}"),
        *(b"\xff\xfe{}", b"\x00", b"[" * 60_000, b'{"callDetails":' + b"[" * 60_000),
    ],
)
def test_a_body_that_is_not_a_json_object_is_invalid(body: str | bytes) -> None:
    assert str(error_of(body)) == "body: a JSON object in UTF-8"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_body_is_read_or_invalid(body: str | bytes) -> None:
    field = "body"
    try:
        read_call_state(body)
    except InvalidInput as error:
        field = error.field
    assert field in {"body", "outboundCallId", "status"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*DETAILS, "new"]), json_values), json_values)
def test_no_detail_costs_the_outcome(call_details: dict[str, object], contact_id: object) -> None:
    assert state(callDetails=call_details, contactId=contact_id).status == "completed"
    assert state(callDetails=contact_id).status == "completed"


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_a_terminal_status_is_an_outcome(status: str) -> None:
    outcome = outcome_from_state(state(status=status), OutcomeSource.POLL)

    assert outcome == Outcome(
        Status(status),
        OutcomeSource.POLL,
        CALL_ID,
        CONTACT_ID,
        AttemptDetails("2026-04-01T14:30:00Z", "2026-04-01T14:32:30Z", 150, "customer-ended-call"),
    )
    on_the_wire = details_on_the_wire(outcome.call_details)
    assert on_the_wire
    assert on_the_wire.wire() == DETAILS


def test_an_outcome_without_details_has_none_on_the_wire() -> None:
    outcome = outcome_from_state(state(callDetails=None), OutcomeSource.POLL)

    assert outcome
    assert outcome.call_details is None
    assert details_on_the_wire(None) is None


def test_a_call_in_progress_has_no_outcome() -> None:
    assert outcome_from_state(state(status="calling"), OutcomeSource.POLL) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status": "failed"}', True),
        (b'{"status": "failed", "outboundCallId": null}', True),
        (json.dumps({"status": "failed", "outboundCallId": CALL_ID}).encode(), False),
        *((body, False) for body in (b'{"status": "busy"}', b"[]", b'"failed"', b"failed", b"\xff", b"[" * 60_000)),
    ],
)
def test_a_failed_call_may_have_no_id(body: bytes, expected: bool) -> None:
    assert is_failed_without_id(body) is expected
