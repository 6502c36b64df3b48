"""What DynamoDB's answers to a conditional write mean. A server on a socket answers the SDK's own requests."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.conditional_writes import ConditionalWrites, WriteUnanswered, set_and_remove
from tests.unit.dynamodb import Asked, client_of, dynamodb, fault, well
from tests.unit.parts import closed_port

ITEM = {"requestId": "visit-2031", "attempt": 1, "status": "calling"}
OTHER = ITEM | {"status": "busy"}
STORED = {"requestId": {"S": "visit-2031"}, "attempt": {"N": "1"}, "status": {"S": "calling"}}
KEY = {"requestId": "visit-2031", "attempt": 1}

CONDITION = "ConditionalCheckFailedException"
CANCELED = "TransactionCanceledException"
CONFLICT = "TransactionConflictException"


def canceled(*codes: str) -> bytes:
    return fault(CANCELED, CancellationReasons=[{"Code": code} for code in codes])


LATER = fault("InternalServerError", "500 Internal Server Error")
REFUSED_WITH_ITEM = fault(CONDITION, Item=STORED)
REFUSED_WITHOUT_ITEM = fault(CONDITION)


@contextmanager
def writes_to(url: str, tries: int = 1) -> Iterator[ConditionalWrites]:
    with client_of(url, tries) as client:
        yield ConditionalWrites(client, "calls")


@contextmanager
def answering(*answers: bytes, tries: int = 1) -> Iterator[tuple[ConditionalWrites, Asked]]:
    with dynamodb(*answers, tries=tries) as (client, table):
        yield ConditionalWrites(client, "calls"), table


type Write = Callable[[ConditionalWrites], Any]

WRITES: dict[str, Write] = {
    "put": lambda writes: writes.put(ITEM),
    "update": lambda writes: writes.update(KEY, "SET #status = :status", "#attempt = :one", {"status": "x", "one": 1}),
    "transact": lambda writes: writes.transact([writes.put_part(ITEM)]),
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


def test_a_new_item_is_returned_as_it_was_written() -> None:
    with answering(well()) as (writes, table):
        assert writes.put(ITEM) == (True, ITEM)
    assert table.asked == [
        {
            "TableName": "calls",
            "Item": STORED,
            "ConditionExpression": "attribute_not_exists(requestId)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    ]


def test_an_update_names_every_attribute_by_a_placeholder_and_returns_the_item() -> None:
    with answering(well(Attributes=STORED)) as (writes, table):
        assert writes.update(KEY, "SET #status = :new", "#dueAt = :seen", {"new": "calling", "seen": 5}) == (True, ITEM)
    assert table.asked == [
        {
            "TableName": "calls",
            "Key": {"requestId": {"S": "visit-2031"}, "attempt": {"N": "1"}},
            "UpdateExpression": "SET #status = :new",
            "ConditionExpression": "#dueAt = :seen",
            "ExpressionAttributeNames": {"#status": "status", "#dueAt": "dueAt"},
            "ExpressionAttributeValues": {":new": {"S": "calling"}, ":seen": {"N": "5"}},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    ]


def test_a_transaction_makes_all_of_its_writes_in_one_request() -> None:
    with answering(well()) as (writes, table):
        parts = [writes.put_part(ITEM), writes.part(KEY, "SET #a = :a", "#b = :b", {"a": 1, "b": 2})]
        assert writes.transact(parts)
    (asked,) = table.asked
    assert asked["TransactItems"] == [
        {
            "Put": {
                "TableName": "calls",
                "Item": STORED,
                "ConditionExpression": "attribute_not_exists(requestId)",
            }
        },
        {
            "Update": {
                "TableName": "calls",
                "Key": {"requestId": {"S": "visit-2031"}, "attempt": {"N": "1"}},
                "UpdateExpression": "SET #a = :a",
                "ConditionExpression": "#b = :b",
                "ExpressionAttributeNames": {"#a": "a", "#b": "b"},
                "ExpressionAttributeValues": {":a": {"N": "1"}, ":b": {"N": "2"}},
            }
        },
    ]


def test_an_expression_sets_and_removes_attributes_by_their_names() -> None:
    assert set_and_remove({"a": 1, "b": 2}) == "SET #a = :a, #b = :b"
    assert set_and_remove(["a"], ["c", "d"]) == "SET #a = :a REMOVE #c, #d"


def test_a_condition_that_fails_at_the_first_sending_was_failed_by_another_write() -> None:
    with answering(REFUSED_WITH_ITEM) as (writes, table):
        assert writes.put(ITEM) == (False, ITEM)
        assert writes.update(KEY, "SET #a = :a", "#b = :a", {"a": 1}, own=ITEM) == (False, ITEM)
    assert len(table.asked) == 2


def test_an_update_of_no_item_finds_none() -> None:
    with answering(REFUSED_WITHOUT_ITEM) as (writes, _):
        assert writes.update(KEY, "SET #a = :a", "#b = :a", {"a": 1}, own={"a": None}) == (False, None)


@pytest.mark.parametrize(("item", "own"), [(ITEM, True), (OTHER, False)], ids=["own", "another"])
def test_a_write_that_was_sent_again_finds_what_it_would_have_written(item: dict[str, Any], own: bool) -> None:
    with answering(LATER, REFUSED_WITH_ITEM, LATER, REFUSED_WITH_ITEM, tries=2) as (writes, table):
        assert writes.put(item) == (own, ITEM)
        assert writes.update(KEY, "SET #a = :a", "#b = :a", {"a": 1}, own=item | {"line": None}) == (own, ITEM)
    assert len(table.asked) == 4


@pytest.mark.parametrize("stored", [REFUSED_WITH_ITEM, REFUSED_WITHOUT_ITEM], ids=["an item", "no item"])
def test_an_update_that_names_nothing_of_its_own_is_never_taken_for_made(stored: bytes) -> None:
    with answering(LATER, stored, tries=2) as (writes, _):
        written, _ = writes.update(KEY, "SET #a = :a", "#b = :a", {"a": 1})
    assert written is False


@every_write
@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    ],
)
def test_a_write_that_may_be_made_a_moment_later_counts_as_unanswered(write: Write, code: str) -> None:
    with answering(fault(code)) as (writes, table), pytest.raises(WriteUnanswered, match=f"^{code}$|^ClientError$"):
        write(writes)
    assert len(table.asked) == 1


@every_write
def test_a_write_that_dynamodb_fails_to_answer_counts_as_unanswered(write: Write) -> None:
    with answering(LATER) as (writes, _), pytest.raises(WriteUnanswered, match=r"^InternalServerError$") as caught:
        write(writes)
    assert isinstance(caught.value.__cause__, ClientError)


@every_write
def test_a_write_that_reaches_no_one_counts_as_unanswered(write: Write) -> None:
    with (
        closed_port() as url,
        writes_to(url) as writes,
        pytest.raises(WriteUnanswered, match="EndpointConnectionError"),
    ):
        write(writes)


@every_write
@pytest.mark.parametrize("status", ["400 Bad Request", "499 The Last"])
@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
def test_a_write_that_dynamodb_refuses_is_not_made_and_says_so(write: Write, code: str, status: str) -> None:
    with answering(fault(code, status)) as (writes, table), pytest.raises(ClientError) as caught:
        write(writes)
    assert caught.value.response["Error"].get("Code") == code
    assert len(table.asked) == 1


@every_write
@pytest.mark.parametrize(
    "conflict", [fault(CONFLICT), canceled("None", "TransactionConflict")], ids=["one write", "a transaction"]
)
def test_a_write_in_a_transactions_way_is_made_again_four_times(write: Write, conflict: bytes) -> None:
    with answering(*[conflict] * 4, well(Attributes=STORED)) as (writes, table):
        assert write(writes)
    assert len(table.asked) == 5


@every_write
def test_a_write_that_stays_in_a_transactions_way_counts_as_unanswered(write: Write) -> None:
    with answering(fault(CONFLICT)) as (writes, table), pytest.raises(WriteUnanswered, match=f"^{CONFLICT}$"):
        write(writes)
    assert len(table.asked) == 5


def test_a_transaction_is_not_made_when_one_of_its_conditions_fails() -> None:
    for reasons in (("ConditionalCheckFailed", "None"), ("TransactionConflict", "ConditionalCheckFailed")):
        with answering(canceled(*reasons)) as (writes, table):
            assert writes.transact([writes.put_part(ITEM)]) is False
        assert len(table.asked) == 1


@pytest.mark.parametrize("answer", [canceled("ThrottlingError"), canceled(), fault(CANCELED)])
def test_a_transaction_that_is_canceled_for_another_reason_counts_as_unanswered(answer: bytes) -> None:
    with answering(answer) as (writes, _), pytest.raises(WriteUnanswered, match=f"^{CANCELED}$") as caught:
        writes.transact([writes.put_part(ITEM)])
    assert isinstance(caught.value.__cause__, ClientError)


def test_nothing_of_an_item_is_in_the_text_of_an_exception() -> None:
    secret: AbstractContextManager[Any] = answering(fault("ThrottlingException", message="visit-2031"))
    with secret as (writes, _), pytest.raises(WriteUnanswered) as caught:
        writes.put(ITEM)
    assert "visit" not in str(caught.value)
