"""What the calls table asks DynamoDB for: which index, in which order, how much, how consistently, and for a claim."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outbound_calls.adapters.attempt_items import REPORTED_FIELDS
from outbound_calls.adapters.calls_table import CallsTable, DueEntry
from outbound_calls.contracts.vocabulary import ParkReason, Priority, Status
from outbound_calls.domain.attempts import Allowance, Attempt, AttemptKey, Redial, Refusal, RequestKey, Terms
from outbound_calls.domain.timing import FAILED_TRIES
from tests.unit.dynamodb import Asked, client_of, dynamodb, fault, well
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


@contextmanager
def table(*answers: bytes, due_shards: int = 1) -> Iterator[tuple[CallsTable, Asked]]:
    with dynamodb(*answers) as (client, asked):
        yield CallsTable(client, "calls", 90, due_shards), asked


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
    with table(well(Item=an_item()), well()) as (calls, asked):
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
    with table(well(Items=[an_item()], LastEvaluatedKey=more), well(Items=[an_item(number=2)])) as (calls, asked):
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
    with table(*pages) as (calls, asked):
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
    with table(NOTHING) as (calls, asked):
        assert list(calls.ended(None, NOON, NOON + DAY // 2)) == []
    assert [each["ExpressionAttributeValues"][":day"] for each in asked.asked] == [{"S": "~2026-04-01"}]


@pytest.mark.parametrize("now", [NOON + 60, NOON + DAY])
def test_the_first_that_ended_are_read_from_at_most_two_days(now: int) -> None:
    with table(well(Items=[an_item("a")]), well(Items=[an_item("b")])) as (calls, asked):
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
    with table(*answers) as (calls, asked):
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
    with table(well(Items=[accepted("a")]), well(Items=[accepted("b")]), NOTHING, well(Responses={"calls": []})) as (
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
    with table(NOTHING, due_shards=3) as (calls, asked):
        assert calls.accepted_since(refused_attempt("north"), NOON, NOON, 50) == []
    assert asked.asked[0]["ExpressionAttributeValues"][":day"] == {"S": "north~2026-04-01"}
    assert [each["ExpressionAttributeValues"] for each in asked.asked[1:]] == [
        {":shard": {"N": str(shard)}} for shard in range(3)
    ]


def test_what_was_accepted_is_not_known_where_dynamodb_is_out_of_reach() -> None:
    with closed_port() as url, client_of(url) as client:
        calls = CallsTable(client, "calls", 90)
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
    with table(*answers) as (calls, _):
        assert calls.accepted_since(refused_attempt(), NOON, NOON, 50) is None


def test_a_page_of_a_shard_and_where_the_next_begins() -> None:
    entry = {"requestId": {"S": "north~a"}, "attempt": {"N": "2"}, "dueShard": {"N": "3"}, "dueAt": {"N": "5"}}
    keeper = entry | {"attempt": {"N": "0"}}
    pages = [well(Items=[entry, keeper], LastEvaluatedKey=entry), well(Items=[entry])]
    with table(*pages) as (calls, asked):
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
    with table(*answers) as (calls, asked):
        found = list(calls.read_many([key("a"), key("b")], REPORTED))
        assert list(calls.read_many([], REPORTED)) == []
    assert [item["requestId"] for item in found] == ["a", "b"]
    both = [{"requestId": {"S": name}, "attempt": {"N": "1"}} for name in ("a", "b")]
    assert asked.asked == [{"RequestItems": {"calls": {"Keys": keys} | REPORTED}} for keys in (both, both[1:])]


def test_how_many_are_refused_is_counted_and_counts_as_most_where_it_can_not_be_read() -> None:
    with table(well(Count=4), REFUSED) as (calls, asked):
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
    with table(due_shards=4) as (calls, _):
        shards = [calls.due_shard(f"visit-{number}") for number in range(40)]
        assert shards == [calls.due_shard(f"visit-{number}") for number in range(40)]
    assert set(shards) == {0, 1, 2, 3}


def parked(**changes: Any) -> Attempt:
    fields: dict[str, Any] = {"request": a_request(), "setting": SETTING, "times_parked": 2}
    return Attempt(KEY, 1, **{"status": Status.SCHEDULED} | fields | changes)


def sets_and_removes(asked: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """What an update sets, by attribute, and what it removes."""
    sets, _, removes = asked["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    values = asked["ExpressionAttributeValues"]
    pairs = (each.split(" = ") for each in sets.split(", "))
    return {name[1:]: values[place] for name, place in pairs}, {name[1:] for name in removes.split(", ")}


CLAIMED: dict[str, Any] = {"claimId": "claim", "dispatchedAt": 7, "dueAt": 187, "pollDelay": 180}
REMOVED_BY_A_CLAIM = {"parkReason", "waitsFor", "waitsSince", "expiry", "policyVersion"}


@pytest.mark.parametrize(
    ("line", "with_line", "removed"),
    [(None, False, set[str]()), ("old", False, {"line"}), (None, True, set[str]()), ("old", True, set[str]())],
)
def test_a_claim_replaces_or_removes_the_line_of_the_one_before(
    line: str | None, with_line: bool, removed: set[str]
) -> None:
    with table(well(Attributes=an_item(status="dispatching", **CLAIMED))) as (calls, asked):
        assert calls.claim(parked(line=line), "claim", 7.9, 180, with_line=with_line) is not None
    sets, removes = sets_and_removes(asked.asked[0])
    typed = {"claimId": {"S": "claim"}, "dispatchedAt": {"N": "7"}, "dueAt": {"N": "187"}, "pollDelay": {"N": "180"}}
    assert sets == typed | {"status": {"S": "dispatching"}} | ({"line": {"S": "claim"}} if with_line else {})
    assert removes == REMOVED_BY_A_CLAIM | removed
    assert asked.asked[0]["ConditionExpression"] == ("#status IN (:before0) AND #timesParked = :expectedTimesParked")
    assert asked.asked[0]["ExpressionAttributeValues"][":expectedTimesParked"] == {"N": "2"}


def test_a_claim_stores_what_allowed_it_and_the_defaults_that_were_unknown_when_it_was_parked() -> None:
    changes: dict[str, Any] = {"allowance": Allowance(12, "canada"), "redial": Redial(2), "number_hash": "hash"}
    with table(well(Attributes=an_item(status="dispatching"))) as (calls, asked):
        calls.claim(parked(setting="-", **changes), "claim", 7, 180)
    sets, _ = sets_and_removes(asked.asked[0])
    stored = {"allowedBy": {"S": "canada 12"}, "redial": {"S": '{"max":2}'}, "numberHash": {"S": "hash"}}
    assert sets.items() >= stored.items()
    assert sets["claimId"] == {"S": "claim"}
    assert sets["setting"] == {"S": SETTING}
    assert set(sets["request"]["M"]) == {"phoneNumber", "assistantId", "phoneNumberId"}


@pytest.mark.parametrize("attempt", [parked(), Attempt(KEY, 1, request=a_request())], ids=["parked", "new"])
@pytest.mark.parametrize(
    ("found", "owned"),
    [
        (an_item(status="dispatching", claimId="claim"), True),
        (an_item(status="dispatching", claimId="another"), False),
        (an_item(status="scheduled", claimId="claim"), False),
        (an_item(status="completed"), False),
    ],
    ids=["its own", "another's", "parked since", "ended"],
)
def test_a_claim_that_fails_is_the_workers_own_where_it_is_found_made(
    attempt: Attempt, found: dict[str, Any], owned: bool
) -> None:
    with table(fault("ConditionalCheckFailedException", Item=found)) as (calls, _):
        assert (calls.claim(attempt, "claim", 7, 180) is not None) is owned


def test_an_attempt_that_is_gone_is_not_claimed() -> None:
    with table(fault("ConditionalCheckFailedException")) as (calls, _):
        assert calls.claim(parked(), "claim", 7, 180) is None


RELEASED = {"claimId", "dispatchedAt", "numberHash", "redial", "allowedBy", "soughtSince"}
SETTING_OF_MINE = {"waitsFor": {"S": f"~refused~{SETTING}"}}
POLICY_OF_MINE = {"waitsFor": {"S": "~policy"}, "waitsSince": {"N": "1"}, "policyVersion": {"N": "4"}}
LINE_OF_MINE = POLICY_OF_MINE | {"waitsFor": {"S": "~line~normal"}}


@pytest.mark.parametrize(
    ("reason", "waits", "removed"),
    [
        (ParkReason.CIRCUIT_OPEN, SETTING_OF_MINE | {"waitsSince": {"N": "1"}}, {"policyVersion"}),
        (ParkReason.REFUSED_BY_ALLOMIA, SETTING_OF_MINE | {"waitsSince": {"N": "5"}}, {"policyVersion"}),
        (ParkReason.PAUSED, POLICY_OF_MINE, set[str]()),
        (ParkReason.CONCURRENCY_LIMIT, LINE_OF_MINE, set[str]()),
        (ParkReason.RATE_LIMITED, {}, {"policyVersion", "waitsFor", "waitsSince"}),
    ],
)
@pytest.mark.parametrize("claimed", [True, False])
def test_a_parked_attempt_waits_for_what_its_reason_says(
    reason: ParkReason, waits: dict[str, Any], removed: set[str], claimed: bool
) -> None:
    refusal = Refusal(5, 2, "no") if reason is ParkReason.REFUSED_BY_ALLOMIA else None
    attempt = parked(
        status=Status.DISPATCHING if claimed else Status.SCHEDULED, claim_id="claim", expires_at=99, policy_version=4
    )
    with table(well(Attributes=an_item(status="scheduled"))) as (calls, asked):
        assert calls.park(attempt, 6.1, reason, refusal)

    update = asked.asked[0]
    change, _, added = update["UpdateExpression"].partition(" ADD ")
    sets, removes = sets_and_removes(update | {"UpdateExpression": change})
    timer = {"dueAt": {"N": "7"}, "pollDelay": {"N": "60"}, "expiry": {"N": "99"}}
    words = {"refusal": {"M": {"firstAt": {"N": "5"}, "times": {"N": "2"}, "words": {"S": "no"}}}} if refusal else {}
    assert sets == timer | {"status": {"S": "scheduled"}, "parkReason": {"S": reason.value}} | waits | words
    assert removes == RELEASED | removed | (set() if claimed else {"line"})
    assert added == ("#timesParked :one, #failedTries :one" if reason in FAILED_TRIES else "#timesParked :one")
    assert update["ConditionExpression"] == (
        "#status IN (:before0) AND #claimId = :expectedClaimId AND attribute_not_exists(#cancelRequestedAt)"
        " AND attribute_not_exists(#answeredAt) AND attribute_not_exists(#outboundCallId)"
        if claimed
        else "#status IN (:before0) AND #timesParked = :expectedTimesParked AND attribute_not_exists(#outboundCallId)"
    )


@pytest.mark.parametrize(
    ("reason", "partition"),
    [(ParkReason.PAUSED, "north~policy"), (ParkReason.CONCURRENCY_LIMIT, "north~line~urgent")],
)
def test_a_new_attempt_may_be_parked_at_once_under_its_organization(reason: ParkReason, partition: str) -> None:
    attempt = Attempt(key("a", 1, "north"), 1, request=a_request(), terms=Terms(priority=Priority.URGENT))
    with table(well()) as (calls, asked):
        assert calls.park(attempt, 6.1, reason)
    item = asked.asked[0]["Item"]
    expected = {"waitsFor": {"S": partition}, "policyVersion": {"N": "0"}, "timesParked": {"N": "1"}}
    assert item.items() >= (expected | {"status": {"S": "scheduled"}, "dueAt": {"N": "7"}}).items()


def test_one_that_was_refused_before_waits_for_its_setting_until_it_is_claimed() -> None:
    with table(well(Attributes=an_item(status="scheduled"))) as (calls, asked):
        calls.park(parked(refusal=Refusal(5, 2, "no")), 6.1, ParkReason.RATE_LIMITED)
    change = asked.asked[0]["UpdateExpression"].partition(" ADD ")[0]
    _, removes = sets_and_removes(asked.asked[0] | {"UpdateExpression": change})
    assert removes == RELEASED | {"line", "policyVersion"}
