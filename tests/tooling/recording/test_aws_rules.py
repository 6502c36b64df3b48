"""A test fails that makes a request which AWS refuses, also where the emulator takes it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from tests.recording import Requests, requests, service_model

KEY = {"requestId": {"S": "a"}, "attempt": {"N": "1"}}
TABLE = {"TableName": "calls"}
MANY = [f":v{number}" for number in range(101)]


def update(expression: str, **values: Mapping[str, Any]) -> dict[str, Any]:
    given = {f":{name}": value for name, value in values.items()}
    return TABLE | {"Key": KEY, "UpdateExpression": expression, "ExpressionAttributeValues": given}


def query(**changes: Any) -> dict[str, Any]:
    base = {"IndexName": "due", "KeyConditionExpression": "dueShard = :shard"}
    return TABLE | base | {"ExpressionAttributeValues": {":shard": {"N": "1"}}} | changes


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "overlapping paths": (
        "UpdateItem",
        update("SET callDetails = :a REMOVE callDetails.duration", a={"M": {}}),
        "the paths callDetails and callDetails.duration overlap",
    ),
    "the same path twice": (
        "UpdateItem",
        update("SET a = :a, b = :a, a = :a", a={"S": ""}),
        "the paths a and a overlap",
    ),
    "a second SET": ("UpdateItem", update("SET a = :a SET b = :a", a={"S": ""}), "a second SET"),
    "a sum with text": ("UpdateItem", update("SET a = b + :a", a={"S": "1"}), ":a is computed with, but is of type S"),
    "text that is added": ("UpdateItem", update("ADD a :a", a={"S": "1"}), ":a is computed with, but is of type S"),
    "more values than 100": (
        "Scan",
        TABLE
        | {
            "FilterExpression": f"batch IN ({', '.join(MANY)})",
            "ExpressionAttributeValues": {name: {"S": name} for name in MANY},
        },
        "IN has 101 values, more than 100",
    ),
    "what an index doesn't hold": (
        "Query",
        query(ProjectionExpression="requestId, #status", ExpressionAttributeNames={"#status": "status"}),
        "the index due doesn't hold status",
    ),
    "a filter on what an index doesn't hold": (
        "Query",
        query(FilterExpression="attribute_exists(customerName)"),
        "the index due doesn't hold customerName",
    ),
    "a consistent read of an index": ("Query", query(ConsistentRead=True), "a consistent read of the index due"),
    "a value that isn't in the model": (
        "UpdateItem",
        update("REMOVE a", a={"S": ""})
        | {"ExpressionAttributeValues": {}, "ReturnValuesOnConditionCheckFailure": "ALL_NEW"},
        "ReturnValuesOnConditionCheckFailure is ALL_NEW, not one of ALL_OLD, NONE",
    ),
    "the same in a transaction": (
        "TransactWriteItems",
        {"TransactItems": [{"Update": update("SET a = :a SET b = :a", a={"S": ""})}]},
        "a second SET",
    ),
    "two attributes compared": (
        "DeleteItem",
        TABLE | {"Key": KEY, "ConditionExpression": "attribute_exists(a) AND (dueAt = redialAt)"},
        "dueAt redialAt are two attributes that are compared",
    ),
    "a value that isn't used": (
        "UpdateItem",
        update("REMOVE a", b={"S": ""}),
        "ExpressionAttributeValues has [':b'] too many and lacks []",
    ),
    "another type than the model's": ("DeleteItem", TABLE | {"Key": "a"}, "Invalid type for parameter Key"),
}


@pytest.fixture
def recorded() -> Iterator[Requests]:
    """The record of these tests' own requests, so that those which AWS refuses don't fail them."""
    yield Requests()
    requests.refused()


def sent(recorded: Requests, operation: str, params: Mapping[str, Any]) -> list[str]:
    recorded.note(params, service_model("dynamodb").operation_model(operation))
    return recorded.refused()


@pytest.mark.parametrize(("operation", "params", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_aws_refuses_is_found(recorded: Requests, operation: str, params: dict[str, Any], why: str) -> None:
    (found,) = sent(recorded, operation, params)

    assert found.startswith(f"{operation}: ")
    assert why in found


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("UpdateItem", update("SET a = if_not_exists(a, :a) + :a, b.c = :a REMOVE b.d, ab ADD n :a", a={"N": "1"})),
        ("UpdateItem", update("DELETE a :a", a={"SS": ["x"]})),
        ("Query", query()),
        ("DeleteItem", TABLE | {"Key": KEY, "ConditionExpression": "size(a) < size(b) AND attribute_exists(a)"}),
    ],
)
def test_what_aws_accepts_is_not(recorded: Requests, operation: str, params: dict[str, Any]) -> None:
    assert sent(recorded, operation, params) == []


def test_an_attribute_that_is_computed_with_is_never_written_as_text(recorded: Requests) -> None:
    assert sent(recorded, "UpdateItem", update("ADD arrivals :a", a={"N": "1"})) == []
    assert sent(recorded, "PutItem", TABLE | {"Item": KEY | {"arrivals": {"S": "1"}}}) == [
        "arrivals is computed with, but is also written as S"
    ]


def test_every_client_of_a_test_is_heard(recorded: Requests) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = boto3.Session("key", "secret", region_name="ca-central-1").client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            # As the functions turn it off.
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={}),
        )
        with pytest.raises(EndpointConnectionError):
            client.update_item(**update("SET a = :a SET b = :a", a={"S": ""}))

    assert requests.refused() == ["UpdateItem: a second SET"]
