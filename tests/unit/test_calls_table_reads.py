"""What the calls table asks DynamoDB for when it reads: which index, in which order, how much, how consistently."""

from typing import Any

import pytest

from outbound_calls.adapters.attempt_items import REPORTED_FIELDS
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Attempt, AttemptKey, RequestKey
from tests.unit.calls_table import calls_table
from tests.unit.dynamodb import client_of, fault, well
from tests.unit.parts import CALL_ID, KEY, SETTING, a_request, closed_port

DAY = 86_400
NOON = 20_544 * DAY + DAY // 2
"""2026-04-01, 12:00 UTC."""

REPORTED = {
    "ProjectionExpression": ", ".join(f"#{name}" for name in REPORTED_FIELDS),
    "ExpressionAttributeNames": {f"#{name}": name for name in REPORTED_FIELDS},
}
REFUSED = fault("AccessDeniedException")
NOTHING = well(Items=[], Count=0)


def an_item(request_id: str = "visit-2031", number: int = 1, status: str = "calling", **more: Any) -> dict[str, Any]:
    """An item as DynamoDB returns it. A number among `more` becomes one of DynamoDB's."""
    typed = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in more.items()}
    return {
        "requestId": {"S": request_id},
        "attempt": {"N": str(number)},
        "status": {"S": status},
        "createdAt": {"N": "1"},
        "timesParked": {"N": "0"},
    } | typed


def key(request_id: str, number: int = 1, organization: str | None = None) -> AttemptKey:
    return AttemptKey(RequestKey(request_id, organization), number)


def refused_attempt(organization: str | None = None) -> Attempt:
    return Attempt(key("mine", 1, organization), 1, Status.SCHEDULED, request=a_request(), setting=SETTING)


def test_an_attempt_is_read_whole_as_of_every_acknowledged_write() -> None:
    with calls_table(well(Item=an_item()), well()) as (calls, asked):
        assert calls.read(KEY) == Attempt(KEY, 1, Status.CALLING)
        assert calls.read(KEY) is None
    assert (
        asked.asked
        == [
            {
                "TableName": "calls",
                "Key": {"requestId": {"S": "visit-2031"}, "attempt": {"N": "1"}},
                "ConsistentRead": True,
            }
        ]
        * 2
    )


def test_a_requests_attempts_are_read_without_its_content_as_of_every_acknowledged_write() -> None:
    more = {"requestId": {"S": "visit-2031"}, "attempt": {"N": "1"}}
    with calls_table(well(Items=[an_item()], LastEvaluatedKey=more), well(Items=[an_item(number=2)])) as (calls, asked):
        assert [each.key.number for each in calls.read_all(KEY.request)] == [1, 2]
    first = {
        "TableName": "calls",
        "KeyConditionExpression": "requestId = :requestId",
        "ExpressionAttributeValues": {":requestId": {"S": "visit-2031"}},
        "ConsistentRead": True,
        **REPORTED,
    }
    assert asked.asked == [first, first | {"ExclusiveStartKey": more}]


def test_what_ended_is_read_day_by_day_oldest_first() -> None:
    pages = [well(Items=[an_item(name)]) for name in ("a", "b", "c")]
    with calls_table(*pages) as (calls, asked):
        found = [each.key.request.request_id for each in calls.ended("north", NOON - DAY + 0.5, NOON + DAY + 0.5)]
    assert found == ["a", "b", "c"]
    asked_for = [each["ExpressionAttributeValues"] for each in asked.asked]
    since, last = {"N": str(NOON - DAY + 1)}, {"N": str(NOON + DAY)}
    assert asked_for == [
        {":day": {"S": f"north~2026-0{day}"}, ":since": since, ":last": last} for day in ("3-31", "4-01", "4-02")
    ]
    assert asked.asked[0] | {"ExpressionAttributeValues": {}} == {
        "TableName": "calls",
        "IndexName": "ended",
        "KeyConditionExpression": "endedOn = :day AND recordedAt BETWEEN :since AND :last",
        "ExpressionAttributeValues": {},
    }


