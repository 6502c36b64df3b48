"""Before anything is sent, it is known of every row what will become of it; and no row is ever two calls."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from calls.masking import masked, unmasked
from calls.preflight import Naming, Preflight, Prepared, look_over
from calls.requests_file import Row
from outbound_calls.contracts import AttemptKey, CallRequest, InvalidInput
from outbound_calls.lifecycle import Status
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

NUMBER = "+15005550100"
NAMING = Naming("arn:aws:cloudformation:ca-central-1:123456789012:stack/outbound/3f2a")


def completed(request: CallRequest) -> CallRequest:
    return request.completed(ASSISTANT_ID, PHONE_NUMBER_ID)


def row(number: int, **fields: Any) -> Row:
    return Row(number, json.dumps({"phoneNumber": NUMBER} | fields))


def looked_over(
    *rows: Row, naming: Naming = NAMING, known: Mapping[str, Status] | None = None
) -> tuple[Preflight, list[Prepared]]:
    there = {AttemptKey(request_id=name, attempt=1): status for name, status in (known or {}).items()}
    return look_over(rows, naming, completed, lambda keys: {key: there[key] for key in keys if key in there}, masked)


def ids(prepared: list[Prepared]) -> list[str]:
    return [each.key.request_id for each in prepared]


def test_every_row_is_accounted_for_once() -> None:
    preflight, prepared = looked_over(
        row(2, requestId="new"),
        row(3, requestId="new"),
        row(4, requestId="old"),
        row(5, requestId="bad", phoneNumber="5145550199"),
        known={"old": Status.COMPLETED},
    )

    assert ids(prepared) == ["new"]
    assert preflight.rows == 4
    assert preflight.to_send == 1
    assert [(each.row, each.same_as_row) for each in preflight.repeated] == [(3, 2)]
    assert [(each.row, each.status) for each in preflight.already_there] == [(4, Status.COMPLETED)]
    assert [(each.row, each.field) for each in preflight.refused] == [(5, "phoneNumber")]


def test_a_refusal_says_the_contracts_rule_and_nothing_of_the_row() -> None:
    preflight, _ = looked_over(row(2, phoneNumber="5145550199"), row(3, ada="x"), row(4, customerName=""))

    assert preflight.refused[0].rule == CallRequest.model_fields["phone_number"].description
    assert [each.field for each in preflight.refused] == ["phoneNumber", "unknown field", "customerName"]
    assert "0199" not in preflight.model_dump_json()


def test_a_row_that_names_no_assistant_is_refused_where_the_stack_has_none() -> None:
    def without_default(request: CallRequest) -> CallRequest:
        return request.completed(None, PHONE_NUMBER_ID)

    preflight, prepared = look_over([row(2)], NAMING, without_default, lambda _keys: {}, masked)

    assert prepared == []
    assert preflight.refused[0].field == "assistantId"


def test_the_pollers_own_message_is_no_request() -> None:
    preflight, _ = looked_over(Row(1, '{"release": {"requestId": "a", "attempt": 1}}'))

    assert preflight.refused[0].field == "release"


def test_a_fault_of_the_row_is_told() -> None:
    preflight, _ = looked_over(Row(2, "", InvalidInput("row", "as many cells as the head has: 2")))

    assert (preflight.refused[0].row, preflight.refused[0].field) == (2, "row")


def test_rows_that_say_different_things_under_one_id_are_all_refused() -> None:
    preflight, prepared = looked_over(
        row(2, requestId="a", customerName="Ada"), row(3, requestId="a", customerName="Eve"), row(4, requestId="b")
    )

    assert ids(prepared) == ["b"]
    assert [(each.row, each.field) for each in preflight.refused] == [(2, "requestId"), (3, "requestId")]


# Ids that follow from what a row says.


def test_the_same_row_has_the_same_id_wherever_it_stands_and_whatever_the_others_say() -> None:
    _, first = looked_over(row(2, customerName="Ada"), row(3, customerName="Evee"))
    _, mended = looked_over(row(2, customerName="Eve"), row(3), row(4, customerName="Ada"))

    assert first[0].key == mended[2].key
    assert len({*ids(first), *ids(mended)}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"phoneNumber": "+15005550101"},
        {"customerName": "Eve"},
        {"dynamicVariables": {"date": "2026-12-02"}},
        {"metadata": {"visit": "V2"}},
        {"assistantId": ASSISTANT_ID},
        {"phoneNumberId": PHONE_NUMBER_ID},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_says_something_else_is_another_call(change: dict[str, Any]) -> None:
    _, prepared = looked_over(row(2), row(3, **change))

    assert len(set(ids(prepared))) == 2


def test_a_row_that_is_repeated_word_for_word_is_one_call() -> None:
    preflight, prepared = looked_over(row(2), Row(3, json.dumps({"phoneNumber": NUMBER}, indent=1)))

    assert len(prepared) == 1
    assert [each.row for each in preflight.repeated] == [3]
    assert preflight.ids_from_rows == 2


def test_a_batch_has_ids_of_its_own_and_so_has_a_stack() -> None:
    (one,), (batch,), (stack,) = (
        looked_over(row(2), naming=naming)[1]
        for naming in (NAMING, Naming(NAMING.stack_arn, "december"), Naming("arn:another"))
    )

    assert len({one.key, batch.key, stack.key}) == 3


def test_a_rows_id_is_one_that_the_contract_takes_and_does_not_tell_the_number() -> None:
    _, (prepared,) = looked_over(row(2))

    assert prepared.key.request_id.startswith("row-")
    assert NUMBER.strip("+") not in prepared.key.request_id
    # Without the stack's ARN, nobody finds the number by trying all of them.
    assert Naming("").id_of(CallRequest(phone_number=NUMBER)) != prepared.key.request_id


def test_ids_do_not_change_from_one_version_of_this_command_to_the_next() -> None:
    # If this fails, whoever runs yesterday's file again today calls everybody twice.
    request = CallRequest(phone_number=NUMBER, customer_name="Zoë", dynamic_variables={"b": "2", "a": "1"})

    assert Naming("arn:stack", "x").id_of(request) == "row-2d15522287c658438bf10087"


def test_a_requests_own_id_is_what_it_goes_by() -> None:
    preflight, prepared = looked_over(row(2, requestId="mine"))

    assert ids(prepared) == ["mine"]
    assert preflight.ids_from_rows == 0


# The warning.


def test_rows_that_would_call_one_number_about_the_same_thing_are_pointed_out() -> None:
    variables = {"dynamicVariables": {"date": "2026-12-01"}}
    preflight, prepared = looked_over(
        row(2, requestId="a", **variables), row(3, requestId="b", **variables), row(4, requestId="c")
    )

    assert len(prepared) == 3
    assert [each.rows for each in preflight.alike] == [[2, 3]]
    assert preflight.alike[0].phone_number == "+1500•••••00"


# Numbers as they are shown.


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
def test_a_number_is_shown_without_its_middle(number: str, shown: str) -> None:
    assert masked(number) == shown
    assert unmasked(number) == number
