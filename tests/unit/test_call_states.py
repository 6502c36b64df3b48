"""AlloMia's word on a call: what must be there, and what may be missing, new or odd."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outbound_calls.lifecycle import OutcomeSource, Status

from outbound_calls.contracts import (
    CallDetails,
    CallState,
    InvalidInput,
    Outcome,
    OutcomeEvent,
    outcome_of,
    read_call_state,
)
from tests.unit.parts import CALL_ID, CONTACT_ID

# The example of AlloMia's documentation.
DOCUMENTED = {
    "outboundCallId": CALL_ID,
    "contactId": CONTACT_ID,
    "status": "completed",
    "callDetails": {
        "startedAt": "2026-04-01T14:30:00Z",
        "endedAt": "2026-04-01T14:32:30Z",
        "duration": 150,
        "endedReason": "customer-ended-call",
    },
}


def state(**changes: Any) -> CallState:
    return read_call_state(json.dumps(DOCUMENTED | changes))


def details(**changes: Any) -> CallDetails:
    found = state(callDetails={**DOCUMENTED["callDetails"], **changes}).call_details  # type: ignore[dict-item]
    assert found
    return found


def refusal(body: str | bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_call_state(body)
    return caught.value


def test_the_documented_answer_is_read_whole() -> None:
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


@pytest.mark.parametrize("status", ["calling", "completed", "failed", "busy", "no-answer"])
def test_each_documented_status_is_read(status: str) -> None:
    assert state(status=status).status == status


@pytest.mark.parametrize("status", ["ringing", "Completed", "no_answer", "unknown", "rejected", "", None, 1, ["busy"]])
def test_an_unknown_status_is_not_guessed_at(status: object) -> None:
    refused = refusal(json.dumps(DOCUMENTED | {"status": status}))

    assert str(refused) == "status: required: one of calling, completed, failed, busy, no-answer"


@pytest.mark.parametrize("call_id", [None, "", "call-1", CALL_ID + "0", CALL_ID + "\n", 7])
def test_without_the_id_of_the_call_it_is_no_word_on_a_call(call_id: object) -> None:
    assert refusal(json.dumps(DOCUMENTED | {"outboundCallId": call_id})).field == "outboundCallId"


def test_an_id_in_capitals_is_the_same_id() -> None:
    assert state(outboundCallId=CALL_ID.upper()).outbound_call_id == CALL_ID


@pytest.mark.parametrize("contact_id", [None, "", "contact-1", 7, {}])
def test_a_contact_that_cannot_be_read_is_left_out(contact_id: object) -> None:
    assert state(contactId=contact_id).contact_id is None


@pytest.mark.parametrize("call_details", [None, "ended", 7, [], [1], True])
def test_details_that_cannot_be_read_are_left_out(call_details: object) -> None:
    assert state(callDetails=call_details).call_details is None


@pytest.mark.parametrize("detail", ["startedAt", "endedAt", "endedReason"])
@pytest.mark.parametrize("value", [None, 7, {}, ["a"], True])
def test_a_detail_of_an_odd_shape_is_left_out_and_the_others_stay(detail: str, value: object) -> None:
    read = details(**{detail: value}).wire()

    assert detail not in read
    assert read.keys() | {detail} == {"startedAt", "endedAt", "duration", "endedReason"}


@pytest.mark.parametrize("reason", ["customer-ended-call", "a reason of 2031", "", "Ünïcode 👋\n", "x" * 5000])
def test_a_reason_is_kept_as_it_came(reason: str) -> None:
    assert details(endedReason=reason).ended_reason == reason


@pytest.mark.parametrize("duration", [0, 1, 150, 150.5, 0.1, 10**9])
def test_a_duration_is_kept_as_it_came(duration: float) -> None:
    assert details(duration=duration).duration == duration


@pytest.mark.parametrize(
    "duration",
    ["-1", "-0.5", "1e10", "1e300", "1e400", "NaN", "Infinity", "-Infinity", "1" + "0" * 50, '"long"', "null", "[]"],
)
def test_a_duration_that_no_table_can_hold_is_left_out(duration: str) -> None:
    body = json.dumps(DOCUMENTED).replace("150", duration, 1)

    assert read_call_state(body).call_details == CallDetails(
        started_at="2026-04-01T14:30:00Z", ended_at="2026-04-01T14:32:30Z", ended_reason="customer-ended-call"
    )


@pytest.mark.parametrize(("came", "kept"), [("1e-200", 0.0), ("0.30000000000000004", 0.3), ("12.3456789", 12.345679)])
def test_a_duration_is_kept_to_the_microsecond(came: str, kept: float) -> None:
    assert details(duration=float(came)).duration == kept


def test_new_fields_are_ignored() -> None:
    assert state(message="Call started", cost={"cents": 7}, outbound_call_id="x") == state()
    assert details(recordingUrl="https://allomia.example/r") == details()


def test_no_field_goes_by_pythons_name_instead() -> None:
    body = {"status": "busy", "outbound_call_id": CALL_ID}

    assert refusal(json.dumps(body)).field == "outboundCallId"


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "OK", "<html>502</html>", '"completed"', '{"outboundCallId"', "{}{}"),
        *(b"\xff\xfe{}", b"\x00", b"[" * 60_000, b'{"callDetails":' + b"[" * 60_000),
    ],
)
def test_what_is_no_json_object_is_refused(body: str | bytes) -> None:
    assert str(refusal(body)) == "body: a JSON object in UTF-8"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_body_is_read_or_refused(body: str | bytes) -> None:
    field = "body"
    try:
        read_call_state(body)
    except InvalidInput as refused:
        field = refused.field
    assert field in {"body", "outboundCallId", "status"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["startedAt", "endedAt", "duration", "endedReason", "new"]), json_values),
    json_values,
)
def test_no_detail_costs_the_outcome(call_details: dict[str, object], contact_id: object) -> None:
    assert state(callDetails=call_details, contactId=contact_id).status == "completed"
    assert state(callDetails=contact_id).status == "completed"


@pytest.mark.parametrize("status", ["completed", "failed", "busy", "no-answer"])
def test_a_terminal_word_is_an_outcome(status: str) -> None:
    assert outcome_of(state(status=status), OutcomeSource.POLL) == Outcome(
        status=Status(status),
        source=OutcomeSource.POLL,
        outbound_call_id=CALL_ID,
        contact_id=CONTACT_ID,
        call_details=state().call_details,
    )


def test_a_call_that_goes_on_has_no_outcome() -> None:
    assert outcome_of(state(status="calling"), OutcomeSource.POLL) is None


def test_an_event_names_everything_even_where_there_is_nothing() -> None:
    event = OutcomeEvent(
        request_id="visit-2031",
        attempt=1,
        final=True,
        status=Status.REJECTED,
        outbound_call_id=None,
        contact_id=None,
        call_details=None,
        outcome_source=OutcomeSource.DISPATCH,
        recorded_at="2026-04-01T14:32:31Z",
        metadata={},
    )

    assert json.loads(event.model_dump_json()) == {
        "version": "1",
        "requestId": "visit-2031",
        "attempt": 1,
        "final": True,
        "status": "rejected",
        "outboundCallId": None,
        "contactId": None,
        "callDetails": None,
        "outcomeSource": "dispatch",
        "recordedAt": "2026-04-01T14:32:31Z",
        "metadata": {},
    }
