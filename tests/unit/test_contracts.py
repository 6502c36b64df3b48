"""The queue's messages: each field's rule at its limits, and errors that repeat nothing of the content."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from outbound_calls.contracts import envelopes
from outbound_calls.contracts.dispatch import AttemptName, DispatchMessage
from outbound_calls.contracts.messages import (
    MAX_MESSAGE_BYTES,
    CallRequestMessage,
    Cancellation,
    CancelMessage,
    DoNotCall,
    DoNotCallMessage,
    read_call_request,
    read_message,
)
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, InvalidInput
from outbound_calls.policy.calendars import week_of
from outbound_calls.policy.rules import redial_of
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID

CANARY = "Zqx-canary-7f3a"
UNKNOWN_FIELD = (
    "unknown field: no field but assistantId, batch, callingWindows, customerName, dynamicVariables, metadata, "
    "notAfter, notBefore, organization, phoneNumber, phoneNumberId, priority, purpose, redial, requestId, timeZone"
)
WEEKDAYS: dict[str, Any] = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "21:30"}


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
        "purpose": "reminder",
        "timeZone": "America/Toronto",
        "callingWindows": [WEEKDAYS],
        "redial": {"on": {"busy": [600, 1800]}, "onEndedReasons": {"voicemail": [86400]}, "maxAttempts": 3},
        "priority": "urgent",
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
        purpose="reminder",
        time_zone="America/Toronto",
        calling_windows=[WEEKDAYS],
        redial={"on": {"busy": [600, 1800]}, "onEndedReasons": {"voicemail": [86400]}, "maxAttempts": 3},
        priority="urgent",
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
NAMES_OF_A_POLICY = ["reminder", "0", "-", "n" * 32]
NO_NAMES_OF_A_POLICY: list[Any] = ["", "n" * 33, "North", "a_b", "a~b", "a\n", "é", 7]
DELAYS = [[1], [2_592_000], [600] * 20]
NO_DELAYS = [[], [0], [2_592_001], [1] * 21, ["600"], [600.0], [True], [None], 600, None]


def window(**changes: Any) -> dict[str, Any]:
    return WEEKDAYS | changes


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
    "purpose": [*NAMES_OF_A_POLICY, None],
    "timeZone": ["America/Toronto", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5", None],
    "callingWindows": [
        *("always", [WEEKDAYS], [WEEKDAYS] * 50, None),
        *([window(**{"from": first, "to": last})] for first, last in [("00:00", "24:00"), ("23:58", "23:59")]),
        *([window(days=days)] for days in (["sun"], ["mon", "tue", "wed", "thu", "fri", "sat", "sun"])),
    ],
    "redial": [
        *({"maxAttempts": attempts} for attempts in (1, 99)),
        *({"maxAttempts": 2, "on": {name: delays}} for name in ("busy", "no-answer", "failed") for delays in DELAYS),
        *({"maxAttempts": 2, "onEndedReasons": {name: [1]}} for name in ("r", "r" * 64, "a b/é")),
        {"maxAttempts": 2, "onEndedReasons": {f"reason {number}": [1] for number in range(20)}},
        {"maxAttempts": 2, "on": {}, "onEndedReasons": {}},
        {"maxAttempts": 2, "on": None, "onEndedReasons": None},
        None,
    ],
    "priority": ["urgent", "normal", "low", None],
}
NOT_AN_ID = ["", "x" * 129, ".", "..", "a/b", "a b", "a\n", "a~b", "é", 7, ["a"]]
INVALID: dict[str, list[Any]] = {
    "requestId": NOT_AN_ID,
    "organization": NO_NAMES_OF_A_POLICY,
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
    "purpose": NO_NAMES_OF_A_POLICY,
    "timeZone": [
        *("", "Toronto", "america/toronto", "America/Toronto ", "Factory", "EST5EDT4", "-05:00", 5, ["UTC"]),
        *("../zones", "America/../Toronto", "/etc/localtime", "a" * 200),
    ],
    "callingWindows": [*([], [WEEKDAYS] * 51, "", "never", "Always", {}, WEEKDAYS, True, 0), ["always"], [None]],
    "redial": [*(True, 0, "", [], "none"), {"maxAttempts": 2, "on": {"completed": [600]}}],
    "priority": ["", "Urgent", "high", "urgent\n", 0, True, ["low"]],
}
INVALID_IN_A_WINDOW: dict[str, list[Any]] = {
    "days": [[], ["mon"] * 8, "mon", None],
    "from": ["9:00", "24:00", "09:60", "09:00:00", "09:00\n", 9, None],
    "to": ["24:01", "25:00", "9:30", "21:30Z", 21, None],
}
NOT_AN_OBJECT: list[Any] = [None, True, "a", [], ["a"]]
INSIDE: list[tuple[str, str, Any]] = [
    *(
        (f"callingWindows[1].{name}", "callingWindows", [WEEKDAYS, window(**{name: value})])
        for name, values in INVALID_IN_A_WINDOW.items()
        for value in values
    ),
    ("callingWindows[0].days[1]", "callingWindows", [window(days=["mon", "monday"])]),
    ("callingWindows[0]", "callingWindows", [window(to="09:00")]),
    ("callingWindows[0]", "callingWindows", [window(**{"from": "22:00", "to": "06:00"})]),
    ("callingWindows[0]", "callingWindows", [window(zone="UTC")]),
    ("callingWindows[0].to", "callingWindows", [{"days": ["mon"], "from": "09:00"}]),
    *(("redial.maxAttempts", "redial", {"maxAttempts": each}) for each in (0, 100, "3", 3.0, True, None)),
    ("redial.maxAttempts", "redial", {}),
    ("redial", "redial", {"maxAttempts": 2, "max_attempts": 2}),
    ("redial", "redial", {"max_attempts": 2, "maxAttempts": 2}),
    *(("redial.on", "redial", {"maxAttempts": 2, "on": {"busy": delays}}) for delays in NO_DELAYS),
    *(("redial.on", "redial", {"maxAttempts": 2, "on": {name: [600]}}) for name in ("completed", "unknown", "")),
    *(("redial.onEndedReasons", "redial", {"maxAttempts": 2, "onEndedReasons": {"a": each}}) for each in NO_DELAYS),
    *(("redial.onEndedReasons", "redial", {"maxAttempts": 2, "onEndedReasons": {r: [1]}}) for r in ("", "r" * 65)),
    ("redial.onEndedReasons", "redial", {"maxAttempts": 2, "onEndedReasons": {f"r{i}": [1] for i in range(21)}}),
]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in VALID for value in VALID[field]])
def test_a_valid_field_is_read(field: str, value: object) -> None:
    assert read_request(message(**{field: value})).model_dump(by_alias=True)[field] == value


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in INVALID for value in INVALID[field]])
def test_an_invalid_field_is_named_with_its_rule(field: str, value: object) -> None:
    error = error_of(message(**{field: value}))

    assert error.field in {field, f"{field}.on", f"{field}.maxAttempts", f"{field}[0]"}
    assert error.rule
    assert str(error) == f"{error.field}: {error.rule}"


@pytest.mark.parametrize(("path", "field", "value"), INSIDE)
def test_a_rule_broken_inside_a_field_is_named_by_its_path(path: str, field: str, value: object) -> None:
    assert error_of(message(**{field: value})).field == path


def test_every_field_is_tested_at_its_limits() -> None:
    assert VALID.keys() == INVALID.keys() == {field.alias for field in CallRequestMessage.model_fields.values()}


def test_policy_understands_every_redial_and_window_that_a_request_may_have() -> None:
    for value in filter(None, VALID["redial"]):
        assert redial_of(value, MAX_ATTEMPT_NUMBER).max_attempts == value["maxAttempts"]
    for value in filter(None, VALID["callingWindows"]):
        assert week_of(value)


def test_a_uuid_is_kept_in_lower_case() -> None:
    upper = "ABCDEF00-2222-4333-8444-555555555555"

    assert read_request(message(assistantId=upper)).assistant_id == upper.lower()


@pytest.mark.parametrize("field", ["callbackUrl", "notes", "phone_number", "PhoneNumber", "status"])
def test_an_unknown_field_is_invalid(field: str) -> None:
    error = error_of(message(**{field: "https://elsewhere.example/hook"}))

    assert error.field == field
    assert str(error).startswith(UNKNOWN_FIELD)


def test_what_a_request_is_about_is_its_content_and_when_to_call_is_not() -> None:
    times = {"notBefore": TIMES[0], "timeZone": "UTC", "callingWindows": "always", "redial": {"maxAttempts": 1}}

    assert read_request(message(**times)).content() == read_request(message()).content()
    assert read_request(message(purpose="results")).content() != read_request(message()).content()


def test_a_snake_case_name_does_not_stand_for_the_field() -> None:
    assert error_of(json.dumps({"phone_number": PHONE_NUMBER})).field == "phone_number"


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


# Cancellations and do-not-call entries.

CANCELS: list[tuple[dict[str, Any], CancelMessage]] = [
    ({"cancel": {"requestId": "visit-2031"}}, CancelMessage(cancel=Cancellation(request_id="visit-2031"))),
    ({"cancel": {"batch": "b" * 128}}, CancelMessage(cancel=Cancellation(batch="b" * 128))),
    (
        {"cancel": {"requestId": "a", "batch": None}, "organization": "north"},
        CancelMessage(cancel=Cancellation(request_id="a"), organization="north"),
    ),
    ({"cancel": {"batch": "a"}, "organization": None}, CancelMessage(cancel=Cancellation(batch="a"))),
]
DO_NOT_CALLS: list[tuple[dict[str, Any], DoNotCallMessage]] = [
    (
        {"doNotCall": {"phoneNumber": PHONE_NUMBER}},
        DoNotCallMessage(do_not_call=DoNotCall(phone_number=PHONE_NUMBER)),
    ),
    (
        {"doNotCall": {"phoneNumber": PHONE_NUMBER, "until": None, "purposes": None}, "organization": None},
        DoNotCallMessage(do_not_call=DoNotCall(phone_number=PHONE_NUMBER)),
    ),
    (
        {
            "doNotCall": {"phoneNumber": PHONE_NUMBER, "until": TIMES[0], "purposes": NAMES_OF_A_POLICY},
            "organization": "default",
        },
        DoNotCallMessage(
            do_not_call=DoNotCall(phone_number=PHONE_NUMBER, until=TIMES[0], purposes=NAMES_OF_A_POLICY),
            organization="default",
        ),
    ),
    (
        {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": ["marketing"] * 50}},
        DoNotCallMessage(do_not_call=DoNotCall(phone_number=PHONE_NUMBER, purposes=["marketing"] * 50)),
    ),
]


@pytest.mark.parametrize(("body", "read"), [*CANCELS, *DO_NOT_CALLS])
def test_a_message_of_another_kind_is_read(body: dict[str, Any], read: CancelMessage | DoNotCallMessage) -> None:
    assert read_message(json.dumps(body)) == read
    assert read_message(json.dumps(read.wire())) == read


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("cancel", {"cancel": value}) for value in [*NOT_AN_OBJECT, {}, {"requestId": None}]),
        *(("cancel", {"cancel": more | {"requestId": "a"}}) for more in ({"batch": "b"}, {"requestID": "b"})),
        ("cancel", {"cancel": {"request_id": "a"}}),
        *(("cancel.requestId", {"cancel": {"requestId": value}}) for value in NOT_AN_ID),
        *(("cancel.batch", {"cancel": {"batch": value}}) for value in NOT_AN_ID),
        *(("doNotCall", {"doNotCall": value}) for value in [*NOT_AN_OBJECT, PHONE_NUMBER]),
        ("doNotCall", {"doNotCall": {"phoneNumber": PHONE_NUMBER, "reason": "asked us to"}}),
        ("doNotCall.phoneNumber", {"doNotCall": {}}),
        *(("doNotCall.phoneNumber", {"doNotCall": {"phoneNumber": value}}) for value in INVALID["phoneNumber"]),
        *(("doNotCall.until", {"doNotCall": {"phoneNumber": PHONE_NUMBER, "until": at}}) for at in NOT_A_TIME),
        *(
            ("doNotCall.purposes", {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": value}})
            for value in [*NOT_AN_OBJECT[1:4], ["marketing"] * 51, {}]
        ),
        *(
            ("doNotCall.purposes[1]", {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": ["reminder", value]}})
            for value in NO_NAMES_OF_A_POLICY
        ),
        *(
            ("organization", {**each, "organization": value})
            for each in (CANCELS[0][0], DO_NOT_CALLS[0][0])
            for value in NO_NAMES_OF_A_POLICY
        ),
    ],
)
def test_a_wrong_message_of_another_kind_is_named_by_path_and_rule(path: str, body: dict[str, Any]) -> None:
    error = error_of(json.dumps(body))

    assert error.field == path
    assert str(error) == f"{path}: {error.rule}"


@pytest.mark.parametrize(
    ("body", "field", "known"),
    [
        (CANCELS[0][0] | DO_NOT_CALLS[0][0], "doNotCall", "cancel, organization"),
        (CANCELS[0][0] | {"doNotCall": None}, "doNotCall", "cancel, organization"),
        (CANCELS[0][0] | {"phoneNumber": PHONE_NUMBER}, "phoneNumber", "cancel, organization"),
        (CANCELS[0][0] | {"requestId": "a"}, "requestId", "cancel, organization"),
        (CANCELS[0][0] | {"Ada Lovelace": 1}, "body", "cancel, organization"),
        (DO_NOT_CALLS[0][0] | {"phoneNumber": PHONE_NUMBER}, "phoneNumber", "doNotCall, organization"),
        (DO_NOT_CALLS[0][0] | {"until": TIMES[0]}, "until", "doNotCall, organization"),
    ],
)
def test_a_message_is_of_one_kind(body: dict[str, Any], field: str, known: str) -> None:
    for fields in (body, dict(reversed(body.items()))):
        error = error_of(json.dumps(fields))

        assert (error.field, str(error)) == (field, f"unknown field: no field but {known}")


@pytest.mark.parametrize("name", ["cancel", "doNotCall"])
def test_a_request_has_no_key_of_another_kind_not_even_null(name: str) -> None:
    assert error_of(message(**{name: None})).field in {name, "phoneNumber"}


@pytest.mark.parametrize("body", [CANCELS[0][0], DO_NOT_CALLS[0][0]])
def test_where_a_request_is_expected_another_kind_is_named(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"{next(iter(body))}: a message of its own"):
        read_call_request(json.dumps(body))


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
    *(
        {field: value}
        for field in ("purpose", "timeZone", "callingWindows", "redial")
        for value in (CANARY, {CANARY: 1})
    ),
    {"callingWindows": [{"days": [CANARY], "from": CANARY, "to": CANARY}]},
    {"callingWindows": [WEEKDAYS | {CANARY: 1}]},
    {"callingWindows": [WEEKDAYS | {"Zqx_canary": 1}]},
    {"redial": {"maxAttempts": 2, "on": {CANARY: [1]}}},
    {"redial": {"maxAttempts": 2, "onEndedReasons": {CANARY: [0]}}},
    {"redial": {"maxAttempts": 2, "onEndedReasons": {"Zqx_canary": CANARY}}},
    {"redial": {"maxAttempts": CANARY}},
    {"cancel": CANARY},
    {"cancel": {CANARY: CANARY}},
    {"cancel": {"Zqx_canary": CANARY}},
    {"cancel": {"requestId": f"{CANARY}/"}},
    {"cancel": {"batch": "a"}, CANARY: 1},
    {"doNotCall": {CANARY: CANARY}},
    {"doNotCall": {"phoneNumber": CANARY}},
    {"doNotCall": {"phoneNumber": PHONE_NUMBER, "until": CANARY}},
    {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": [CANARY]}},
    {"doNotCall": {"phoneNumber": PHONE_NUMBER, "purposes": {CANARY: CANARY}}},
    {"doNotCall": {"phoneNumber": PHONE_NUMBER}, "Zqx_canary": 1},
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


NAMES = [*VALID, "cancel", "doNotCall", "on", "onEndedReasons", "maxAttempts", "until", "purposes", "days", "from"]
NAMES += ["callbackUrl", "dispatch", "timesParked", "attempt", "request_id", CANARY]
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


# Messages that something else stands around.

REQUEST = {"phoneNumber": PHONE_NUMBER}
EVENT = {
    "version": "0",
    "id": "8a3c5f9e-6f0b-4a57-9d0b-2f5e1c7a4d21",
    "detail-type": "Reminder Due",
    "source": "clinic.scheduling",
    "account": "123456789012",
    "time": "2026-04-01T10:00:00Z",
    "region": "ca-central-1",
    "resources": [],
    "detail": REQUEST,
}
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "6d2f3c1e-0d4b-4f52-9f0e-3a1c5b7d9e10",
    "TopicArn": "arn:aws:sns:ca-central-1:123456789012:reminders",
    "Message": json.dumps(REQUEST),
    "Timestamp": "2026-04-01T10:00:00.000Z",
    "SignatureVersion": "1",
    "Signature": "x",
    "SigningCertURL": "https://example.test/cert",
    "UnsubscribeURL": "https://example.test/unsubscribe",
}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (NOTIFICATION, envelopes.SNS),
        (NOTIFICATION | {"MessageAttributes": {}, "Subject": "s", "Message": "x"}, envelopes.SNS),
        ({"Type": "SubscriptionConfirmation", "Token": "x", "Message": "m"}, envelopes.SNS_CONFIRMATION),
        (EVENT, envelopes.EVENTBRIDGE),
        ({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "s3": {}}]}, envelopes.S3),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, envelopes.S3),
        ({"Records": [{"body": "{}"}]}, envelopes.RECORDS),
    ],
)
def test_an_envelope_is_named_with_what_to_do(body: dict[str, Any], rule: str) -> None:
    error = error_of(json.dumps(body))

    assert (error.field, error.rule, str(error)) == ("body", rule, f"body: {rule}")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("phone_number", "phoneNumber"),
        ("PhoneNumber", "phoneNumber"),
        ("phone-number", "phoneNumber"),
        ("PHONE NUMBER", "phoneNumber"),
    ],
)
def test_another_spelling_is_named_with_the_right_one(name: str, meant: str) -> None:
    error = error_of(json.dumps({"requestId": "a", name: PHONE_NUMBER}))

    assert (error.field, str(error)) == (name, f"unknown field: spelled {meant}")


@pytest.mark.parametrize("body", [{"number": PHONE_NUMBER}, {CANARY: 1}, {"to": PHONE_NUMBER, "assistantId": 1}])
def test_an_unknown_field_is_named_before_one_that_is_missing(body: dict[str, Any]) -> None:
    assert str(error_of(json.dumps(body))) == UNKNOWN_FIELD


def test_a_request_that_is_only_incomplete_is_no_envelope() -> None:
    assert error_of(json.dumps({"requestId": "a"})).field == "phoneNumber"
    assert error_of(json.dumps({"phoneNumber": PHONE_NUMBER, "Type": "Notification", "Message": ""})).field == "Type"
