"""What is asked of DynamoDB for the attempts that wait and for their keeper, and what its answers mean."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.due_entries import DueKeeper
from outbound_calls.adapters.waiting_attempts import (
    FIRST_LOOK_SECONDS,
    KEEPER_SECONDS,
    MOST_COUNTED,
    Keeper,
    Waiting,
    WaitingAttempts,
)
from outbound_calls.contracts.vocabulary import Priority, Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey, Terms
from tests.unit.dynamodb import Asked, dynamodb, fault, number, update_of, well

SHARDS = 7
KEEPER_KEY = {"requestId": {"S": "clinic-a~~keeper"}, "attempt": {"N": "0"}}
DUE = DueKeeper("clinic-a", 100)
KEEPER = Keeper("clinic-a", 5, None, None, for_lines=False)

ATTEMPT_KEY = AttemptKey(RequestKey("visit-2031", "clinic-a"), 2)
STORED_KEY = {"requestId": {"S": "clinic-a~visit-2031"}, "attempt": {"N": "2"}}
STORED = {**STORED_KEY, "status": {"S": "scheduled"}, "createdAt": {"N": "1"}, "timesParked": {"N": "3"}}
ATTEMPT = Attempt(ATTEMPT_KEY, 1, Status.SCHEDULED, terms=Terms(priority=Priority.LOW), times_parked=3)
WAITING = Waiting(ATTEMPT_KEY, 7, 1)
ENTRY = {**STORED_KEY, "waitsSince": {"N": "1"}, "policyVersion": {"N": "7"}}
SCHEDULED = {"S": "scheduled"}

FAILED = "ConditionalCheckFailedException"


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[WaitingAttempts, Asked]]:
    with dynamodb(*answers) as (client, table):
        yield WaitingAttempts(CallsTable(client, "calls", 90, SHARDS)), table


def update(key: dict[str, Any], expression: str, names: str, condition: str, **values: Any) -> dict[str, Any]:
    """An update as it is asked for."""
    return update_of(key, expression, names.split(), condition, **values)


def query(waits_for: str, **more: Any) -> dict[str, Any]:
    """A query of the index `waiting` as it is asked for."""
    return {
        "TableName": "calls",
        "IndexName": "waiting",
        "KeyConditionExpression": "waitsFor = :condition",
        "ExpressionAttributeValues": {":condition": {"S": waits_for}},
        **more,
    }


def test_the_fixed_times_and_the_most_that_is_counted() -> None:
    assert (KEEPER_SECONDS, FIRST_LOOK_SECONDS, MOST_COUNTED) == (50, 12, 20_000)


# The keeper.


@pytest.mark.parametrize(
    ("for_line", "more", "name"), [({}, "", ""), ({"for_line": True}, ", #forLines = :one", "forLines ")]
)
def test_what_is_about_to_wait_is_counted_and_makes_the_keeper_due(
    for_line: dict[str, bool], more: str, name: str
) -> None:
    with answering(well(Attributes=KEEPER_KEY)) as (waiting, table):
        waiting.expect_waiting("clinic-a", 99.9, **for_line)
    assert table.asked == [
        update(
            KEEPER_KEY,
            "SET #dueShard = if_not_exists(#dueShard, :shard), #dueAt = if_not_exists(#dueAt, :due)"
            f"{more} ADD #arrivals :one",
            f"dueShard dueAt {name}arrivals status",
            "attribute_not_exists(#status)",
            shard=number(zlib.crc32(b"clinic-a~~keeper") % SHARDS),
            due=number(111),
            one=number(1),
        )
    ]


def test_the_keeper_of_the_default_organization_has_no_name() -> None:
    with answering(well(Attributes=KEEPER_KEY)) as (waiting, table):
        waiting.expect_waiting(None, 99)
    assert table.asked[0]["Key"]["requestId"] == {"S": "~~keeper"}


@pytest.mark.parametrize(
    ("item", "keeper"),
    [
        ({"arrivals": number(5)}, KEEPER),
        (
            {"arrivals": number(5), "emptyAt": number(4), "releasedVersion": number(3), "forLines": number(1)},
            Keeper("clinic-a", 5, 4, 3, for_lines=True),
        ),
    ],
)
def test_a_leased_keeper_is_read(item: dict[str, Any], keeper: Keeper) -> None:
    with answering(well(Attributes=KEEPER_KEY | item)) as (waiting, table):
        found = waiting.lease_keeper(DUE, 120.9)
    assert found == keeper
    assert type(found.arrivals) is int
    assert table.asked == [
        update(KEEPER_KEY, "SET #dueAt = :due", "dueAt", "#dueAt = :seen", due=number(170), seen=number(100))
    ]


@pytest.mark.parametrize("more", [{}, {"Item": KEEPER_KEY | {"arrivals": number(5)}}], ids=["ended", "taken"])
def test_another_poller_has_the_keeper(more: dict[str, Any]) -> None:
    with answering(fault(FAILED, **more)) as (waiting, _):
        assert waiting.lease_keeper(DUE, 120) is None


def test_the_version_that_all_wait_under_is_noted() -> None:
    with answering(well(Attributes=KEEPER_KEY)) as (waiting, table):
        waiting.note_released(KEEPER, 8)
    assert table.asked == [
        update(
            KEEPER_KEY,
            "SET #releasedVersion = :version",
            "releasedVersion arrivals",
            "attribute_exists(#arrivals)",
            version=number(8),
        )
    ]


@pytest.mark.parametrize("empty_at", [None, 4])
def test_a_keeper_that_finds_no_one_looks_once_more(empty_at: int | None) -> None:
    with answering(well(Attributes=KEEPER_KEY)) as (waiting, table):
        assert waiting.rest_keeper(Keeper("clinic-a", 5, empty_at, None, for_lines=False)) is False
    assert table.asked == [
        update(KEEPER_KEY, "SET #emptyAt = :seen", "emptyAt arrivals", "#arrivals = :seen", seen=number(5))
    ]


def test_a_keeper_that_found_no_one_twice_ends_unless_something_arrived() -> None:
    empty = Keeper("clinic-a", 5, 5, None, for_lines=False)
    with answering(well(), fault(FAILED)) as (waiting, table):
        assert waiting.rest_keeper(empty) is True
        assert waiting.rest_keeper(empty) is False
    (asked, again) = table.asked
    assert asked == again
    assert asked == {
        "TableName": "calls",
        "Key": KEEPER_KEY,
        "ConditionExpression": "arrivals = :seen",
        "ExpressionAttributeValues": {":seen": number(5)},
    }
    with answering(fault("AccessDeniedException")) as (waiting, _), pytest.raises(ClientError):
        waiting.rest_keeper(empty)


# The index.


@pytest.mark.parametrize(
    ("read", "waits_for"),
    [
        (lambda waiting: waiting.waiting_for_policy("clinic-a"), "clinic-a~policy"),
        (lambda waiting: waiting.waiting_for_policy(None), "~policy"),
        (lambda waiting: waiting.waiting_for_line("clinic-a", Priority.LOW), "clinic-a~line~low"),
        (lambda waiting: waiting.waiting_for_line(None, Priority.URGENT), "~line~urgent"),
    ],
)
def test_all_that_waits_is_read_page_after_page(
    read: Callable[[WaitingAttempts], Iterator[Waiting]], waits_for: str
) -> None:
    other = {"requestId": {"S": "visit-1"}, "attempt": number(1), "waitsSince": number(2)}
    pages = [well(Items=[ENTRY], LastEvaluatedKey=STORED_KEY), well(Items=[], LastEvaluatedKey=other)]
    with answering(*pages, well(Items=[other])) as (waiting, table):
        found = list(read(waiting))
    assert found == [WAITING, Waiting(AttemptKey(RequestKey("visit-1"), 1), 0, 2)]
    assert {type(value) for each in found for value in (each.policy_version, each.since)} == {int}
    starts = [{}, {"ExclusiveStartKey": STORED_KEY}, {"ExclusiveStartKey": other}]
    assert table.asked == [query(waits_for, **start) for start in starts]


def test_the_first_that_policy_holds_back() -> None:
    with answering(well(Items=[ENTRY]), well(Items=[])) as (waiting, table):
        assert waiting.first_for_policy("clinic-a") == WAITING
        assert waiting.first_for_policy("clinic-a") is None
    assert table.asked == [query("clinic-a~policy", Limit=1)] * 2


def test_the_first_that_wait_for_a_line() -> None:
    with answering(well(Items=[ENTRY, ENTRY])) as (waiting, table):
        assert waiting.first_waiting("clinic-a", Priority.NORMAL, 6) == [WAITING, WAITING]
    assert table.asked == [query("clinic-a~line~normal", Limit=6)]


@pytest.mark.parametrize(
    ("counts", "limits"),
    [
        ([(0, False)], [20_000]),
        ([(5, True), (7, True), (0, False)], [20_000, 19_995, 19_988]),
        ([(19_999, True), (1, True)], [20_000, 1]),
    ],
    ids=["no one", "all", "as many as are counted"],
)
def test_those_who_wait_are_counted_up_to_a_number(counts: list[tuple[int, bool]], limits: list[int]) -> None:
    answers = [well(Count=count, **({"LastEvaluatedKey": STORED_KEY} if more else {})) for count, more in counts]
    with answering(*answers, well(Count=1)) as (waiting, table):
        assert waiting.count_waiting("clinic-a", Priority.LOW) == sum(count for count, _ in counts)
    starts = [{}, *[{"ExclusiveStartKey": STORED_KEY}] * (len(limits) - 1)]
    assert table.asked == [
        query("clinic-a~line~low", Select="COUNT", Limit=limit, **start)
        for limit, start in zip(limits, starts, strict=True)
    ]


# What leaves the index, and comes back.

type Lease = Callable[[WaitingAttempts], object]

LEASES: dict[str, tuple[Lease, dict[str, Any]]] = {
    "for a line": (
        lambda waiting: waiting.lease_waiting(WAITING, Priority.LOW, 99.9),
        update(
            STORED_KEY,
            "SET #dueAt = :due REMOVE #waitsFor, #waitsSince, #line",
            "dueAt waitsFor waitsSince line status",
            "#status = :scheduled AND #waitsFor = :line",
            due=number(219),
            scheduled=SCHEDULED,
            line={"S": "clinic-a~line~low"},
        ),
    ),
    "for its dispatch": (
        lambda waiting: waiting.lease_for_dispatch(WAITING, 200, 8),
        update(
            STORED_KEY,
            "SET #dueAt = :due, #policyVersion = :current",
            "dueAt policyVersion status",
            "#status = :scheduled AND #policyVersion = :seen AND #dueAt > :dispatchAt",
            due=number(260),
            dispatchAt=number(200),
            current=number(8),
            scheduled=SCHEDULED,
            seen=number(7),
        ),
    ),
}


@pytest.mark.parametrize(("lease", "asked"), LEASES.values(), ids=LEASES)
def test_a_waiting_attempt_is_leased_as_it_is_then_unless_it_changed(lease: Lease, asked: dict[str, Any]) -> None:
    with answering(well(Attributes=STORED), fault(FAILED, Item=STORED), fault(FAILED)) as (waiting, table):
        assert lease(waiting) == Attempt(ATTEMPT_KEY, 1, Status.SCHEDULED, times_parked=3)
        assert lease(waiting) is None
        assert lease(waiting) is None
    assert table.asked == [asked] * 3


def test_a_leased_attempt_waits_again_in_its_place_unless_it_was_tried_meanwhile() -> None:
    with answering(well(Attributes=STORED), fault(FAILED, Item=STORED)) as (waiting, table):
        assert waiting.wait_again(ATTEMPT) is True
        assert waiting.wait_again(ATTEMPT) is False
    asked = update(
        STORED_KEY,
        "SET #waitsFor = :line, #waitsSince = :since",
        "waitsFor waitsSince status timesParked",
        "#status = :scheduled AND #timesParked = :seen AND attribute_not_exists(#waitsFor)",
        line={"S": "clinic-a~line~low"},
        since=number(1),
        scheduled=SCHEDULED,
        seen=number(3),
    )
    assert table.asked == [asked] * 2
