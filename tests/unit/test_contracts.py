"""The queue's messages: each field's rule at its boundary, and refusals that give nothing away."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from outbound_calls.contracts import (
    MAX_ATTEMPT,
    MAX_MESSAGE_BYTES,
    AttemptKey,
    CallRequest,
    InvalidInput,
    Release,
    read_message,
)
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID

CANARY = "Zqx-canary-7f3a"


def message(**fields: Any) -> str:
    return json.dumps({"phoneNumber": PHONE_NUMBER} | fields)


def read_request(body: str) -> CallRequest:
    read = read_message(body)
    assert isinstance(read, CallRequest)
    return read


def refusal(body: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_message(body)
    return caught.value


def strings(count: int, name: int, value: int) -> dict[str, str]:
    return {f"{i:0{name}}": "v" * value for i in range(count)}


def test_a_whole_message_is_read_as_it_is_meant() -> None:
    request = read_request(
        message(
            requestId="visit-2031",
            assistantId=ASSISTANT_ID,
            phoneNumberId=PHONE_NUMBER_ID,
            customerName="Ada Lovelace",
            dynamicVariables={"time": "10:30"},
            metadata={"clinic": "7"},
        )
    )

    assert request == CallRequest(
        request_id="visit-2031",
        phone_number=PHONE_NUMBER,
        assistant_id=ASSISTANT_ID,
        phone_number_id=PHONE_NUMBER_ID,
        customer_name="Ada Lovelace",
        dynamic_variables={"time": "10:30"},
        metadata={"clinic": "7"},
    )


def test_only_the_phone_number_is_required() -> None:
    assert read_request(message()) == CallRequest(phone_number=PHONE_NUMBER)


def test_a_request_goes_out_in_the_words_it_came_in() -> None:
    body = {"requestId": "a", "phoneNumber": PHONE_NUMBER, "customerName": "Ada", "metadata": {"a": "b"}}

    assert read_request(json.dumps(body)).wire() == body


ACCEPTED: list[tuple[str, Any]] = [
    ("requestId", "a"),
    ("requestId", "A-z.0_9" + "x" * 121),
    ("requestId", "..."),
    ("requestId", ".a"),
    ("requestId", None),
    ("phoneNumber", "+123456789"),
    ("phoneNumber", "+123456789012345"),
    ("assistantId", ASSISTANT_ID),
    ("assistantId", "00000000-0000-0000-0000-000000000000"),
    ("phoneNumberId", PHONE_NUMBER_ID),
    ("customerName", "A"),
    ("customerName", "é" * 200),
    ("customerName", "Zoë O'Brien-山田 👋"),
    ("dynamicVariables", {}),
    ("dynamicVariables", strings(50, 2, 10)),
    ("dynamicVariables", {"n" * 64: "v" * 2000}),
    ("dynamicVariables", {"empty": ""}),
    ("dynamicVariables", {"line": "one\ntwo"}),
    ("metadata", {}),
    ("metadata", strings(20, 2, 10)),
    ("metadata", {"n" * 64: "v" * 256}),
]
REFUSED: list[tuple[str, Any]] = [
    ("requestId", ""),
    ("requestId", "x" * 129),
    ("requestId", "."),
    ("requestId", ".."),
    ("requestId", "a/b"),
    ("requestId", "a b"),
    ("requestId", "a\n"),
    ("requestId", "é"),
    ("requestId", 7),
    ("requestId", ["a"]),
    ("phoneNumber", None),
    ("phoneNumber", ""),
    ("phoneNumber", "+12345678"),
    ("phoneNumber", "+1234567890123456"),
    ("phoneNumber", "+0123456789"),
    ("phoneNumber", "14155550123"),
    ("phoneNumber", "+1 415 555 0123"),
    ("phoneNumber", "+14155550123\n"),
    ("phoneNumber", " +14155550123"),
    ("phoneNumber", "+1415555012٣"),
    ("phoneNumber", 14155550123),
    ("assistantId", ""),
    ("assistantId", "assistant"),
    ("assistantId", ASSISTANT_ID.replace("-", "")),
    ("assistantId", ASSISTANT_ID + "0"),
    ("assistantId", ASSISTANT_ID + "\n"),
    ("assistantId", f"{{{ASSISTANT_ID}}}"),
    ("assistantId", 1),
    ("phoneNumberId", "g" + PHONE_NUMBER_ID[1:]),
    ("phoneNumberId", True),
    ("customerName", ""),
    ("customerName", "é" * 201),
    ("customerName", "Ada\nLovelace"),
    ("customerName", "Ada\x00"),
    ("customerName", "Ada\x7f"),
    ("customerName", "Ada\x85"),
    ("customerName", 7),
    ("customerName", {"first": "Ada"}),
    ("dynamicVariables", strings(51, 2, 1)),
    ("dynamicVariables", {"n" * 65: "v"}),
    ("dynamicVariables", {"": "v"}),
    ("dynamicVariables", {"a": "v" * 2001}),
    ("dynamicVariables", {"a": 1}),
    ("dynamicVariables", {"a": None}),
    ("dynamicVariables", {"a": {"b": "c"}}),
    ("dynamicVariables", ["a"]),
    ("dynamicVariables", "a"),
    ("metadata", strings(21, 2, 1)),
    ("metadata", {"n" * 65: "v"}),
    ("metadata", {"": "v"}),
    ("metadata", {"a": "v" * 257}),
    ("metadata", {"a": 1}),
    ("metadata", []),
]


@pytest.mark.parametrize(("field", "value"), ACCEPTED)
def test_what_keeps_the_rule_is_read(field: str, value: object) -> None:
    assert read_request(message(**{field: value})).model_dump(by_alias=True)[field] == value


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_what_breaks_the_rule_is_refused_by_the_name_of_the_field(field: str, value: object) -> None:
    refused = refusal(message(**{field: value}))

    assert refused.field == field
    assert refused.rule
    assert str(refused) == f"{field}: {refused.rule}"


def test_a_missing_phone_number_is_named() -> None:
    assert refusal("{}").field == "phoneNumber"


def test_a_uuid_is_kept_in_lower_case() -> None:
    assert read_request(message(assistantId="ABCDEF00-2222-4333-8444-555555555555")).assistant_id == (
        "abcdef00-2222-4333-8444-555555555555"
    )


@pytest.mark.parametrize(
    "field", ["callbackUrl", "notes", "phone_number", "request_id", "customer_name", "PhoneNumber", "status"]
)
def test_an_unknown_field_is_refused(field: str) -> None:
    refused = refusal(message(**{field: "https://elsewhere.example/hook"}))

    assert refused.field == field
    assert str(refused).startswith(
        "unknown field: no field but assistantId, customerName, dynamicVariables, metadata, "
    )


def test_no_field_goes_by_pythons_name_instead() -> None:
    assert refusal(json.dumps({"phone_number": PHONE_NUMBER})).field == "phoneNumber"


def test_an_unknown_name_that_is_content_is_not_even_kept_as_the_field() -> None:
    assert refusal(message(**{"Ada Lovelace, born 1815": 1})).field == "body"


def test_of_a_field_given_twice_the_last_is_read_and_no_two_calls_come_of_it() -> None:
    assert read_request('{"phoneNumber": "+14155550100", "phoneNumber": "+14155550199"}').phone_number == "+14155550199"


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "null",
        "[]",
        "[{}]",
        '"text"',
        "7",
        "{",
        '{"phoneNumber": "+14155550123"',
        '{"phoneNumber": "+14155550123"} {}',
        "{'phoneNumber': '+14155550123'}",
        "\ufeff{}",
        '{"phoneNumber": "+14155550123", "customerName": "\\ud800"}',
        '{"phoneNumber": "+14155550123", "customerName": "\ud800"}',
        '{"phoneNumber": "+14155550123", "x": ' + "[" * 10_000 + "]" * 10_000 + "}",
        "[" * 30_000,
        '{"phoneNumber": ' + "9" * 5_000 + "}",
    ],
)
def test_what_is_no_json_object_in_utf_8_is_refused_as_a_whole(body: str) -> None:
    refused = refusal(body)

    assert (refused.field, refused.rule) == ("body", "a JSON object in UTF-8, nested at most 3 deep")


def test_a_message_of_the_greatest_size_is_read_and_one_byte_more_is_refused() -> None:
    body = message()
    greatest = body + " " * (MAX_MESSAGE_BYTES - len(body))

    assert read_request(greatest).phone_number == PHONE_NUMBER
    assert str(refusal(greatest + " ")) == "body: at most 32768 bytes"


def test_the_size_is_counted_in_bytes_and_not_in_characters() -> None:
    assert str(refusal('"' + "é" * (MAX_MESSAGE_BYTES // 2) + '"')) == "body: at most 32768 bytes"


def test_a_release_names_an_attempt_that_the_poller_lets_go() -> None:
    release = Release(release=AttemptKey(request_id="visit-2031", attempt=2), times_parked=3)

    assert json.loads(release.model_dump_json()) == {
        "release": {"requestId": "visit-2031", "attempt": 2},
        "timesParked": 3,
    }
    assert read_message(release.model_dump_json()) == release


@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPT])
def test_an_attempt_at_the_boundary_is_read(attempt: int) -> None:
    assert read_message(json.dumps({"release": {"requestId": "a", "attempt": attempt}})) == Release(
        release=AttemptKey(request_id="a", attempt=attempt)
    )


@pytest.mark.parametrize(
    "release",
    [
        None,
        1,
        {},
        {"requestId": "a"},
        {"attempt": 1},
        {"requestId": "a", "attempt": 0},
        {"requestId": "a", "attempt": MAX_ATTEMPT + 1},
        {"requestId": "a", "attempt": 1.0},
        {"requestId": "a", "attempt": "1"},
        {"requestId": "a", "attempt": True},
        {"requestId": "..", "attempt": 1},
        {"requestId": None, "attempt": 1},
        {"request_id": "a", "attempt": 1},
    ],
)
def test_a_release_of_no_attempt_is_refused(release: object) -> None:
    refused = refusal(json.dumps({"release": release}))

    assert refused.field == "release"


@pytest.mark.parametrize(
    "body",
    [
        {"release": {"requestId": "a", "attempt": 1}, "phoneNumber": PHONE_NUMBER},
        {"release": {"requestId": "a", "attempt": 1, "phoneNumber": PHONE_NUMBER}},
    ],
)
def test_a_release_carries_nothing_but_the_attempt(body: dict[str, Any]) -> None:
    # And not by a rule for requests, which may have that field
    assert refusal(json.dumps(body)).field == "release"


# What no text, log line or answer may repeat is planted in every place where content can stand.
PLANTED: list[dict[str, Any]] = [
    {"phoneNumber": CANARY},
    {"requestId": f"{CANARY}/"},
    {"assistantId": CANARY},
    {"customerName": f"{CANARY}\n"},
    {"dynamicVariables": {CANARY: 1}},
    {"dynamicVariables": {"a": {CANARY: CANARY}}},
    {"dynamicVariables": [CANARY]},
    {"metadata": {CANARY: 7}},
    {"metadata": {"a": [CANARY]}},
    {CANARY: 1},
    {"Zqx_canary": 1},
    {"release": CANARY},
    {"release": {"requestId": f"{CANARY}/", "attempt": 1}},
    {"release": {"requestId": "a", "attempt": CANARY}},
    {"release": {CANARY: CANARY}},
]


@pytest.mark.parametrize("fields", PLANTED)
def test_a_refusal_repeats_nothing_of_the_content(fields: dict[str, Any]) -> None:
    refused = refusal(message(**fields))

    assert "zqx" not in str(refused).lower()
    assert "zqx" not in refused.rule.lower()
    assert refused.__cause__ is None
    assert refused.__suppress_context__


def test_a_refusal_of_what_is_no_json_repeats_nothing_either() -> None:
    assert "zqx" not in str(refusal(f'{{"phoneNumber": "{CANARY}')).lower()


def test_an_exception_that_nobody_turned_into_a_refusal_repeats_nothing_either() -> None:
    with pytest.raises(ValidationError) as caught:
        CallRequest(phone_number=CANARY, customer_name="Ada")

    assert "Zqx" not in str(caught.value)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([CANARY, PHONE_NUMBER, ASSISTANT_ID, ".."]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from([CANARY, "requestId", "attempt", "release"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
field_names = st.sampled_from(
    [
        *("requestId", "phoneNumber", "assistantId", "phoneNumberId", "customerName", "dynamicVariables", "metadata"),
        *("callbackUrl", "release", "request_id", CANARY),
    ]
)


def read_or_refused(body: str) -> None:
    said = ""
    try:
        read_message(body)
    except InvalidInput as refused:
        said = str(refused).lower()
    assert "zqx" not in said


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(field_names, anything, max_size=5))
def test_any_object_is_read_or_refused(body: dict[str, object]) -> None:
    read_or_refused(json.dumps(body))
    read_or_refused(json.dumps({"phoneNumber": PHONE_NUMBER} | body, ensure_ascii=False))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused(body: str) -> None:
    read_or_refused(body)
    read_or_refused(f'{{"phoneNumber": "{PHONE_NUMBER}", "customerName": "{body}"}}')
