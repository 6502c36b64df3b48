"""A call as AlloMia reports it: what is required, and what may be missing, new or odd."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.adapters.call_states import details_on_the_wire, outcome_from_state, unfamiliar_status
from outbound_calls.contracts.allomia import (
    MAX_WEBHOOK_BYTES,
    CallDetails,
    CallState,
    read_call_state,
    read_error,
)
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


@pytest.mark.parametrize("status", ["queued", "canceled", "no_answer", "Completed", "unknown", "rejected", "x" * 32])
def test_an_undocumented_status_is_kept_as_a_word_and_decides_nothing(status: str) -> None:
    read = state(status=status)

    assert (read.outbound_call_id, read.status) == (CALL_ID, status)
    assert unfamiliar_status(read) == status
    assert outcome_from_state(read, OutcomeSource.POLL) is None


@pytest.mark.parametrize("status", [None, "", 1, ["busy"], "x" * 33, "no answer", "completed!", "completed\n", "é"])
def test_a_status_that_is_no_word_costs_only_itself(status: object) -> None:
    read = state(status=status)

    assert (read.outbound_call_id, read.status) == (CALL_ID, None)
    assert unfamiliar_status(read) == ""
    assert outcome_from_state(read, OutcomeSource.POLL) is None


@pytest.mark.parametrize("status", ["calling", "completed", "failed", "busy", "no-answer"])
def test_a_documented_status_is_familiar(status: str) -> None:
    assert unfamiliar_status(state(status=status)) is None


@pytest.mark.parametrize("call_id", [None, "", "call-1", CALL_ID + "0", CALL_ID + "\n", 7])
def test_an_id_that_cannot_be_read_costs_only_itself(call_id: object) -> None:
    read = state(outboundCallId=call_id)

    assert (read.outbound_call_id, read.status) == (None, "completed")
    assert error_of(json.dumps({"outboundCallId": call_id})).field == "status"


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


@pytest.mark.parametrize("reason", ["customer-ended-call", "a reason of 2031", "", "Ünïcode 👋\n", "a\0b", "é" * 1000])
def test_a_reason_is_kept_unchanged(reason: str) -> None:
    assert details(endedReason=reason).ended_reason == reason


@pytest.mark.parametrize(
    ("detail", "value"),
    [("endedReason", "x" * 1001), ("startedAt", "2" * 65), ("endedAt", "2" * 65), ("endedReason", "x" * 200_000)],
)
def test_a_detail_that_is_too_long_is_dropped(detail: str, value: str) -> None:
    assert details(**{detail: value}).wire().keys() == DETAILS.keys() - {detail}


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
    [
        "-1",
        "-0.5",
        "1e10",
        "1e300",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "1" + "0" * 50,
        "9" * 5000,
        '"long"',
        "null",
        "[]",
    ],
)
def test_a_duration_that_the_table_cannot_hold_is_dropped(duration: str) -> None:
    read = read_call_state(json.dumps(DOCUMENTED).replace("150", duration, 1))

    assert read.call_details
    assert read.call_details.wire() == {name: value for name, value in DETAILS.items() if name != "duration"}


def test_unknown_fields_are_ignored() -> None:
    assert state(message="Call started", cost={"cents": 7}, outbound_call_id="x") == state()
    assert details(recordingUrl="https://allomia.example/r") == details()


def test_a_snake_case_name_does_not_stand_for_the_field() -> None:
    assert read_call_state(json.dumps({"status": "busy", "outbound_call_id": CALL_ID})).outbound_call_id is None


@pytest.mark.parametrize(
    "body",
    [
        *(
            "",
            "null",
            "[]",
            "OK",
            "<html>502</html>",
            '"completed"',
            '{"outboundCallId"',
            "{}{}",
            "[{}]",
            "{",
            "}",
            "{]}",
        ),
        *('{"a": 1', '{"a": 1,}', '{"a" 1}', '{"a": }', '{"a": [}', '{"a": [}]}', '{"a": "b}', "{1: 2}", '{"a": 1 2}'),
        *(
            '{"a": ["b}',
            '{"a": {"b": 1}',
            '{"a": 1}x',
            "{,}",
            '{"a":1,,"b":2}',
            '"' * 200_000,
            '{"a":["' + '\\"' * 100_000,
        ),
        *(b"\x00", b"[" * 60_000, b'{"callDetails":' + b"[" * 60_000),
    ],
)
def test_a_body_that_is_not_a_json_object_is_invalid(body: str | bytes) -> None:
    assert str(error_of(body)) == "body: a JSON object"


def test_an_object_that_says_nothing_about_a_call_is_invalid() -> None:
    for body in ("{}", " {\n} ", '{"message": "ok"}', '{"callDetails": {"duration": 1}}'):
        assert str(error_of(body)) == "status: one of completed, failed, busy, no-answer"


# What AlloMia may send tomorrow, and what a parser of the whole text would refuse.


UNREADABLE = {
    "half a surrogate pair": r'"\ud800"',
    "a number of 5,000 digits": "9" * 5000,
    "a tiny number": "1e-9999",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "10,000 lists": "[" * 10_000 + "]" * 10_000,
    "10,000 objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "a null byte": '"a\0b"',
    "an escape that JSON doesn't have": r'"\x41"',
    "no JSON": "undefined",
    "a long text": '"' + "x" * 200_000 + '"',
    "brackets in a text": r'"}]{[\"}"',
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("field", ["new", "contactId", "callDetails"])
def test_a_value_that_no_parser_reads_costs_only_itself(field: str, value: str) -> None:
    rest = {name: known for name, known in DOCUMENTED.items() if name != field}
    members = json.dumps(rest)[1:-1]

    for body in (f'{{"{field}": {value}, {members}}}', f'{{{members}, "{field}": {value}}}'):
        found = {name: kept for name, kept in read_call_state(body).wire().items() if name != field}
        assert found == rest


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("detail", [*DETAILS, "new"])
def test_a_detail_that_no_parser_reads_costs_only_itself(detail: str, value: str) -> None:
    rest = {name: known for name, known in DETAILS.items() if name != detail}
    members = json.dumps(DOCUMENTED | {"callDetails": rest})[:-2]

    found = read_call_state(f'{members}, "{detail}": {value}}}}}').call_details

    assert found
    assert {name: kept for name, kept in found.wire().items() if name != detail} == rest


def test_half_a_surrogate_pair_in_a_name_costs_nothing() -> None:
    assert read_call_state(r'{"\ud800": 1, ' + json.dumps(DOCUMENTED)[1:]) == state()


def test_a_name_may_be_escaped() -> None:
    assert read_call_state(json.dumps(DOCUMENTED).replace('"status"', r'"st\u0061tus"')) == state()


def test_the_last_of_two_values_counts() -> None:
    assert read_call_state('{"status": "busy", ' + json.dumps(DOCUMENTED)[1:]) == state()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_body_is_read_in_every_encoding_of_json(encoding: str) -> None:
    assert read_call_state(json.dumps(DOCUMENTED).encode(encoding)) == state()


def test_a_byte_order_mark_in_a_text_is_skipped() -> None:
    assert read_call_state("\ufeff" + json.dumps(DOCUMENTED)) == state()


def test_bytes_in_another_encoding_cost_only_their_place() -> None:
    body = json.dumps(DOCUMENTED | {"message": "Zoë"}, ensure_ascii=False).encode("latin-1")

    assert read_call_state(body) == state()


def test_the_longest_bodies_are_split_quickly() -> None:
    for piece in ('"a":1,', '"a":[{}],', '"' + "\\" * 8 + '":{},', '"\\u0061":"\\\\",'):
        began = time.process_time()
        with pytest.raises(InvalidInput):
            read_call_state("{" + piece * (MAX_WEBHOOK_BYTES // len(piece)))
        assert time.process_time() - began < 2


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_body_is_read_or_invalid(body: str | bytes) -> None:
    field = "body"
    try:
        read_call_state(body)
    except InvalidInput as error:
        field = error.field
    assert field in {"body", "status"}


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
    ("body", "said"),
    [
        (b'{"error": "No credit"}', '"No credit"'),
        (b'{"message": ["a", "b"], "statusCode": 422}', '["a", "b"]'),
        (b'{"error": {"code": 7, "message": "No"}}', '{"code": 7, "message": "No"}'),
        (b'{"title": "Bad", "detail": "No"}', '"Bad" "No"'),
        (b'\xef\xbb\xbf{"errors": []}', "[]"),
        *((body, None) for body in (b"", b"{}", b"[]", b"<html>", b'{"status": "x"}', b'"error"', b'{"error": "cut')),
    ],
)
def test_an_error_is_found_in_the_usual_shapes(body: bytes, said: str | None) -> None:
    assert read_error(body) == said