def test_a_day_that_begins_at_the_end_is_not_read() -> None:
    with calls_table(NOTHING) as (calls, asked):
        assert list(calls.ended(None, NOON, NOON + DAY // 2)) == []
    assert [each["ExpressionAttributeValues"][":day"] for each in asked.asked] == [{"S": "~2026-04-01"}]


@pytest.mark.parametrize("now", [NOON + 60, NOON + DAY])
def test_the_first_that_ended_are_read_from_at_most_two_days(now: int) -> None:
    with calls_table(well(Items=[an_item("a")]), well(Items=[an_item("b")])) as (calls, asked):
        found = [each.key.request.request_id for each in calls.first_ended("north", NOON + 0.9, now, 7)]
    days = ["north~2026-04-01", "north~2026-04-02"][: 1 + (now - NOON) // DAY]
    assert found == ["a", "b"][: len(days)]
    assert asked.asked == [
        {
            "TableName": "calls",
            "IndexName": "ended",
            "KeyConditionExpression": "endedOn = :day AND recordedAt >= :since",
            "ExpressionAttributeValues": {":day": {"S": day}, ":since": {"N": str(NOON)}},
            "ScanIndexForward": True,
            "Limit": 7,
        }
        for day in days
    ]


def accepted(request_id: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"setting": SETTING, "outboundCallId": CALL_ID, "dispatchedAt": NOON}
    return an_item(request_id, **fields | changes)


def test_what_allomia_accepted_since_is_what_ended_and_what_is_in_progress() -> None:
    ended = [
        accepted("a"),
        accepted("other-setting", setting="x-y"),
        accepted("too-early", dispatchedAt=NOON - 1),
        accepted("north~other-organization"),
        accepted("mine"),
        an_item("never-accepted", setting=SETTING, dispatchedAt=NOON),
        an_item("never-dispatched", setting=SETTING, outboundCallId=CALL_ID),
    ]
    due = [{"requestId": {"S": name}, "attempt": {"N": str(number)}, "dueAt": {"N": "5"}} for name, number in _DUE]
    progress = [accepted("b"), accepted("c", status="scheduled")]
    answers = [well(Items=ended), well(Items=due), well(Responses={"calls": progress})]
    with calls_table(*answers) as (calls, asked):
        found = calls.accepted_since(refused_attempt(), NOON, NOON + 9, 50)

    assert found is not None
    assert [each.key.request.request_id for each in found] == ["a", "b"]
    latest, index, items = asked.asked
    assert (latest["ScanIndexForward"], latest["Limit"]) == (False, 50)
    assert (index["IndexName"], index["Limit"]) == ("due", 50)
    keys = [{"requestId": {"S": name}, "attempt": {"N": str(number)}} for name, number in _DUE if number]
    assert items["RequestItems"] == {"calls": {"Keys": keys} | REPORTED}


_DUE = [("b", 1), ("~", 0), ("c", 2)]
"""Keepers and batches have number 0."""


def test_what_ended_yesterday_comes_after_what_ended_today() -> None:
    with calls_table(
        well(Items=[accepted("a")]), well(Items=[accepted("b")]), NOTHING, well(Responses={"calls": []})
    ) as (
        calls,
        asked,
    ):
        found = calls.accepted_since(refused_attempt(), NOON, NOON + DAY, 50)
    assert found is not None
    assert [each.key.request.request_id for each in found] == ["a", "b"]
    assert [each["ExpressionAttributeValues"][":day"]["S"] for each in asked.asked[:2]] == [
        "~2026-04-02",
        "~2026-04-01",
    ]


def test_every_shard_is_read_for_what_is_in_progress() -> None:
    with calls_table(NOTHING, due_shards=3) as (calls, asked):
        assert calls.accepted_since(refused_attempt("north"), NOON, NOON, 50) == []
    assert asked.asked[0]["ExpressionAttributeValues"][":day"] == {"S": "north~2026-04-01"}
    assert [each["ExpressionAttributeValues"] for each in asked.asked[1:]] == [
        {":shard": {"N": str(shard)}} for shard in range(3)
    ]


def test_what_was_accepted_is_not_known_where_dynamodb_is_out_of_reach() -> None:
    with closed_port() as url, client_of(url) as client:
        calls = CallsTable(client, "calls", 90, 1)
        assert calls.accepted_since(refused_attempt(), NOON, NOON, 50) is None
        assert calls.count_refused(refused_attempt(), 9) == 9


@pytest.mark.parametrize(
    "answers",
    [
        [REFUSED],
        [NOTHING, REFUSED],
        [NOTHING, well(Items=[], LastEvaluatedKey=an_item())],
    ],
    ids=["refused", "refused later", "more than is read"],
)
def test_what_was_accepted_is_not_known_where_it_can_not_be_read_whole(answers: list[bytes]) -> None:
    with calls_table(*answers) as (calls, _):
        assert calls.accepted_since(refused_attempt(), NOON, NOON, 50) is None


def test_a_page_of_a_shard_and_where_the_next_begins() -> None:
    entry = {"requestId": {"S": "north~a"}, "attempt": {"N": "2"}, "dueShard": {"N": "3"}, "dueAt": {"N": "5"}}
    keeper = entry | {"attempt": {"N": "0"}}
    pages = [well(Items=[entry, keeper], LastEvaluatedKey=entry), well(Items=[entry])]
    with calls_table(*pages) as (calls, asked):
        assert calls.due_page(3, 2) == ([DueEntry(key("a", 2, "north"), 5)], entry)
        assert calls.due_page(3, 2, entry) == ([DueEntry(key("a", 2, "north"), 5)], None)
    first = {
        "TableName": "calls",
        "IndexName": "due",
        "KeyConditionExpression": "dueShard = :shard",
        "ExpressionAttributeValues": {":shard": {"N": "3"}},
        "Limit": 2,
    }
    assert asked.asked == [first, first | {"ExclusiveStartKey": entry}]


def test_what_dynamodb_leaves_out_of_an_answer_is_asked_for_again() -> None:
    left = {"calls": {"Keys": [{"requestId": {"S": "b"}, "attempt": {"N": "1"}}], **REPORTED}}
    answers = [
        well(Responses={"calls": [an_item("a")]}, UnprocessedKeys=left),
        well(Responses={"calls": [an_item("b")]}, UnprocessedKeys={}),
    ]
    with calls_table(*answers) as (calls, asked):
        found = list(calls.read_many([key("a"), key("b")], REPORTED))
        assert list(calls.read_many([], REPORTED)) == []
    assert [item["requestId"] for item in found] == ["a", "b"]
    both = [{"requestId": {"S": name}, "attempt": {"N": "1"}} for name in ("a", "b")]
    assert asked.asked == [{"RequestItems": {"calls": {"Keys": keys} | REPORTED}} for keys in (both, both[1:])]


def test_how_many_are_refused_is_counted_and_counts_as_most_where_it_can_not_be_read() -> None:
    with calls_table(well(Count=4), REFUSED) as (calls, asked):
        assert [calls.count_refused(refused_attempt("north"), 9) for _ in range(2)] == [4, 9]
    assert asked.asked[0] == {
        "TableName": "calls",
        "IndexName": "waiting",
        "KeyConditionExpression": "waitsFor = :setting",
        "ExpressionAttributeValues": {":setting": {"S": f"north~refused~{SETTING}"}},
        "Limit": 9,
        "Select": "COUNT",
    }


def test_a_request_keeps_to_one_shard() -> None:
    with calls_table(due_shards=4) as (calls, _):
        shards = [calls.due_shard(f"visit-{number}") for number in range(40)]
        assert shards == [calls.due_shard(f"visit-{number}") for number in range(40)]
    assert set(shards) == {0, 1, 2, 3}
