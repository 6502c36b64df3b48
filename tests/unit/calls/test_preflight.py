"""Every row is checked before anything is sent, and no row is ever two calls."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from calls.operations.masking import mask_value, masked, unmasked
from calls.operations.preflight import CheckedRow, Preflight, RowIds, check_rows
from calls.operations.requests_file import Row
from calls.operations.stack import StackDefaults
from outbound_calls.contracts.messages import CallRequestMessage
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.use_cases.new_attempt import Defaults
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID, organizations_in

NUMBER = "+15005550100"
IDS = RowIds("arn:aws:cloudformation:ca-central-1:123456789012:stack/outbound/3f2a")
DEFAULTS = Defaults(ASSISTANT_ID, PHONE_NUMBER_ID)


def row(number: int, **fields: Any) -> Row:
    return Row(number, json.dumps({"phoneNumber": NUMBER} | fields))


def check(
    *rows: Row, ids: RowIds = IDS, defaults: Defaults = DEFAULTS, known: Mapping[str, Status] | None = None
) -> tuple[Preflight, list[CheckedRow]]:
    statuses = {AttemptKey(RequestKey(name), 1): status for name, status in (known or {}).items()}
    return check_rows(rows, ids, defaults, lambda keys: {key: statuses[key] for key in keys if key in statuses}, masked)


def request_ids(rows: list[CheckedRow]) -> list[str]:
    return [each.request_id for each in rows]


def test_every_row_is_counted_once() -> None:
    preflight, to_send = check(
        row(2, requestId="new"),
        row(3, requestId="new"),
        row(4, requestId="old"),
        row(5, requestId="bad", phoneNumber="5145550199"),
        known={"old": Status.COMPLETED},
    )

    assert request_ids(to_send) == ["new"]
    assert (preflight.rows, preflight.to_send) == (4, 1)
    assert [(each.row, each.same_as_row) for each in preflight.duplicate] == [(3, 2)]
    assert [(each.row, each.status) for each in preflight.known] == [(4, Status.COMPLETED)]
    assert [(each.row, each.field) for each in preflight.invalid] == [(5, "phoneNumber")]


# Invalid rows.


def test_an_invalid_row_is_reported_with_the_rule_and_without_its_content() -> None:
    preflight, _ = check(row(2, phoneNumber="5145550199"), row(3, ada="x"), row(4, customerName=""))

    assert preflight.invalid[0].rule == CallRequestMessage.model_fields["phone_number"].description
    assert [each.field for each in preflight.invalid] == ["phoneNumber", "unknown field", "customerName"]
    assert "0199" not in preflight.model_dump_json()


@pytest.mark.parametrize(
    ("invalid", "field"),
    [
        (Row(2, '{"dispatch": {"requestId": "a", "attempt": 1}, "timesParked": 1}'), "dispatch"),
        (Row(2, "", InvalidInput("row", "as many cells as the header: 2")), "row"),
        (row(2, organization="an other"), "organization"),
        (Row(2, "not JSON"), "body"),
    ],
)
def test_a_row_that_this_stack_cannot_take_is_invalid(invalid: Row, field: str) -> None:
    preflight, to_send = check(invalid)

    assert to_send == []
    assert [(each.row, each.field) for each in preflight.invalid] == [(2, field)]


def test_a_row_without_an_assistant_is_invalid_if_the_stack_has_no_default() -> None:
    preflight, to_send = check(row(2), defaults=Defaults(None, PHONE_NUMBER_ID))

    assert to_send == []
    assert preflight.invalid[0].field == "assistantId"


def test_rows_with_one_id_and_different_content_are_all_invalid() -> None:
    preflight, to_send = check(
        row(2, requestId="a", customerName="Ada"), row(3, requestId="a", customerName="Eve"), row(4, requestId="b")
    )

    assert request_ids(to_send) == ["b"]
    assert [(each.row, each.field) for each in preflight.invalid] == [(2, "requestId"), (3, "requestId")]


def test_the_same_id_in_two_organizations_is_two_calls() -> None:
    preflight, to_send = check(
        row(2, requestId="a"), row(3, requestId="a", organization="north"), row(4, requestId="a", organization="north")
    )

    assert [str(each.key.request) for each in to_send] == ["a", "north~a"]
    assert [(each.row, each.same_as_row) for each in preflight.duplicate] == [(4, 3)]


NORTH = f'{{"organizations": {{"north": {{"apiKey": "k", "assistantId": "{ASSISTANT_ID}"}}}}}}'


@pytest.mark.parametrize(
    ("organization", "fields", "invalid"),
    [
        ("north", {}, "phoneNumberId"),
        ("north", {"phoneNumberId": PHONE_NUMBER_ID}, None),
        ("west", {"phoneNumberId": PHONE_NUMBER_ID}, "organization"),
        ("default", {}, None),
        (None, {}, None),
    ],
)
def test_a_row_is_checked_with_the_defaults_of_its_organization(
    organization: str | None, fields: dict[str, str], invalid: str | None
) -> None:
    """The default organization's are parameters of the stack, for which the secret isn't read."""
    defaults = StackDefaults(ASSISTANT_ID, PHONE_NUMBER_ID, lambda: organizations_in(NORTH))

    preflight, to_send = check(row(2, organization=organization, **fields), defaults=defaults)

    assert [each.field for each in preflight.invalid] == ([invalid] if invalid else [])
    assert len(to_send) == (0 if invalid else 1)


@pytest.mark.parametrize("organization", ["north", "west"])
def test_where_the_secret_may_not_be_read_a_row_of_an_organization_is_sent(organization: str) -> None:
    preflight, _ = check(
        row(2, organization=organization), defaults=StackDefaults(organizations=lambda: organizations_in(None))
    )

    assert preflight.to_send == 1


def test_without_parameters_the_default_organizations_defaults_are_those_in_the_secret() -> None:
    text = f'{{"organizations": {{"default": {{"apiKey": "k", "assistantId": "{ASSISTANT_ID}"}}}}}}'
    organizations = organizations_in(text)

    preflight, _ = check(
        row(2, phoneNumberId=PHONE_NUMBER_ID), defaults=StackDefaults(organizations=lambda: organizations)
    )

    assert preflight.to_send == 1


# Derived ids.


def test_an_equal_row_gets_the_same_id_in_any_file() -> None:
    _, first = check(row(2, customerName="Ada"), row(3, customerName="Evee"))
    _, fixed = check(row(2, customerName="Eve"), row(3), row(4, customerName="Ada"))

    assert first[0].key == fixed[2].key
    assert len({*request_ids(first), *request_ids(fixed)}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"phoneNumber": "+15005550101"},
        {"customerName": "Eve"},
        {"dynamicVariables": {"date": "2026-12-02"}},
        {"metadata": {"visit": "V2"}},
        {"assistantId": ASSISTANT_ID},
        {"phoneNumberId": PHONE_NUMBER_ID},
        {"batch": "december"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_row_is_another_call(change: dict[str, Any]) -> None:
    _, to_send = check(row(2), row(3, **change))

    assert len(set(request_ids(to_send))) == 2


def test_a_duplicate_row_is_sent_once() -> None:
    preflight, to_send = check(row(2), Row(3, json.dumps({"phoneNumber": NUMBER}, indent=1)))

    assert len(to_send) == 1
    assert [each.row for each in preflight.duplicate] == [3]
    assert preflight.derived_ids == 2


def test_another_batch_or_stack_gives_another_id() -> None:
    (one,), (batch,), (stack,) = (
        check(row(2), ids=ids)[1] for ids in (IDS, RowIds(IDS.stack_arn, "december"), RowIds("arn:another"))
    )

    assert len({one.key, batch.key, stack.key}) == 3


def test_a_derived_id_does_not_reveal_the_number() -> None:
    _, (checked,) = check(row(2))

    assert checked.request_id.startswith("row-")
    assert NUMBER.strip("+") not in checked.request_id
    # Without the stack's ARN, trying all numbers does not find this one.
    assert RowIds("").derive(CallRequestMessage(phone_number=NUMBER)) != checked.request_id


def test_derived_ids_stay_the_same_in_every_version() -> None:
    # If this fails, running yesterday's file again today calls everyone twice.
    request = CallRequestMessage(phone_number=NUMBER, customer_name="Zoë", dynamic_variables={"b": "2", "a": "1"})

    assert RowIds("arn:stack", "x").derive(request) == "row-2d15522287c658438bf10087"


def test_a_row_keeps_its_own_id() -> None:
    preflight, to_send = check(row(2, requestId="mine"))

    assert request_ids(to_send) == ["mine"]
    assert preflight.derived_ids == 0


# Warnings and masking.


def test_rows_with_the_same_number_and_variables_are_pointed_out() -> None:
    variables = {"dynamicVariables": {"date": "2026-12-01"}}
    preflight, to_send = check(
        row(2, requestId="a", **variables), row(3, requestId="b", **variables), row(4, requestId="c")
    )

    assert len(to_send) == 3
    assert [each.rows for each in preflight.similar] == [[2, 3]]
    assert preflight.similar[0].phone_number == "+1500•••••00"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15145550199", "+1514•••••99"),
        ("+123456789", "+12•••••89"),
        ("+442071838750", "+4420••••••50"),
        ("514-555-0199", "•••"),
        ("", "•••"),
    ],
)
def test_the_middle_of_a_number_is_masked(number: str, shown: str) -> None:
    assert masked(number) == shown
    assert unmasked(number) == number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("15145550199", "•••••••••99"),
        ("(514) 555-0199", "(•••) •••-••99"),
        ("1.51E+10", "•.••E+••"),
        ("12/1/2026 9:00", "••/•/•••• •:••"),
        ("Ada Lovelace", "••• ••••••••"),
        ("ö\x1b[2J", "•\x1b[••"),
        ("x" * 200, "•" * 24 + "…"),
        ("", ""),
        (None, None),
    ],
)
def test_a_cell_is_shown_by_its_shape(value: str | None, shown: str | None) -> None:
    assert mask_value(value, is_number=True) == shown


@pytest.mark.parametrize("value", ["1980-12-01", "15145550199", "1.51E+10"])
def test_only_of_a_phone_number_any_digit_is_shown(value: str) -> None:
    assert not set(str(mask_value(value))) & set("0123456789E")
