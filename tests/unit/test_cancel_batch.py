"""How much of a cancelled batch one sweep searches, and what it asks of DynamoDB meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.due_entries import DueBatch
from outbound_calls.use_cases.cancel_batch import SECONDS_TO_SEARCH, BatchCancellation, CancelBatches
from tests.unit.dynamodb import Asked, dynamodb, fault, number, well
from tests.unit.parts import Clock

NOW = 1_000_000
DUE = DueBatch("clinic-a", "recalls", NOW)
VISIT = {"requestId": {"S": "clinic-a~visit-1"}, "attempt": {"N": "1"}}
ENTRY = VISIT | {"dueShard": {"N": "0"}, "dueAt": {"N": "5"}}
LEASED = well(Attributes={"shard": number(0)})
NOTHING, DONE = well(Items=[]), well(Attributes={})
MORE = well(Items=[], LastEvaluatedKey=ENTRY, Attributes={})
"""The answer to a search that finds nothing and has more to read, and to the note of how far it was."""


@contextmanager
def answering(*answers: bytes, shards: int = 1) -> Iterator[tuple[CancelBatches, Asked]]:
    with dynamodb(*answers) as (client, table):
        yield CancelBatches(CallsTable(client, "calls", 90, shards), Clock(NOW)), table


def left(*seconds: float) -> Callable[[], float]:
    """So much time is left, one look after the other; then there is plenty."""
    remaining = iter(seconds)
    return lambda: next(remaining, 60.0)


def searched(table: Asked) -> list[Any]:
    """The shards that were searched, in turn."""
    return [each["ExpressionAttributeValues"][":shard"]["N"] for each in table.asked if "IndexName" in each]


def test_a_sweep_that_found_nothing_cancelled_nothing() -> None:
    assert BatchCancellation().results == Counter()
    assert BatchCancellation().is_whole is False
    assert SECONDS_TO_SEARCH == 10


def test_each_open_request_that_is_found_is_cancelled_for_upstream() -> None:
    found = well(Responses={"calls": [{"requestId": VISIT["requestId"], "batch": {"S": "recalls"}}]})
    parked = {**VISIT, "status": {"S": "scheduled"}, "createdAt": number(1), "timesParked": number(3)}
    answers = [LEASED, well(Items=[ENTRY]), found, well(Items=[parked]), well(Attributes=parked), well()]
    with answering(*answers) as (cancel, table):
        done = cancel.go_on(DUE, left())

    assert done == BatchCancellation(Counter({"cancelled": 1}), is_whole=True)
    assert table.asked[3]["ExpressionAttributeValues"] == {":requestId": VISIT["requestId"]}
    values = table.asked[4]["ExpressionAttributeValues"]
    assert (values[":outcomeSource"], values[":recordedAt"]) == ({"S": "upstream"}, number(NOW))
    assert table.asked[5] == {"TableName": "calls", "Key": table.asked[0]["Key"]}  # the batch is deleted


def test_the_shards_are_searched_one_after_the_other() -> None:
    with answering(LEASED, NOTHING, DONE, NOTHING, DONE, NOTHING, DONE, shards=3) as (cancel, table):
        done = cancel.go_on(DUE, left())

    assert done == BatchCancellation(is_whole=True)
    assert searched(table) == ["0", "1", "2"]
    notes = [each["ExpressionAttributeValues"].get(":shard") for each in table.asked[2:5:2]]
    assert notes == [number(1), number(2)]


def test_a_batch_that_another_sweep_searches_is_left_to_it() -> None:
    with answering(fault("ConditionalCheckFailedException")) as (cancel, table):
        assert cancel.go_on(DUE, left()) is None
    assert len(table.asked) == 1


@pytest.mark.parametrize(
    ("seconds", "pages"),
    [
        ([60, 40, 39.9], 1),
        ([60, 60, 40, 39.9], 2),
        ([25, 10, 9.9], 1),
        ([31, 11, 10.9], 1),
        ([30, 10, 9.9], 1),
        ([9.9, 9.9], 0),
    ],
)
def test_a_sweep_searches_for_twenty_seconds_and_not_in_its_last_ten(seconds: list[float], pages: int) -> None:
    with answering(LEASED, MORE) as (cancel, table):
        done = cancel.go_on(DUE, left(*seconds))

    assert done == BatchCancellation()
    assert len(searched(table)) == pages
    assert len(table.asked) == 1 + 2 * pages  # the lease; each page and a note of it
