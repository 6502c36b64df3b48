"""What is asked of DynamoDB to count the calls in progress where a limit is new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.lines_table import LinesTable
from outbound_calls.domain.lines import Lines
from outbound_calls.use_cases.count_calls import CountCalls
from tests.unit.dynamodb import Asked, dynamodb, fault, number, well
from tests.unit.parts import Clock

SINCE = 1_000_000
NOW = SINCE + 15
DEADLINE_SECONDS = 7200
UNCOUNTED, COUNTED = Lines(counted_since=SINCE - 1), Lines(counted_since=SINCE)
NOTED = well(Attributes={"countedSince": number(SINCE)})
DONE = well(Attributes={})
KEY = {"requestId": {"S": "clinic-a~visit-1"}, "attempt": {"N": "1"}}
OTHER_KEY = {"requestId": {"S": "clinic-a~visit-2"}, "attempt": {"N": "1"}}


def calling(key: dict[str, Any], claim: str, **more: Any) -> dict[str, Any]:
    """A call in progress that has no line."""
    times = {"createdAt": number(SINCE - 100), "timesParked": number(0)}
    return {**key, "status": {"S": "calling"}, "claimId": {"S": claim}, **times, **more}


FIRST = calling(KEY, "0123456789abcdef-first", dispatchedAt=number(SINCE - 10))
SECOND = calling(OTHER_KEY, "fedcba9876543210-second")


def due(*keys: dict[str, Any], more: bool = False) -> bytes:
    """A page of the index `due`."""
    entries = [{**key, "dueShard": {"N": "0"}, "dueAt": {"N": "5"}} for key in keys]
    return well(Items=entries, **({"LastEvaluatedKey": entries[-1]} if more else {}))


def read(*items: dict[str, Any]) -> bytes:
    return well(Responses={"calls": items})


@contextmanager
def answering(*answers: bytes, now: float = NOW) -> Iterator[tuple[CountCalls, Asked]]:
    with dynamodb(*answers) as (client, table):
        calls, lines = CallsTable(client, "calls", 90, 1), LinesTable(client, "policy")
        yield CountCalls(calls, lines, DEADLINE_SECONDS, Clock(now)), table


def updates(table: Asked) -> list[tuple[str, str, dict[str, Any]]]:
    """Each update: of which item, and what it changes."""
    return [
        (
            next(iter(each["Key"].values()))["S"],
            each["UpdateExpression"],
            {name: value for name, value in each.get("ExpressionAttributeValues", {}).items() if name != ":none"},
        )
        for each in table.asked
        if "UpdateExpression" in each
    ]


@pytest.mark.parametrize(("lines", "now"), [(COUNTED, NOW), (UNCOUNTED, NOW - 0.5)], ids=["counted", "too early"])
def test_nothing_is_counted_twice_or_too_early(lines: Lines, now: float) -> None:
    with answering(DONE, now=now) as (counting, table):
        assert counting.count_in_progress("clinic-a", lines, SINCE) is lines
    assert table.asked == []


def test_without_calls_in_progress_it_is_noted_that_all_were_counted() -> None:
    with answering(due(), NOTED) as (counting, table):
        assert counting.count_in_progress("clinic-a", UNCOUNTED, SINCE) == COUNTED
    assert updates(table) == [("lines#clinic-a", "SET #countedSince = :since", {":since": number(SINCE)})]


def test_each_call_in_progress_gets_a_line_until_some_time_after_its_deadline() -> None:
    answers = [due(KEY, OTHER_KEY), read(FIRST, SECOND), DONE, DONE, well(Attributes=FIRST), well(Attributes=SECOND)]
    with answering(*answers, NOTED) as (counting, table):
        assert counting.count_in_progress("clinic-a", UNCOUNTED, SINCE) == COUNTED

    assert updates(table) == [
        ("lines#clinic-a", "SET #lines = if_not_exists(#lines, :none)", {}),
        (
            "lines#clinic-a",
            "SET #lines.#line0 = :until0, #lines.#line1 = :until1",
            {":until0": number(SINCE - 10 + 7200 + 300), ":until1": number(SINCE - 100 + 7200 + 300)},
        ),
        ("clinic-a~visit-1", "SET #line = :held", {":held": {"S": "0123456789abcdef-first"}}),
        ("clinic-a~visit-2", "SET #line = :held", {":held": {"S": "fedcba9876543210-second"}}),
        ("lines#clinic-a", "SET #countedSince = :since", {":since": number(SINCE)}),
    ]
    names = table.asked[3]["ExpressionAttributeNames"]
    assert (names["#line0"], names["#line1"]) == ("0123456789abcdef", "fedcba9876543210")


def test_the_line_of_a_call_that_ended_meanwhile_is_given_back() -> None:
    ended = fault("ConditionalCheckFailedException")
    answers = [due(KEY, OTHER_KEY), read(FIRST, SECOND), DONE, DONE, ended, well(Attributes=SECOND), DONE]
    with answering(*answers, NOTED) as (counting, table):
        assert counting.count_in_progress("clinic-a", UNCOUNTED, SINCE) == COUNTED

    assert [change for _, change, _ in updates(table)][-2:] == ["REMOVE #lines.#line0", "SET #countedSince = :since"]
    assert table.asked[-2]["Key"]["subject"] == {"S": "lines#clinic-a"}
    assert table.asked[-2]["ExpressionAttributeNames"]["#line0"] == "0123456789abcdef"


def test_where_much_is_due_the_lines_stay_as_they_were() -> None:
    with answering(due(KEY, more=True)) as (counting, table):
        assert counting.count_in_progress("clinic-a", UNCOUNTED, SINCE) is UNCOUNTED
    assert updates(table) == []


def test_a_keeper_counts_whatever_it_takes() -> None:
    answers = [due(KEY, more=True), due(), read(FIRST), DONE, DONE, well(Attributes=FIRST)]
    with answering(*answers, NOTED) as (counting, table):
        found = counting.count_in_progress("clinic-a", UNCOUNTED, SINCE, whatever_it_takes=True)

    assert found == COUNTED
    assert len(updates(table)) == 4
