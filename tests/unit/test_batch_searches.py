"""What is asked of DynamoDB to find the open requests of a cancelled batch, and what its answers mean."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outbound_calls.adapters.batch_searches import (
    BATCH_LEASE_SECONDS,
    BATCH_SEARCHED_AFTER_SECONDS,
    BatchSearch,
    BatchSearches,
)
from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.due_entries import DueBatch
from outbound_calls.domain.attempts import RequestKey
from tests.unit.dynamodb import Asked, dynamodb, fault, number, update_of, well

SHARDS = 7
KEY = {"requestId": {"S": "clinic-a~~batch~recalls"}, "attempt": {"N": "0"}}
DUE = DueBatch("clinic-a", "recalls", 100)
AFTER = {"requestId": {"S": "visit-1"}, "attempt": {"N": "1"}, "dueShard": {"N": "2"}, "dueAt": {"N": "5"}}
SEARCH = BatchSearch("clinic-a", "recalls", 2, AFTER)
AT_ITS_BEGINNING = BatchSearch("clinic-a", "recalls", 2, None)


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[BatchSearches, Asked]]:
    with dynamodb(*answers) as (client, table):
        yield BatchSearches(CallsTable(client, "calls", 90, SHARDS)), table


def update(expression: str, names: tuple[str, ...], condition: str, **values: Any) -> dict[str, Any]:
    """An update of the batch, as it is asked for."""
    return update_of(KEY, expression, names, condition, **values)


def test_the_fixed_times() -> None:
    assert (BATCH_SEARCHED_AFTER_SECONDS, BATCH_LEASE_SECONDS) == (10, 50)


def test_a_batch_is_due_once_the_index_shows_what_was_decided_before_its_mark() -> None:
    with answering(well(Attributes=KEY)) as (searches, table):
        searches.expect_batch("clinic-a", "recalls", 99.9)
    assert table.asked == [
        update(
            "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)",
            ("dueShard", "dueAt", "status"),
            "attribute_not_exists(#status)",
            shard=number(zlib.crc32(b"clinic-a~~batch~recalls") % SHARDS),
            due=number(109),
        )
    ]


def test_a_batch_of_the_default_organization_is_due_under_no_name() -> None:
    with answering(well(Attributes=KEY)) as (searches, table):
        searches.expect_batch(None, "recalls", 99)
    assert table.asked[0]["Key"]["requestId"] == {"S": "~~batch~recalls"}


@pytest.mark.parametrize(
    ("item", "search"),
    [
        ({"shard": number(2), "after": {"M": AFTER}}, SEARCH),
        ({"shard": number(2)}, AT_ITS_BEGINNING),
        ({}, BatchSearch("clinic-a", "recalls", 0, None)),
    ],
    ids=["within a shard", "at a shard's beginning", "at the first look"],
)
def test_a_search_goes_on_where_it_was(item: dict[str, Any], search: BatchSearch) -> None:
    with answering(well(Attributes=KEY | item)) as (searches, table):
        found = searches.lease_batch(DUE, 120.9)
    assert found == search
    assert type(found.shard) is int
    assert table.asked == [update("SET #dueAt = :due", ("dueAt",), "#dueAt = :seen", due=number(170), seen=number(100))]


@pytest.mark.parametrize("more", [{}, {"Item": KEY | {"dueAt": number(150)}}], ids=["ended", "taken"])
def test_another_poller_has_the_batch(more: dict[str, Any]) -> None:
    with answering(fault("ConditionalCheckFailedException", **more)) as (searches, _):
        assert searches.lease_batch(DUE, 120) is None


def entry(request_id: str, attempt: int = 1) -> dict[str, Any]:
    return {"requestId": {"S": request_id}, "attempt": number(attempt), "dueAt": number(5)}


def attempts(*batches: tuple[str, str | None]) -> bytes:
    """Attempts as they are read, each with its request and its batch."""
    items = [{"requestId": {"S": of}} | ({"batch": {"S": batch}} if batch else {}) for of, batch in batches]
    return well(Responses={"calls": items}, UnprocessedKeys={})


def test_the_open_requests_of_a_batch_are_those_of_its_organization_that_are_of_it() -> None:
    due = [entry("clinic-a~1"), entry("clinic-a~1", 2), entry("clinic-a~2"), entry("clinic-a~3"), entry("1")]
    read = attempts(
        ("clinic-a~3", "recalls"), ("clinic-a~1", "recalls"), ("clinic-a~1", "recalls"), ("clinic-a~2", "x")
    )
    with answering(well(Items=due), read) as (searches, table):
        found, _ = searches.search_batch(SEARCH)
    assert found == [RequestKey("3", "clinic-a"), RequestKey("1", "clinic-a")]
    keys = [("clinic-a~1", 1), ("clinic-a~1", 2), ("clinic-a~2", 1), ("clinic-a~3", 1)]
    assert table.asked == [
        {
            "TableName": "calls",
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard",
            "ExpressionAttributeValues": {":shard": number(2)},
            "Limit": 100,
            "ExclusiveStartKey": AFTER,
        },
        {
            "RequestItems": {
                "calls": {
                    "Keys": [{"requestId": {"S": name}, "attempt": number(attempt)} for name, attempt in keys],
                    "ProjectionExpression": "#requestId, #batch",
                    "ExpressionAttributeNames": {"#requestId": "requestId", "#batch": "batch"},
                }
            }
        },
    ]


def test_an_attempt_that_is_of_no_batch_is_none_of_the_batch() -> None:
    with answering(well(Items=[entry("clinic-a~1")]), attempts(("clinic-a~1", None))) as (searches, _):
        assert searches.search_batch(SEARCH)[0] == []


@pytest.mark.parametrize(
    ("shard", "last", "then"),
    [
        (2, AFTER, SEARCH),
        (1, None, AT_ITS_BEGINNING),
        (SHARDS - 2, None, BatchSearch("clinic-a", "recalls", SHARDS - 1, None)),
        (SHARDS - 1, AFTER, BatchSearch("clinic-a", "recalls", SHARDS - 1, AFTER)),
        (SHARDS - 1, None, None),
        (SHARDS, None, None),
    ],
)
def test_shard_after_shard_is_searched(shard: int, last: dict[str, Any] | None, then: BatchSearch | None) -> None:
    page = well(Items=[], **({"LastEvaluatedKey": last} if last else {}))
    with answering(page) as (searches, table):
        assert searches.search_batch(BatchSearch("clinic-a", "recalls", shard, None)) == ([], then)
    assert len(table.asked) == 1


def test_how_far_a_search_is_gets_noted() -> None:
    with answering(well(Attributes=KEY)) as (searches, table):
        searches.note_searched(SEARCH)
        searches.note_searched(AT_ITS_BEGINNING)
    place = {"shard": number(2)}
    names, condition = ("shard", "after", "dueAt"), "attribute_exists(#dueAt)"
    assert table.asked == [
        update("SET #shard = :shard, #after = :after", names, condition, **place, after={"M": AFTER}),
        update("SET #shard = :shard REMOVE #after", names, condition, **place),
    ]


def test_a_search_that_ended_is_deleted() -> None:
    with answering(well()) as (searches, table):
        searches.rest_batch(SEARCH)
    assert table.asked == [{"TableName": "calls", "Key": KEY}]
