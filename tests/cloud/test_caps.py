"""How often one number is dialled: two requests at once don't both pass, and only what AlloMia may have counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from local.simulator import PostAnswer, fails, returns
from outbound_calls.adapters.policy_table import TakenDial
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.timing import MAX_DECISION_AGE_SECONDS
from outbound_calls.use_cases.decide import attempt_name
from outbound_calls.use_cases.placement import PlaceResult
from tests.cloud.parts import LOSE_ANSWER, LOSE_REQUEST, FaultyNetwork, SampleAttempts, at_once
from tests.cloud.reading import table_items
from tests.cloud.world import CloudWorld, OverANetwork, key_of
from tests.unit.parts import CALL_ID, PHONE_NUMBER
from tests.world import NOW, CloudResources, dispatch_message

CALLING, PARKED, REJECTED = PlaceResult.CALLING, PlaceResult.PARKED, PlaceResult.REJECTED
TORONTO = {"timeZone": "America/Toronto"}
ONE_AN_HOUR = {"recipientCaps": [{"calls": 1, "perSeconds": 3600}]}
FAULTS = [LOSE_ANSWER, LOSE_REQUEST]


def dials(world: CloudWorld) -> tuple[TakenDial, ...]:
    """What is remembered of the number."""
    number_hash = world.place_calls.judge.numbers.of(PHONE_NUMBER)
    return world.policy_table.remembered(number_hash).dials


def names(world: CloudWorld) -> list[str]:
    return [each.attempt for each in dials(world)]


# Two at once.


@pytest.mark.parametrize("calls", [1, 2])
def test_of_many_requests_at_once_as_many_dial_as_the_cap_allows(world: CloudWorld, calls: int) -> None:
    world.decide_by(recipientCaps=[{"calls": calls, "perSeconds": 3600}])
    requests = [world.request() for _ in range(6)]

    placements = at_once(6, lambda number: world.place(requests[number]))

    assert sorted(each.result for each in placements) == [CALLING] * calls + [PARKED] * (6 - calls)
    assert {each.code for each in placements} == {"", "recipient-cap"}
    assert len(world.allomia.posts) == len(dials(world)) == calls
    for request in requests:
        item = world.attempts.existing_item(key_of(request))
        assert item["status"] == "calling" or item.keys().isdisjoint({"claimId", "dispatchedAt", "allowedBy"})


def test_of_many_requests_that_wait_for_a_cap_one_is_dialled_when_it_allows_one(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.placed()
    waiting = [world.placed() for _ in range(3)]
    world.pass_seconds(3600 + MAX_DECISION_AGE_SECONDS)

    results = at_once(3, lambda number: world.place(dispatch_message(waiting[number])).result)

    assert sorted(results) == [CALLING, PARKED, PARKED]


@pytest.mark.parametrize(
    ("cap", "until"),
    [({"perSeconds": 3600}, "Wed 2026-04-01 11:30"), ({"perDays": 1}, "Thu 2026-04-02 00:00")],
    ids=["rolling", "calendar days"],
)
def test_a_capped_request_says_until_when_it_waits(world: CloudWorld, cap: dict[str, int], until: str) -> None:
    world.decide_by(recipientCaps=[{"calls": 1} | cap])
    world.clock.now = NOW - MAX_DECISION_AGE_SECONDS
    world.placed(**TORONTO)

    placement = world.place(world.request(**TORONTO))

    assert (placement.result, placement.code) == (PARKED, "recipient-cap")
    zone = "2026-04-01T15:30:00Z" if "perSeconds" in cap else f"{until} (America/Toronto)"
    assert placement.detail == f"waiting until {zone}: the number was dialled as often as a cap allows"
    assert placement.key
    assert world.come_up(placement.key).result is CALLING


def test_a_dial_that_was_slow_to_be_posted_is_as_far_from_the_next_one_as_the_cap_says(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.clock.step = 1.0
    world.placed()
    posted_at = world.clock.now
    world.clock.step = 0.0

    key = world.placed()
    world.come_up(key)

    assert len(world.allomia.posts) == 2
    assert world.clock.now - posted_at >= 3600


# What counts.

COUNTS: dict[str, PostAnswer | None] = {
    "accepted": None,
    "busy": returns(201, {"outboundCallId": CALL_ID, "status": "busy"}),
    "lost answer": fails(httpx.ReadTimeout),
    "500": returns(500),
}
DOES_NOT_COUNT: dict[str, PostAnswer] = {
    "429": returns(429),
    "400": returns(400, {"error": "no"}),
    "401": returns(401),
    "unreachable": fails(httpx.ConnectError),
}


@pytest.mark.parametrize("answer", COUNTS)
def test_a_dial_that_allomia_may_have_taken_counts(world: CloudWorld, answer: str) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.allomia.post = COUNTS[answer]
    key = world.placed()
    world.allomia.post = None

    assert names(world) == [attempt_name(key)]
    assert world.place(world.request()).code == "recipient-cap"


@pytest.mark.parametrize("answer", DOES_NOT_COUNT)
def test_a_dial_that_allomia_is_known_not_to_have_taken_does_not_count(world: CloudWorld, answer: str) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.allomia.post = DOES_NOT_COUNT[answer]
    world.placed()
    world.allomia.post = None

    assert dials(world) == ()
    assert world.place(world.request()).result is CALLING


def test_a_dial_that_is_not_made_because_the_decision_grew_old_does_not_count(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.clock.step = MAX_DECISION_AGE_SECONDS / 3

    assert world.place(world.request()).code == "short-of-time"

    assert (dials(world), world.allomia.posts) == ((), [])


def test_the_other_attempts_of_a_request_count_and_its_own_dial_does_not(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    first = world.placed()
    attempt = replace(world.attempts.read(first), status=None)

    now = world.clock.now
    own = world.place_calls.judge.judge(attempt, now).decision
    next_one = replace(attempt, key=AttemptKey(first.request, 2))

    assert type(own).__name__ == "Dial"
    assert type(world.place_calls.judge.judge(next_one, now).decision).__name__ == "Wait"


def test_the_cap_of_a_purpose_counts_its_own_dials_and_adds_to_those_of_the_stack(world: CloudWorld) -> None:
    world.decide_by(
        recipientCaps=[{"calls": 3, "perSeconds": 3600}], purposes={"reminder": {}, "marketing": ONE_AN_HOUR}
    )

    purposes = ["reminder", "marketing", "marketing", "reminder", "reminder", None]
    codes = [world.place(world.request(purpose=purpose)).code for purpose in purposes]

    assert codes == ["", "", "recipient-cap", "", "recipient-cap", "recipient-cap"]


def test_another_number_is_not_capped(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.placed()

    assert world.place(world.request(phoneNumber="+14155550199")).result is CALLING


def test_the_policy_table_holds_no_number(world: CloudWorld) -> None:
    world.decide_by(**ONE_AN_HOUR)
    world.placed()
    world.place({"doNotCall": {"phoneNumber": PHONE_NUMBER}})

    table = world.policy_table
    items = table_items(table.client, table.name)
    assert len(items) == 4
    assert PHONE_NUMBER[-7:] not in str(items)


# A policy table that fails.


class TestOverANetwork(OverANetwork):
    """The use cases behind a network that loses one request or answer.

    A new request puts its claim, then its dials; where AlloMia is known not to have the call, its dials once more.
    """

    def test_without_caps_nothing_is_written_to_it(self, world: CloudWorld, network: FaultyNetwork) -> None:
        world.placed()

        assert (network.operations.count("PutItem"), network.operations.count("Query")) == (1, 1)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_dial_that_cannot_be_remembered_is_not_made(
        self, world: CloudWorld, network: FaultyNetwork, fault: str
    ) -> None:
        world.decide_by(**ONE_AN_HOUR)
        network.fail_once("PutItem", fault, skip=1)

        key = world.placed()

        assert world.allomia.posts == []
        item = world.attempts.existing_item(key)
        assert (item["status"], item["parkReason"]) == ("scheduled", "policy-unreadable")
        assert item.keys().isdisjoint({"claimId", "dispatchedAt", "allowedBy"})
        # Its own dial doesn't count, whether it is remembered or not.
        assert world.come_up(key).result is CALLING
        assert names(world) == [attempt_name(key)]

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_dial_that_is_given_back_in_vain_counts_for_others_and_not_for_itself(
        self, world: CloudWorld, network: FaultyNetwork, fault: str
    ) -> None:
        world.decide_by(**ONE_AN_HOUR)
        world.allomia.post = returns(429)
        network.fail_once("PutItem", fault, skip=2)

        key = world.placed()

        assert world.attempts.existing_item(key)["parkReason"] == "rate-limited"
        world.allomia.post = None
        if fault == LOSE_REQUEST:
            assert world.place(world.request()).code == "recipient-cap"
        assert world.come_up(key).result is CALLING

    def test_a_dial_is_given_back_before_its_claim(self, world: CloudWorld, network: FaultyNetwork) -> None:
        world.decide_by(**ONE_AN_HOUR)
        world.allomia.post = returns(429)
        network.operations.clear()

        world.placed()

        writes = [each for each in network.operations if each in {"PutItem", "UpdateItem"}]
        assert writes == ["PutItem", "PutItem", "PutItem", "UpdateItem"]

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_write_that_the_sdk_sends_again_takes_one_dial(
        self, world: CloudWorld, network: FaultyNetwork, fault: str, resources: CloudResources, attempts: SampleAttempts
    ) -> None:
        world = CloudWorld(resources, attempts, lambda service, *_: network.client(service, 2))
        world.decide_by(**ONE_AN_HOUR)
        network.fail_once("PutItem", fault, skip=1)

        key = world.placed()

        assert world.attempts.status(key) == "calling"
        assert names(world) == [attempt_name(key)]


# Where the policy rejects.


def test_a_request_that_loses_the_race_is_rejected_at_its_next_look_where_the_policy_says_so(
    world: CloudWorld,
) -> None:
    world.decide_by(whenCapped="reject", **ONE_AN_HOUR)
    requests: list[dict[str, Any]] = [world.request() for _ in range(4)]

    results = at_once(4, lambda number: world.place(requests[number]).result)

    assert results.count(CALLING) == 1
    for key in map(key_of, requests):
        if world.attempts.status(key) == "scheduled":
            assert world.come_up(key).code == "recipient-cap"
    statuses = sorted(str(world.attempts.status(key_of(request))) for request in requests)
    assert statuses == ["calling", "rejected", "rejected", "rejected"]
