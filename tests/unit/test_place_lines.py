"""Lines on a call's way through place_call: who waits for one, is marked, gives it back and hands it on."""

from __future__ import annotations

import json

import pytest

from local.simulator import returns
from outbound_calls.adapters.dynamodb import from_dynamodb, to_dynamodb
from outbound_calls.adapters.waiting_attempts import FIRST_LOOK_SECONDS
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.lines import COUNT_AFTER_SECONDS, line_reserved_for
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.dial import SECONDS_TO_PLACE
from outbound_calls.use_cases.placement import Placement, PlaceResult
from tests.unit.dynamodb import fault, well
from tests.unit.parts import PHONE_NUMBER, SecretsInMemory, a_secret
from tests.unit.placing import (
    CALLING,
    CIRCUIT_NAME,
    CLAIM,
    DENIED,
    DUPLICATE,
    LOST,
    PARKED,
    SCHEDULED,
    Item,
    World,
    open_circuit,
    served,
    world,
)
from tests.world import DUE_SHARDS, NOW

__all__ = ["served", "world"]


KEY = AttemptKey(RequestKey("visit-2031", "clinic-b"), 1)
OWN, OTHER = "clinic-b~visit-2031", "clinic-b~visit-2032"
REQUEST = {"requestId": "visit-2031", "organization": "clinic-b", "phoneNumber": PHONE_NUMBER}
DISPATCH = {"dispatch": {"requestId": OWN, "attempt": 1}, "timesParked": 1}
WAITS = {
    "requestId": OWN,
    "status": "scheduled",
    "parkReason": "concurrency-limit",
    "waitsSince": NOW - 60,
    "policyVersion": 7,
}
OTHER_WAITS = SCHEDULED | WAITS | {"requestId": OTHER}
RESERVED = line_reserved_for(KEY)
LINES = "lines#clinic-b"

FREE = well(Attributes=to_dynamodb({"lines": {}, "normalArrivals": 1, "normalAt": NOW - 60, "countedSince": NOW}))
"""The lines as a write leaves them: none in use, and someone waits."""


def limit(world: World, *used: str, marked: bool = False, calls: int = 1) -> None:
    """Limit calls at once, with these lines in use; `marked`: and let another attempt wait for one."""
    world.decide_by(organizations={"clinic-b": {"maxConcurrentCalls": calls}})
    marks = {"normalArrivals": 1, "normalAt": NOW - 60} if marked else {}
    world.tables.items[LINES, "lines"] = {"lines": dict.fromkeys(used, NOW + 60), "countedSince": NOW} | marks
    if marked:
        world.tables.found["waiting"] = [OTHER_WAITS]
        world.tables.items[OTHER, 1] = OTHER_WAITS


def handed_on(world: World) -> list[str]:
    """The requests that a line was handed on to."""
    sent = [json.loads(asked["MessageBody"]) for name, asked in world.tables.asked if name == "SendMessage"]
    reserved = [each for each in updates(world) if "#reserved" in each["UpdateExpression"]]
    assert len(sent) <= len(reserved)
    return [each["dispatch"]["requestId"] for each in sent]


def given_back(world: World) -> list[str]:
    """The lines that were given back, one by one."""
    names = [
        each["ExpressionAttributeNames"] for each in updates(world) if each["UpdateExpression"].startswith("REMOVE")
    ]
    return [value for each in names for name, value in each.items() if name != "#lines"]


def marks(world: World) -> list[Item]:
    """What was marked of those that wait."""
    return [
        from_dynamodb(each["ExpressionAttributeValues"])
        for each in updates(world)
        if "if_not_exists" in each["UpdateExpression"]
    ]


def updates(world: World) -> list[Item]:
    """The changes of the lines, which are all of this organization."""
    found = [asked for name, asked in world.tables.asked if name == "UpdateItem policy"]
    assert all(each["Key"]["subject"] == {"S": LINES} for each in found)
    return found


NO_LINE = "as many calls are in progress as the policy allows at once: 1"


def test_an_attempt_that_finds_no_line_is_parked_and_then_marked(world: World) -> None:
    limit(world, "a")
    world.clock.step = 1.0

    placement = world.place(REQUEST | {"priority": "low"}, sent_at=NOW)

    assert placement == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)
    assert world.operations == [
        "GetItem policy",
        "Query policy",
        "GetItem policy",
        "UpdateItem calls",
        "PutItem calls",
        "UpdateItem policy",
    ]
    keeper, parked = world.written
    _, expected = world.tables.asked[3]
    assert (expected["Key"]["requestId"], "forLines" in expected["UpdateExpression"]) == (
        {"S": "clinic-b~~keeper"},
        True,
    )
    assert (keeper["due"], parked["dueAt"]) == (NOW + 3 + FIRST_LOOK_SECONDS, NOW + EXPIRE_AFTER_SECONDS + 1)
    assert [each[":now"] for each in marks(world)] == [NOW + 4]
    assert "#lowAt" in world.tables.asked[-1][1]["UpdateExpression"]


