"""The policy document: each field's rule at its limits, and errors that name the field by its path."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.policy import (
    MAX_POLICY_BYTES,
    CallingPolicy,
    calendars,
    policy_errors,
    read_policy,
    read_stored_policy,
)
from outbound_calls.contracts.wire import InvalidInput
from tests.unit.policy.parts import WEEKDAYS_9_TO_17

EVERY_FIELD: dict[str, Any] = {
    "basedOn": "canada",
    "timeZone": "America/Toronto",
    "callingWindows": [WEEKDAYS_9_TO_17, {"days": ["sat", "sun"], "from": "10:00", "to": "24:00"}],
    "holidays": {"country": "CA", "subdivision": "QC"},
    "exceptions": [
        {"name": "Christmas", "from": "2026-12-24", "to": "2027-01-01"},
        {"from": "2026-06-24", "to": "2026-06-24", "callingWindows": "always"},
    ],
    "redial": {
        "on": {"busy": [600, 1800], "no-answer": [14400], "failed": [60]},
        "onEndedReasons": {"voicemail": [86400]},
        "maxAttempts": 3,
    },
    "maxAttemptsCeiling": 5,
    "recipientCaps": [{"calls": 1, "perDays": 1}, {"calls": 3, "perSeconds": 604800}],
    "whenCapped": "wait",
    "expireAfterSeconds": 86400,
    "maxConcurrentCalls": 10,
    "paused": False,
    "purposes": {"marketing": {"recipientCaps": [{"calls": 4, "perDays": 30}]}},
    "organizations": {
        "boston": {
            "basedOn": "united-states-health-care",
            "maxConcurrentCalls": 4,
            "purposes": {"results": {"callingWindows": "always"}},
        }
    },
}


def errors(document: object) -> list[str]:
    return [str(error) for error in policy_errors(json.dumps(document))]


def error_of(document: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_policy(json.dumps(document))
    return caught.value


def test_a_document_with_every_field_is_read_and_written_unchanged() -> None:
    assert read_policy(json.dumps(EVERY_FIELD)).wire() == EVERY_FIELD
    assert EVERY_FIELD.keys() == {field.alias for field in CallingPolicy.model_fields.values()}


def test_an_empty_document_is_valid_and_says_nothing() -> None:
    assert read_policy("{}").wire() == {}
    assert read_policy(json.dumps(dict.fromkeys(EVERY_FIELD))).wire() == {}


WINDOW = {"days": ["mon"], "from": "09:00", "to": "17:00"}
BAD_WINDOWS: list[tuple[dict[str, Any], str]] = [
    ({"days": []}, "days"),
    ({"days": ["monday"]}, "days[0]"),
    ({"days": ["mon", "Tue"]}, "days[1]"),
    ({"days": "mon"}, "days"),
    ({"from": "9:00"}, "from"),
    ({"from": "24:00"}, "from"),
    ({"from": "09:60"}, "from"),
    ({"from": 9}, "from"),
    ({"to": "24:01"}, "to"),
    ({"to": "17:00:00"}, "to"),
    ({"to": None}, "to"),
    ({"timeZone": "UTC"}, "timeZone"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_WINDOWS)
@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("", lambda windows: {"callingWindows": windows}),
        ("purposes.results.", lambda windows: {"purposes": {"results": {"callingWindows": windows}}}),
        ("exceptions[0].", lambda w: {"exceptions": [{"from": "2026-12-24", "to": "2026-12-24", "callingWindows": w}]}),
    ],
)
def test_a_wrong_window_is_named_by_its_path(changes: dict[str, Any], field: str, path: str, document: Any) -> None:
    assert error_of(document([WINDOW | changes])).field == f"{path}callingWindows[0].{field}"


@pytest.mark.parametrize("to", ["09:00", "08:59", "00:00"])
def test_a_window_ends_after_it_began_and_on_the_same_day(to: str) -> None:
    [error] = errors({"callingWindows": [WINDOW, WINDOW | {"to": to}]})

    rule = "from must be earlier than to: a window doesn't cross midnight, so write two"
    assert error == f"callingWindows[1]: {rule}"


INVALID: list[tuple[str, str, Any]] = [
    ("basedOn", "", "Canada"),
    ("basedOn", "", ""),
    ("timeZone", "", "America/Gotham"),
    ("timeZone", "", "america/toronto"),
    ("timeZone", "", "../zones"),
    ("timeZone", "", "Factory"),
    ("callingWindows", "", []),
    ("callingWindows", "", "never"),
    ("callingWindows", "", {}),
    ("holidays", ".country", {"country": "Canada"}),
    ("holidays", ".country", {}),
    ("holidays", ".subdivision", {"country": "CA", "subdivision": "Quebec"}),
    ("exceptions", "", []),
    ("exceptions", "[0].from", [{"from": "2026-02-29", "to": "2026-03-01"}]),
    ("exceptions", "[0].to", [{"from": "2026-12-24", "to": "20261225"}]),
    ("exceptions", "[0]", [{"from": "2026-12-25", "to": "2026-12-24"}]),
    ("exceptions", "[0].callingWindows", [{"from": "2026-12-24", "to": "2026-12-25", "callingWindows": []}]),
    ("redial", ".maxAttempts", {"on": {"busy": [600]}}),
    ("redial", ".maxAttempts", {"maxAttempts": 0}),
    ("redial", ".on.completed", {"maxAttempts": 2, "on": {"completed": [600]}}),
    ("redial", ".on.unknown", {"maxAttempts": 2, "on": {"unknown": [600]}}),
    ("redial", ".on.busy", {"maxAttempts": 2, "on": {"busy": []}}),
    ("redial", ".on.busy[1]", {"maxAttempts": 2, "on": {"busy": [600, 0]}}),
    ("maxAttemptsCeiling", "", 0),
    ("recipientCaps", "", []),
    ("recipientCaps", "[0]", [{"calls": 1}]),
    ("recipientCaps", "[0]", [{"calls": 1, "perDays": 1, "perSeconds": 1}]),
    ("recipientCaps", "[0].calls", [{"calls": 0, "perDays": 1}]),
    ("recipientCaps", "[0].calls", [{"perDays": 1}]),
    ("recipientCaps", "[0].perSeconds", [{"calls": 1, "perSeconds": 0}]),
    ("whenCapped", "", "ignore"),
    ("expireAfterSeconds", "", 0),
    ("expireAfterSeconds", "", 1.5),
    ("expireAfterSeconds", "", "86400"),
    ("maxConcurrentCalls", "", 0),
    ("paused", "", "false"),
    ("paused", "", 0),
    ("purposes", ".a.purposes", {"a": {"purposes": {}}}),
    ("purposes", ".a.maxConcurrentCalls", {"a": {"maxConcurrentCalls": 1}}),
    ("organizations", ".a.organizations", {"a": {"organizations": {}}}),
    ("organizations", ".north.paused", {"north": {"paused": 1}}),
]


ABOVE_LIMITS: list[tuple[str, str, Any]] = [
    ("callingWindows", "", [WINDOW] * 51),
    ("redial", ".maxAttempts", {"maxAttempts": 100}),
    ("redial", ".onEndedReasons.voicemail[0]", {"maxAttempts": 2, "onEndedReasons": {"voicemail": [2_592_001]}}),
    ("recipientCaps", "[0].perDays", [{"calls": 1, "perDays": 31}]),
]
"""Functions don't repeat these limits: what is above them costs more or narrows."""


