"""The queue's messages: each field's rule at its limits, and errors that repeat nothing of the content."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from outbound_calls.contracts.dispatch import AttemptName, DispatchMessage
from outbound_calls.contracts.messages import (
    MAX_MESSAGE_BYTES,
    CallRequestMessage,
    read_message,
)
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, InvalidInput
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID

CANARY = "Zqx-canary-7f3a"
UNKNOWN_FIELD = (
    "unknown field: no field but assistantId, batch, customerName, dynamicVariables, metadata, notAfter, notBefore, "
    "organization"
)


def message(**fields: Any) -> str:
    return json.dumps({"phoneNumber": PHONE_NUMBER} | fields)


def read_request(body: str) -> CallRequestMessage:
    read = read_message(body)
    assert isinstance(read, CallRequestMessage)
    return read


def error_of(body: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_message(body)
    return caught.value


def strings(count: int, name: int, value: int) -> dict[str, str]:
    return {f"{i:0{name}}": "v" * value for i in range(count)}


def test_a_request_with_every_field_is_read() -> None:
    body = {
        "requestId": "visit-2031",
        "organization": "default",
        "phoneNumber": PHONE_NUMBER,
        "assistantId": ASSISTANT_ID,
        "phoneNumberId": PHONE_NUMBER_ID,
        "customerName": "Ada Lovelace",
        "dynamicVariables": {"time": "10:30"},
        "metadata": {"clinic": "7"},
        "batch": "monday",
        "notBefore": "2026-12-01T09:00:00-05:00",
        "notAfter": "2026-12-01T18:00:00-05:00",
    }

    request = read_request(json.dumps(body))

    assert request == CallRequestMessage(
        request_id="visit-2031",
        organization="default",
        phone_number=PHONE_NUMBER,
        assistant_id=ASSISTANT_ID,
        phone_number_id=PHONE_NUMBER_ID,
        customer_name="Ada Lovelace",
        dynamic_variables={"time": "10:30"},
        metadata={"clinic": "7"},
        batch="monday",
        not_before="2026-12-01T09:00:00-05:00",
        not_after="2026-12-01T18:00:00-05:00",
    )
    assert request.wire() == body


def test_only_the_phone_number_is_required() -> None:
    assert read_request(message()) == CallRequestMessage(phone_number=PHONE_NUMBER)
    assert error_of("{}").field == "phoneNumber"


TIMES: list[Any] = [
    *("2026-12-01T09:00:00-05:00", "2026-12-01T14:00:00Z", "2026-12-01t14:00:00.123456789z"),
    *("2028-02-29T23:59:59+14:00", None),
]
NOT_A_TIME: list[Any] = [
    *("", "2026-12-01", "2026-12-01T09:00:00", "2026-12-01T09:00-05:00", "2026-12-01 09:00:00-05:00", "tomorrow"),
    *("2026-02-29T09:00:00Z", "2026-12-01T24:00:01Z", "2026-12-01T09:00:00+25:00", "20261201T090000Z", 1_796_120_000),
]
VALID: dict[str, list[Any]] = {
    "requestId": ["a", "A-z.0_9" + "x" * 121, "...", ".a", None],
    "organization": ["default", "0", "n" * 32, "-", None],
    "phoneNumber": ["+123456789", "+123456789012345"],
    "assistantId": [ASSISTANT_ID, "00000000-0000-0000-0000-000000000000", None],
    "phoneNumberId": [PHONE_NUMBER_ID],
    "customerName": ["A", "é" * 200, "Zoë O'Brien-山田 👋", None],
    "dynamicVariables": [{}, strings(50, 2, 10), {"n" * 64: "v" * 2000}, {"empty": ""}, {"line": "one\ntwo"}],
    "metadata": [{}, strings(20, 2, 10), {"n" * 64: "v" * 256}],
    "batch": ["monday", "b" * 128, None],
    "notBefore": TIMES,
    "notAfter": TIMES,
}
NOT_AN_ID = ["", "x" * 129, ".", "..", "a/b", "a b", "a\n", "a~b", "é", 7, ["a"]]
INVALID: dict[str, list[Any]] = {
    "requestId": NOT_AN_ID,
    "organization": ["", "n" * 33, "North", "a_b", "a~b", "a\n", "é", 7],
    "phoneNumber": [
        *(None, "", "+12345678", "+1234567890123456", "+0123456789", "14155550123", "+1 415 555 0123"),
        *("+14155550123\n", " +14155550123", "+1415555012٣", 14155550123),
    ],
    "assistantId": [
        *("", "assistant", ASSISTANT_ID.replace("-", ""), ASSISTANT_ID + "0", ASSISTANT_ID + "\n"),
        *(f"{{{ASSISTANT_ID}}}", 1),
    ],
    "phoneNumberId": ["g" + PHONE_NUMBER_ID[1:], True],
    "customerName": ["", "é" * 201, "Ada\nLovelace", "Ada\x00", "Ada\x7f", "Ada\x85", 7, {"first": "Ada"}],
    "dynamicVariables": [
        *(strings(51, 2, 1), {"n" * 65: "v"}, {"": "v"}, {"a": "v" * 2001}, {"a": 1}, {"a": None}),
        *({"a": {"b": "c"}}, ["a"], "a"),
    ],
    "metadata": [strings(21, 2, 1), {"n" * 65: "v"}, {"": "v"}, {"a": "v" * 257}, {"a": 1}, []],
    "batch": NOT_AN_ID,
    "notBefore": NOT_A_TIME,
    "notAfter": NOT_A_TIME,
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in VALID for value in VALID[field]])
def test_a_valid_field_is_read(field: str, value: object) -> None:
    assert read_request(message(**{field: value})).model_dump(by_alias=True)[field] == value


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in INVALID for value in INVALID[field]])
def test_an_invalid_field_is_named_with_its_rule(field: str, value: object) -> None:
    error = error_of(message(**{field: value}))

    assert error.field == field
    assert error.rule
    assert str(error) == f"{field}: {error.rule}"


def test_every_field_is_tested_at_its_limits() -> None:
    assert VALID.keys() == INVALID.keys() == {field.alias for field in CallRequestMessage.model_fields.values()}


def test_a_uuid_is_kept_in_lower_case() -> None:
    upper = "ABCDEF00-2222-4333-8444-555555555555"

    assert read_request(message(assistantId=upper)).assistant_id == upper.lower()


@pytest.mark.parametrize("field", ["callbackUrl", "notes", "phone_number", "PhoneNumber", "status"])
def test_an_unknown_field_is_invalid(field: str) -> None:
    error = error_of(message(**{field: "https://elsewhere.example/hook"}))

    assert error.field == field
    assert str(error).startswith(UNKNOWN_FIELD)


@pytest.mark.parametrize("field", ["purpose", "timeZone", "callingWindows", "redial", "priority", "cancel"])
def test_a_policy_field_that_is_not_honoured_yet_is_invalid(field: str) -> None:
    assert error_of(message(**{field: "2026-12-01T09:00:00-05:00"})).field == field


def test_a_snake_case_name_does_not_stand_for_the_field() -> None:
    assert error_of(json.dumps({"phone_number": PHONE_NUMBER})).field == "phoneNumber"


def test_an_unknown_name_that_may_be_content_is_not_kept() -> None:
    assert error_of(message(**{"Ada Lovelace, born 1815": 1})).field == "body"


def test_the_last_of_two_equal_names_counts() -> None:
    assert read_request('{"phoneNumber": "+14155550100", "phoneNumber": "+14155550199"}').phone_number == "+14155550199"


@pytest.mark.parametrize(
    "body",
    [
        *(
            "",
            " ",
            "null",
            "[]",
            "[{}]",
            '"text"',
            "7",
            "{",
            '{"phoneNumber": "+14155550123"',
            "\ufeff{}",
            "[" * 30_000,
        ),
        *('{"phoneNumber": "+14155550123"} {}', "{'phoneNumber': '+14155550123'}", '{"phoneNumber": ' + "9" * 5_000),
        *('{"phoneNumber": "+14155550123", "customerName": "\\ud800"}', '{"customerName": "\ud800"}'),
        '{"phoneNumber": "+14155550123", "x": ' + "[" * 10_000 + "]" * 10_000 + "}",
    ],
)
def test_a_body_that_is_not_a_json_object_is_invalid_as_a_whole(body: str) -> None:
    error = error_of(body)

    assert (error.field, error.rule) == ("body", "a JSON object in UTF-8")


def test_the_size_limit_is_in_bytes() -> None:
    largest = message() + " " * (MAX_MESSAGE_BYTES - len(message()))

    assert read_request(largest).phone_number == PHONE_NUMBER
    assert str(error_of(largest + " ")) == "body: at most 32768 bytes"
    assert str(error_of('"' + "é" * (MAX_MESSAGE_BYTES // 2) + '"')) == "body: at most 32768 bytes"


# The poller's dispatch messages.


@pytest.mark.parametrize("request_id", ["visit-2031", "north~visit-2031", "..."])
@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPT_NUMBER])
def test_a_dispatch_message_is_read_as_it_was_written(request_id: str, attempt: int) -> None:
    dispatch = DispatchMessage(dispatch=AttemptName(request_id=request_id, attempt=attempt), times_parked=3)

    assert json.loads(dispatch.model_dump_json()) == {
        "dispatch": {"requestId": request_id, "attempt": attempt},
        "timesParked": 3,
    }
    assert read_message(dispatch.model_dump_json()) == dispatch


@pytest.mark.parametrize(
    "changes",
    [
        *({"dispatch": dispatch} for dispatch in (None, 1, {}, {"requestId": "a"}, {"attempt": 1})),
        *({"dispatch": {"requestId": "a", "attempt": n}} for n in (0, MAX_ATTEMPT_NUMBER + 1, 1.0, "1", True)),
        *({"dispatch": {"requestId": key, "attempt": 1}} for key in ("..", "north~..", "a~b~c", "North~a", "~a", None)),
        *({"timesParked": times} for times in (0, -1, 1.0, "1", True, None)),
        {"dispatch": {"request_id": "a", "attempt": 1}},
        # These are fields of a request, but not of a dispatch.
        {"phoneNumber": PHONE_NUMBER},
        {"dispatch": {"requestId": "a", "attempt": 1, "phoneNumber": PHONE_NUMBER}},
    ],
)
def test_a_wrong_dispatch_message_is_invalid_by_one_rule(changes: dict[str, Any]) -> None:
    body: dict[str, Any] = {"dispatch": {"requestId": "a", "attempt": 1}, "timesParked": 1}

    assert isinstance(read_message(json.dumps(body)), DispatchMessage)
    assert error_of(json.dumps(body | changes)).field == "dispatch"


# Errors repeat nothing of the content. The canary is planted wherever content can be.

PLANTED: list[dict[str, Any]] = [
    {"phoneNumber": CANARY},
    {"requestId": f"{CANARY}/"},
    {"organization": CANARY},
    {"assistantId": CANARY},
    {"customerName": f"{CANARY}\n"},
    {"dynamicVariables": {CANARY: 1}},
    {"dynamicVariables": {"a": {CANARY: CANARY}}},
    {"dynamicVariables": [CANARY]},
    {"metadata": {CANARY: 7}},
    {"metadata": {"a": [CANARY]}},
    {CANARY: 1},
    {"Zqx_canary": 1},
    {"dispatch": CANARY},
    {"dispatch": {"requestId": f"{CANARY}/", "attempt": 1}},
    {"dispatch": {"requestId": "a", "attempt": CANARY}},
    {"dispatch": {CANARY: CANARY}},
]


@pytest.mark.parametrize("body", [*map(json.dumps, PLANTED), f'{{"phoneNumber": "{CANARY}'])
def test_an_error_repeats_nothing_of_the_content(body: str) -> None:
    error = error_of(body)

    assert "zqx" not in f"{error} {error.rule}".lower()
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_an_error_of_the_model_itself_repeats_nothing_either() -> None:
    with pytest.raises(ValidationError) as caught:
        CallRequestMessage(phone_number=CANARY, customer_name="Ada")

    assert "Zqx" not in str(caught.value)


NAMES = [*VALID, "callbackUrl", "dispatch", "timesParked", "attempt", "request_id", CANARY]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(
    scalars | st.sampled_from([CANARY, PHONE_NUMBER, ASSISTANT_ID, ".."]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)


def assert_read_or_invalid(body: str) -> None:
    error = ""
    try:
        read_message(body)
    except InvalidInput as caught:
        error = str(caught).lower()
    assert "zqx" not in error


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), anything, max_size=5))
def test_any_object_is_read_or_invalid(body: dict[str, object]) -> None:
    assert_read_or_invalid(json.dumps(body))
    assert_read_or_invalid(json.dumps({"phoneNumber": PHONE_NUMBER} | body, ensure_ascii=False))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_invalid(body: str) -> None:
    assert_read_or_invalid(body)
    assert_read_or_invalid(f'{{"phoneNumber": "{PHONE_NUMBER}", "customerName": "{body}"}}')