def test_a_line_that_is_free_by_then_goes_to_the_attempt_just_parked(world: World) -> None:
    """The index doesn't show it yet."""
    limit(world, "a")
    world.tables.answers["UpdateItem policy"] = [FREE] * 2
    world.parked(**WAITS)

    assert world.place(REQUEST).code == "concurrency-limit"

    assert handed_on(world) == [OWN]


def test_no_line_is_handed_on_without_time(world: World) -> None:
    limit(world, "a")
    world.tables.answers["UpdateItem policy"] = [FREE] * 2

    assert world.place(REQUEST, 1.0).code == "concurrency-limit"

    assert handed_on(world) == []


@pytest.mark.parametrize("answer", [FREE, DENIED, LOST], ids=["given back", "denied", "lost"])
def test_an_attempt_that_waits_again_gives_back_its_reserved_line_before_it_is_parked(
    world: World, answer: bytes
) -> None:
    limit(world, "a", RESERVED)
    world.parked(**WAITS)
    world.tables.answers["UpdateItem policy"] = [answer]

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)

    assert given_back(world) == [RESERVED]
    kinds = ["UpdateItem policy", "UpdateItem calls", "UpdateItem calls", "UpdateItem policy"]
    assert world.operations[-4:] == kinds


def test_a_line_that_was_taken_meanwhile_is_waited_for_again(world: World) -> None:
    """Between the look and the claim. By the time it is parked, there is a line again."""
    limit(world)
    full = fault("ConditionalCheckFailedException", Item=to_dynamodb({"lines": {"a": NOW + 60}, "countedSince": NOW}))
    world.tables.answers["UpdateItem policy"] = [full, FREE, FREE, FREE]
    world.parked(**WAITS)

    assert world.place(DISPATCH) == Placement(PARKED, KEY, "concurrency-limit", NO_LINE)

    assert world.allomia.posts == []
    assert given_back(world) == [RESERVED]
    claim, _, parked, *_ = world.written
    assert (claim["line"], parked["expectedClaimId"], parked["policyVersion"]) == (CLAIM, CLAIM, 7)
    assert (len(marks(world)), handed_on(world)) == (1, [OWN])


def test_a_claim_without_a_limit_has_no_line(world: World) -> None:
    world.parked(requestId=OWN)
    world.place(DISPATCH)

    assert "line" not in world.written[0]


@pytest.mark.parametrize("kind", ["new", "parked"])
def test_what_an_earlier_try_parked_without_an_answer_is_marked(world: World, kind: str) -> None:
    limit(world, "a")
    world.claimed_by_another(**WAITS)
    world.tables.answers["UpdateItem calls"][0] = well(Attributes={"requestId": {"S": "~~keeper"}})
    world.tables.answers["UpdateItem policy"] = [FREE] * 3

    assert world.place(DISPATCH if kind == "parked" else REQUEST) == Placement(DUPLICATE, KEY)

    assert len(marks(world)) == 1


@pytest.mark.parametrize("changes", [{"status": "calling"}, {"parkReason": "paused"}], ids=str)
def test_only_an_attempt_that_waits_for_a_line_is_marked_again(world: World, changes: Item) -> None:
    world.parked(**WAITS | changes)

    assert world.place(DISPATCH | {"timesParked": 7}) == Placement(DUPLICATE, KEY)
    assert marks(world) == []


@pytest.mark.parametrize("message", [REQUEST, DISPATCH | {"timesParked": 7}], ids=["request", "dispatch"])
def test_a_redelivered_message_marks_a_waiting_attempt_and_hands_on_a_free_line(world: World, message: Item) -> None:
    limit(world)
    waits = world.parked(**WAITS)
    world.tables.answers["PutItem calls"] = [fault("ConditionalCheckFailedException", Item=to_dynamodb(waits))]
    world.tables.answers["UpdateItem policy"] = [FREE] * 2

    assert world.place(message) == Placement(DUPLICATE, KEY)

    assert (len(marks(world)), handed_on(world)) == (1, [OWN])