@pytest.mark.parametrize(("field", "path", "value"), [*INVALID, *ABOVE_LIMITS])
def test_an_invalid_field_is_named_with_its_rule(field: str, path: str, value: object) -> None:
    error = error_of({field: value})

    assert error.field == f"{field}{path}"
    assert str(error) == f"{error.field}: {error.rule}"
    assert "JSON" not in error.rule


def test_every_field_is_tested_with_a_wrong_value() -> None:
    assert {field for field, _, _ in INVALID} == EVERY_FIELD.keys()


@pytest.mark.parametrize("name", ["maxAttempts", "based_on", "CallingWindows", "holidayDates", "callbackUrl"])
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    error = error_of({name: 1})

    assert error.field == name
    assert error.rule.startswith("no field but basedOn, callingWindows, exceptions")


def test_an_organization_or_purpose_needs_a_valid_name() -> None:
    assert error_of({"organizations": {"North": {}}}).field == "organizations.North"
    assert error_of({"purposes": {"a b": {}}}).field == "purposes.a field"


@pytest.mark.parametrize("name", ["paused", "list", "always", "key", "purposes"])
def test_a_name_may_be_that_of_a_field(name: str) -> None:
    assert error_of({"organizations": {name: {"purposes": {name: {"redial": {"on": 1}}}}}}).field == (
        f"organizations.{name}.purposes.{name}.redial.on"
    )


def test_a_check_reports_every_error() -> None:
    found = errors({"paused": 1, "callingWindows": [], "organizations": {"a": {"timeZone": 1}}})

    assert {error.partition(":")[0] for error in found} == {"paused", "callingWindows", "organizations.a.timeZone"}


def test_a_field_that_occurs_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^paused: only once in its object$"):
        read_policy('{"paused": true, "organizations": {}, "paused": false}')


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"open"', "{", "{} {}", "\ufeff{}", "[" * 30_000, b"\xff", "\ud800"]
)
def test_what_is_not_a_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^policy: a JSON object in UTF-8$"):
        read_policy(text)


def test_a_document_has_a_largest_size() -> None:
    assert policy_errors("{}" + " " * (MAX_POLICY_BYTES - 2)) == []
    assert [error.rule for error in policy_errors("{}" + " " * (MAX_POLICY_BYTES - 1))] == ["at most 65536 bytes"]


# The stored document.


def test_the_stored_document_has_the_dates_of_every_holiday_that_it_names() -> None:
    dates = {"until": "2031-12-31", "dates": ["2026-12-25"]}
    named = {"holidays": {"country": "CA"}, "purposes": {"a": {"holidays": {"country": "CA", "subdivision": "QC"}}}}

    policy = read_stored_policy(json.dumps(named | {"holidayDates": {"CA": dates, "CA-QC": dates}}))

    assert calendars(policy).keys() == {"CA", "CA-QC"}
    with pytest.raises(InvalidInput, match=r"^policy: no dates are stored for the holidays of CA-QC$"):
        read_stored_policy(json.dumps(named | {"holidayDates": {"CA": dates}}))


@pytest.mark.parametrize("dates", [{"dates": []}, {"until": "2031-12-31"}, {"until": "soon", "dates": []}])
def test_wrong_holiday_dates_make_the_stored_document_unreadable(dates: dict[str, Any]) -> None:
    document = {"holidays": {"country": "CA"}, "holidayDates": {"CA": dates}}

    with pytest.raises(InvalidInput, match=r"^holidayDates\.CA\."):
        read_stored_policy(json.dumps(document))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["always", "CA"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*EVERY_FIELD, "days", "from", "to", "calls", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*EVERY_FIELD]), anything, max_size=4) | anything)
def test_anything_is_read_or_refused(document: object) -> None:
    text = json.dumps(document)
    found = policy_errors(text)
    if found:
        with pytest.raises(InvalidInput) as caught:
            read_policy(text)
        assert str(caught.value) == str(found[0])
    else:
        assert read_policy(text).wire() == read_policy(json.dumps(read_policy(text).wire())).wire()