def test_a_reserved_line_goes_on_where_its_attempt_is_held_back(world: World) -> None:
    limit(world, marked=True)
    world.parked(**WAITS, notBefore=NOW + 60)

    assert world.place(DISPATCH).code == "not-before"

    assert (given_back(world), handed_on(world)) == ([RESERVED], [OTHER])


@pytest.mark.parametrize("fails_at", ["UpdateItem policy", "SendMessage"])
def test_a_line_that_can_not_be_handed_on_is_left_to_the_keeper(world: World, fails_at: str) -> None:
    limit(world, marked=True)
    world.parked(**WAITS, notBefore=NOW + 60)
    world.tables.answers[fails_at] = [DENIED if fails_at == "SendMessage" else LOST]

    assert world.place(DISPATCH).code == "not-before"


@pytest.mark.parametrize("reason", ["short-of-time", "circuit-open", "key-unreadable", "key-declined"])
def test_a_reserved_line_is_only_given_back_where_no_other_could_be_dialled(world: World, reason: str) -> None:
    limit(world, RESERVED, marked=True)
    world.parked(**WAITS)
    left = 45.0
    match reason:
        case "circuit-open":
            open_circuit(world, f"clinic-b{CIRCUIT_NAME}")
        case "key-unreadable":
            world.place_calls.judge.numbers.secret = a_secret(SecretsInMemory({"AWSCURRENT": "a-key"}))
            world.secrets.versions = {}
        case "key-declined":
            world.allomia.post = returns(401)
        case _:
            left = SECONDS_TO_PLACE - 1
    world.tables.answers["UpdateItem policy"] = [FREE] * 3

    assert world.place(DISPATCH, left).code == reason

    assert RESERVED in given_back(world)
    assert handed_on(world) == ([OTHER] if reason == "short-of-time" else [])


def test_a_line_is_handed_on_where_its_attempt_ends_undialled(world: World) -> None:
    limit(world, marked=True)
    for changes, result in (
        ({"notAfter": NOW - 1}, PlaceResult.REJECTED),
        ({"notAfter": NOW - 1, "isRedial": True}, PlaceResult.REDIAL_DROPPED),
        ({"batch": "monday"}, PlaceResult.CANCELLED),
    ):
        world.tables.items["batch#clinic-b~monday", "cancelled"] = {"source": "upstream"}
        world.parked(**WAITS | changes)
        assert world.place(DISPATCH).result is result

    assert (given_back(world), handed_on(world)) == ([RESERVED] * 3, [OTHER] * 3)


def test_a_line_that_is_used_is_not_handed_on(world: World) -> None:
    limit(world, RESERVED, marked=True)
    world.parked(**WAITS)
    taken = {"lines": {CLAIM[:16]: NOW + 60}, "countedSince": NOW}
    world.tables.answers["UpdateItem policy"] = [well(Attributes=to_dynamodb(taken))]

    assert world.place(DISPATCH).result is CALLING

    assert (given_back(world), handed_on(world)) == ([], [])


def test_a_parked_attempt_that_waits_for_no_line_gives_none_back(world: World) -> None:
    limit(world, marked=True)
    world.parked(requestId=OWN, notBefore=NOW + 60)

    assert world.place(DISPATCH).code == "not-before"
    assert (given_back(world), handed_on(world)) == ([], [])


def test_no_line_is_handed_on_while_the_policy_is_unreadable(world: World) -> None:
    limit(world, marked=True)
    world.tables.items["policy", "current"]["document"] = "{"
    world.parked(**WAITS)

    assert world.place(DISPATCH).code == "policy-unreadable"
    assert (given_back(world), handed_on(world)) == ([RESERVED], [])


def test_free_lines_are_handed_on_when_a_message_asks_for_it(world: World) -> None:
    limit(world, marked=True)

    assert world.place({"handOn": {"organization": "clinic-b"}}) == Placement(PlaceResult.HANDED_ON, None)
    assert handed_on(world) == [OTHER]


def test_under_a_new_limit_the_calls_in_progress_are_counted_first(world: World) -> None:
    limit(world)
    world.tables.items["policy", "current"]["limitedSince"] = {"clinic-b": NOW - COUNT_AFTER_SECONDS}
    world.tables.items[LINES, "lines"] = {}
    counted = well(Attributes=to_dynamodb({"lines": {}, "countedSince": NOW}))
    world.tables.answers["UpdateItem policy"] = [counted]

    assert world.place(REQUEST).result is CALLING

    shards = [name for name, asked in world.tables.asked if name == "Query calls" and asked["IndexName"] == "due"]
    assert len(shards) == DUE_SHARDS
